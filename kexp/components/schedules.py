"""Learning-rate schedules with defaults for the parameters that Keras requires.

Two defaults depend on the experiment and are set by `fill`: the initial rate is the optimizer's learning rate, and
lengths are the number of steps of the whole training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.components.keras_export import KerasExport
from kexp.errors import ConfigError

if TYPE_CHECKING:
    import keras

__all__ = [
    "cosine_decay",
    "cosine_decay_restarts",
    "exponential_decay",
    "fill",
    "inverse_time_decay",
    "piecewise_constant_decay",
    "polynomial_decay",
    "time_based",
]

RESTARTS = 7  # with t_mul = 2, periods of 1/7, 2/7 and 4/7 of the training: the third ends where training ends

cosine_decay = KerasExport("keras.optimizers.schedules:CosineDecay", initial_learning_rate=None, decay_steps=None)
cosine_decay_restarts = KerasExport(
    "keras.optimizers.schedules:CosineDecayRestarts", initial_learning_rate=None, first_decay_steps=None
)
# To a tenth of the rate at the end of the training.
exponential_decay = KerasExport(
    "keras.optimizers.schedules:ExponentialDecay", initial_learning_rate=None, decay_steps=None, decay_rate=0.1
)
# To a tenth of the rate at the end of the training: 1 / (1 + 9).
inverse_time_decay = KerasExport(
    "keras.optimizers.schedules:InverseTimeDecay", initial_learning_rate=None, decay_steps=None, decay_rate=9.0
)
polynomial_decay = KerasExport(
    "keras.optimizers.schedules:PolynomialDecay", initial_learning_rate=None, decay_steps=None
)


def piecewise_constant_decay(
    boundaries: Sequence[float] = (0.5, 0.75),
    values: Sequence[float] | None = None,
    initial_learning_rate: float | None = None,
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate that is constant between boundaries.

    Args:
        boundaries: where the rate changes, ascending: numbers of steps, or shares of the training if all lie in (0, 1).
        values: the rates, one more than boundaries; by default each is a tenth of the previous one.
        initial_learning_rate: the first rate if `values` is null; the optimizer's by default.

    Raises:
        ConfigError: boundaries are empty or do not ascend, or the number of values is wrong.
    """
    import keras

    if not boundaries:
        raise ConfigError.at("boundaries", "must not be empty", list(boundaries))
    if list(boundaries) != sorted(set(boundaries)):
        raise ConfigError.at("boundaries", "must ascend", list(boundaries))
    if values is None:
        if initial_learning_rate is None:
            raise ConfigError("values: must be given, or else initial_learning_rate")
        values = [initial_learning_rate / 10**power for power in range(len(boundaries) + 1)]
    if len(values) != len(boundaries) + 1:
        raise ConfigError.at("values", f"must be one more than the {len(boundaries)} boundaries", list(values))
    return keras.optimizers.schedules.PiecewiseConstantDecay(list(boundaries), list(values))


def fill(name: str, parameters: Mapping[str, Any], *, learning_rate: float, total_steps: int) -> dict[str, Any]:
    """Sets the parameters of a schedule that depend on the experiment.

    Args:
        name: the schedule's name.
        parameters: its parameters; a null `initial_learning_rate`, `decay_steps` or `first_decay_steps` is set, and
            boundaries that are shares become numbers of steps.
        learning_rate: the optimizer's.
        total_steps: optimizer steps of the whole training; > 0.

    Returns:
        All parameters.
    """
    filled = dict(parameters)
    if filled.get("initial_learning_rate", 0) is None:
        filled["initial_learning_rate"] = learning_rate
    if filled.get("decay_steps", 0) is None:
        filled["decay_steps"] = max(1, total_steps - _warmup(filled))
    if filled.get("first_decay_steps", 0) is None:
        filled["first_decay_steps"] = max(1, round(total_steps / RESTARTS))
    shares = filled.get("boundaries")
    if name == "piecewise_constant_decay" and shares and all(0 < share < 1 for share in shares):
        filled["boundaries"] = [max(1, round(share * total_steps)) for share in shares]
        if len(set(filled["boundaries"])) < len(shares):  # the training has too few steps for all boundaries
            filled["boundaries"] = [first + 1 for first in range(len(shares))]
    return filled


def time_based(learning_rate: float, decay: float) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the schedule of Keras' former `decay` parameter: at step t the rate is learning_rate / (1 + decay * t).

    Args:
        learning_rate: the rate at step 0.
        decay: >= 0.
    """
    import keras

    return keras.optimizers.schedules.InverseTimeDecay(learning_rate, decay_steps=1, decay_rate=decay)


def _warmup(parameters: Mapping[str, Any]) -> int:
    """Returns the warm-up steps of a cosine decay, which come before its decay."""
    return int(parameters.get("warmup_steps") or 0) if parameters.get("warmup_target") is not None else 0
