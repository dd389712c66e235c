"""How long to train and how the step is compiled; the meaning is that of Keras' fit and compile."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from kexp.errors import ConfigError

if TYPE_CHECKING:
    import keras

__all__ = ["Plan", "compile_model"]

# Steps that share one compiled call on TensorFlow. A call costs about a millisecond, so that beyond some dozens of
# steps nothing is gained, while progress, NaN checks and Ctrl-C wait for the call's end.
USUAL, MOST, FEW = 64, 512, 8


@dataclass(frozen=True)
class Plan:
    """How long to train and how to compile the step.

    Attributes:
        epochs: number of the last epoch.
        initial_epoch: epochs that count as done before training starts.
        validation_freq: epochs from one validation to the next.
        validation_steps: batches of the validation data to measure; all by default.
        steps_per_execution: steps that one compiled call runs at most, or "auto".
        jit_compile: compile the step with XLA; "auto" leaves it to Keras.
        run_eagerly: run the step as Python.
    """

    epochs: int = 1
    initial_epoch: int = 0
    validation_freq: int = 1
    validation_steps: int | None = None
    steps_per_execution: int | str = "auto"
    jit_compile: bool | str = "auto"
    run_eagerly: bool = False

    def __post_init__(self) -> None:
        if self.run_eagerly and self.jit_compile is True:
            raise ConfigError("trainer.run_eagerly: must be false or auto with trainer.jit_compile=true, got true")
        if self.initial_epoch >= self.epochs:
            raise ConfigError(
                f"trainer.initial_epoch: must be less than trainer.epochs ({self.epochs}), got {self.initial_epoch}"
            )

    def executions(self, steps: int) -> int:
        """Steps that one compiled call runs, for epochs of `steps` steps.

        Always a divisor of `steps`: Keras would run a last, partial call to its full length, into the next epoch's
        batches. "auto" takes many steps on TensorFlow, where a call costs more than a small step. Other backends
        only loop over the steps, so that there is nothing to gain.
        """
        import keras

        divisors = [n for n in range(1, min(steps, MOST) + 1) if steps % n == 0]
        if isinstance(self.steps_per_execution, int):
            return max((n for n in divisors if n <= self.steps_per_execution), default=1)
        if keras.config.backend() != "tensorflow" or self.run_eagerly:
            return 1
        usual = max(n for n in divisors if n <= USUAL)
        return usual if usual >= FEW or usual == steps else min((n for n in divisors if n > USUAL), default=usual)


def compile_model(
    model: keras.Model,
    plan: Plan,
    steps: int,
    *,
    optimizer: Any,
    loss: Any,
    metrics: Any = None,
    weighted_metrics: Any = None,
) -> None:
    """Compiles a model for `fit`.

    Args:
        model: built.
        plan: how the step is compiled.
        steps: steps of an epoch.
        optimizer: as `keras.Model.compile` takes it, like `loss`, `metrics` and `weighted_metrics`.
    """
    import keras

    on_tensorflow = keras.config.backend() == "tensorflow"
    wanted = plan.jit_compile is True and on_tensorflow
    settings = {
        "optimizer": optimizer,
        "loss": loss,
        "metrics": metrics,
        "weighted_metrics": weighted_metrics,
        "jit_compile": False if wanted else plan.jit_compile,
        "run_eagerly": plan.run_eagerly,
        "steps_per_execution": plan.executions(steps),
    }
    _compile_of(model, settings)(**settings)
    if wanted:
        # Keras turns XLA off where TensorFlow's operations are to be deterministic, because some cannot be both.
        # Those few say so themselves; for all others a person who asks for XLA gets it.
        model._jit_compile = True


def _compile_of(model: keras.Model, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """Keras' `compile`, or that of the model's class where it takes what Keras' takes.

    Raises:
        ConfigError: it does not, and nobody has called it with what it wants.
    """
    import keras

    kind, called = type(model), cast("Callable[..., Any]", model.compile)
    try:
        inspect.signature(called).bind(**settings)
    except TypeError:
        if model.compiled:  # by its own code, with all that its steps ask for
            return functools.partial(keras.Model.compile, model)
        taken = ", ".join(list(inspect.signature(kind.compile).parameters)[1:])
        raise ConfigError(
            f"model: {kind.__name__}.compile takes {taken}, where Keras' takes optimizer, loss, metrics and more; "
            "choose a function that makes the model and calls its compile"
        ) from None
    return called
