"""The training plan: how long to train and how to compile the step, with the meaning of Keras' fit and compile."""

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

# Steps that share one compiled call on TensorFlow. A call costs about a millisecond, so more than some dozens of steps
# gain nothing, while progress, NaN checks and Ctrl-C wait for the end of the call.
USUAL, MOST, FEW = 64, 512, 8
SHORT = 128  # steps of a training; tracing the loop over steps takes 0.15 s, longer than that many calls


@dataclass(frozen=True)
class Plan:
    """How long to train and how to compile the step.

    Attributes:
        epochs: number of the last epoch, > 0.
        initial_epoch: epochs that count as done before training starts, >= 0, < `epochs`.
        validation_freq: epochs between validations, > 0.
        validation_steps: batches of the validation split to evaluate; None for all.
        steps_per_execution: most steps that one compiled call runs, or "auto".
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
        """Returns how many steps one compiled call runs.

        It is always a divisor of `steps`: Keras would run a last, partial call to its full length, into the next
        epoch's batches. "auto" takes many steps on TensorFlow, where a call costs more than a small step. It takes one
        step in a training of at most `SHORT` steps, and on other backends, which only loop over the steps.

        Args:
            steps: steps of an epoch, > 0.
        """
        import keras

        divisors = [n for n in range(1, min(steps, MOST) + 1) if steps % n == 0]
        if isinstance(self.steps_per_execution, int):
            return max((n for n in divisors if n <= self.steps_per_execution), default=1)
        short = steps * (self.epochs - self.initial_epoch) <= SHORT
        if keras.config.backend() != "tensorflow" or self.run_eagerly or short:
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
        plan: how to compile the step.
        steps: steps of an epoch, > 0.
        optimizer: as of `keras.Model.compile`.
        loss: as of `keras.Model.compile`.
        metrics: as of `keras.Model.compile`.
        weighted_metrics: as of `keras.Model.compile`.

    Raises:
        ConfigError: the model's class has a `compile` with other parameters, and its code did not call it.
    """
    import keras

    on_tensorflow = keras.config.backend() == "tensorflow"
    force_xla = plan.jit_compile is True and on_tensorflow
    settings = {
        "optimizer": optimizer,
        "loss": loss,
        "metrics": metrics,
        "weighted_metrics": weighted_metrics,
        "jit_compile": False if force_xla else plan.jit_compile,
        "run_eagerly": plan.run_eagerly,
        "steps_per_execution": plan.executions(steps),
    }
    _compile_of(model, settings)(**settings)
    if force_xla:
        # Keras turns XLA off if TensorFlow's operations must be deterministic, because a few cannot be both. Those few
        # raise an error themselves, so a user who asks for XLA gets it.
        model._jit_compile = True


def _compile_of(model: keras.Model, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """Returns the model's own `compile` if it takes the arguments of Keras', and Keras' if the model is compiled.

    Raises:
        ConfigError: `compile` takes other arguments, and the model is not compiled.
    """
    import keras

    kind, called = type(model), cast("Callable[..., Any]", model.compile)
    try:
        inspect.signature(called).bind(**settings)
    except TypeError:
        if model.compiled:  # by its own code, with the arguments that its training step needs
            return functools.partial(keras.Model.compile, model)
        taken = ", ".join(list(inspect.signature(kind.compile).parameters)[1:])
        raise ConfigError(
            f"model: {kind.__name__}.compile takes {taken}, where Keras' takes optimizer, loss, metrics and more; "
            "choose a function that makes the model and calls its compile"
        ) from None
    return called
