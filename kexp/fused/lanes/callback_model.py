"""A lane's own Keras model, for callbacks: it has the lane's state while they run, and the lane takes what they set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kexp.experiment import Prepared, build_compiled
from kexp.fused.shared import NotALaneError, settings_guarded
from kexp.training.checkpoints.state import build_optimizer

__all__ = ["CallbackModel"]

_PLAIN_TYPES = (type(None), bool, int, float, str)
# The model's private attributes that are settings; the others change in each fit.
_MODEL_SETTINGS = {"_compile_loss", "_compile_metrics", "_jit_compile", "_run_eagerly", "_trainable"}
# Attributes that a fit, an evaluation or a prediction sets.
_TRANSIENT = {"stop_training", "stop_evaluating", "stop_predicting", "built", "called", "history"}


class CallbackModel:
    """A built and compiled model of a lane's trial.

    Args:
        prepared: the lane's trial.
        batch: a batch of training rows, on which the model is built.
        read: returns the lane's variables, in the order of `Blueprint.variables`.
        write: receives the position of a variable and its new value.

    Attributes:
        model: the model that callbacks get.
        is_stale: whether the lane's state has changed since it was copied into the model.
    """

    def __init__(
        self,
        prepared: Prepared,
        batch: Sequence[Any],
        read: Callable[[], Sequence[Any]],
        write: Callable[[int, Any], None],
    ) -> None:
        with _fresh_layer_names():
            self.model: Any = build_compiled(prepared)
        self.model._symbolic_build(data_batch=tuple(batch))
        build_optimizer(self.model)
        self.model.stop_training = False
        model = self.model
        self._variables = [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
        self._read, self._write = read, write
        self._copied: list[Any] = []
        self.is_stale = True
        self._unmeasured: dict[int, Any] = {}
        for metric in model.metrics:
            _guard_result(metric, self._unmeasured)
        self._settings = _settings(model)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Gives the model the lane's state within the block; afterwards the lane takes the variables that were set.

        Raises:
            NotALaneError: the block has changed something else: a setting of the model or of the process.
        """
        if self.is_stale:
            for variable, value in zip(self._variables, self._read(), strict=True):
                variable.assign(value)
            self._copied = [variable.value for variable in self._variables]
            for metric in self.model.metrics:
                self._unmeasured.update((id(variable), variable.value) for variable in metric.variables)
            self.is_stale = False
        with settings_guarded():
            yield
        if changed := _first_difference(self._settings, _settings(self.model)):
            raise NotALaneError(f"changes {changed} of the model")
        for position, variable in enumerate(self._variables):
            if variable.value is not self._copied[position]:
                self._write(position, variable.value)
                self._copied[position] = variable.value


@contextmanager
def _fresh_layer_names() -> Iterator[None]:
    """Names layers within the block as in a process that builds no other model: `dense`, `dense_1`."""
    from keras.src.backend.common import global_state

    key = "object_name_uids"
    before = global_state.get_global_attribute(key)
    global_state.set_global_attribute(key, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(key, before if before is not None else defaultdict(int))


def _guard_result(metric: Any, unmeasured: dict[int, Any]) -> None:
    """Makes `metric.result()` raise `NotALaneError` if the metric has measured nothing.

    The metrics of the lane's epoch are in the program and not in this model. A callback that evaluates the model itself
    may read the result.

    Args:
        metric: a metric of the model.
        unmeasured: id of a metric's variable -> its value before any measurement; filled in later.
    """
    from keras.src.backend.common.stateless_scope import in_stateless_scope

    result = metric.result

    def guarded() -> Any:
        if not in_stateless_scope():
            values = [(unmeasured.get(id(variable)), variable.value) for variable in metric.variables]
            if any(put is not None and put is value for put, value in values):
                raise NotALaneError(f"reads the result of the metric {metric.name}, which is in its logs")
        return result()

    object.__setattr__(metric, "result", guarded)


def _settings(model: Any) -> dict[str, Any]:
    """Returns the settings of a model and its parts that change what it computes: NAME.ATTRIBUTE -> value or id."""
    parts = [model, *model._flatten_layers(include_self=False), model.optimizer, *model.metrics]
    found = {}
    for part in parts:
        name = getattr(part, "name", type(part).__name__)
        for key, value in vars(part).items():
            private = key.startswith("_")
            is_hidden = private and part is model and key not in _MODEL_SETTINGS
            if key in _TRANSIENT or key.endswith("_function") or is_hidden:
                continue
            if isinstance(value, _PLAIN_TYPES):
                found[f"{name}.{key}"] = value
            elif not private or part is model:
                found[f"{name}.{key}"] = id(value)
    return found


def _first_difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Returns the first setting that has changed; empty if none has."""
    missing = object()
    for key in [*before, *after]:
        one, other = before.get(key, missing), after.get(key, missing)
        if one is not other and one != other:
            return key.replace("._", ".")
    return ""
