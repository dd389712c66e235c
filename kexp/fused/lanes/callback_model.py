"""A lane's own Keras model, for callbacks: it has the lane's state while they are called, and what they set is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kexp.experiment import Prepared, build_compiled
from kexp.fused.shared import NotALaneError, settings_guarded

__all__ = ["CallbackModel"]

_PLAIN = (type(None), bool, int, float, str)
# What calling a model, a fit and a prediction set.
_OF_MODEL = {"_compile_loss", "_compile_metrics", "_jit_compile", "_run_eagerly", "_trainable"}  # the rest is a fit's
_PASSING = {"stop_training", "stop_evaluating", "stop_predicting", "built", "called", "history"}


class CallbackModel:
    """A built and compiled model beside a lane.

    Args:
        prepared: the lane's trial.
        batch: a batch of training rows, to build the model on.
        read: gives the lane's variables, as `Blueprint.variables` orders them.
        write: takes the position and the new value of one of them.

    Attributes:
        model: what callbacks get.
        stale: whether the lane has gone on since its state was put into the model.
    """

    def __init__(
        self,
        prepared: Prepared,
        batch: Sequence[Any],
        read: Callable[[], Sequence[Any]],
        write: Callable[[int, Any], None],
    ) -> None:
        with _names_from_the_start():
            self.model: Any = build_compiled(prepared)
        self.model._symbolic_build(data_batch=tuple(batch))
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self.model.stop_training = False
        model = self.model
        self._variables = [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
        self._read, self._write = read, write
        self._put: list[Any] = []
        self.stale = True
        self._unmeasured: dict[int, Any] = {}
        for metric in model.metrics:
            _guard(metric, self._unmeasured)
        self._settings = _settings(model)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The model has the lane's state inside; what was set of it is the lane's afterwards.

        Raises:
            NotALaneError: what was set is no variable's value.
        """
        if self.stale:
            for variable, value in zip(self._variables, self._read(), strict=True):
                variable.assign(value)
            self._put = [variable.value for variable in self._variables]
            for metric in self.model.metrics:
                self._unmeasured.update((id(variable), variable.value) for variable in metric.variables)
            self.stale = False
        with settings_guarded():
            yield
        if changed := _differ(self._settings, _settings(self.model)):
            raise NotALaneError(f"changes {changed} of the model")
        for place, variable in enumerate(self._variables):
            if variable.value is not self._put[place]:
                self._write(place, variable.value)
                self._put[place] = variable.value


@contextmanager
def _names_from_the_start() -> Iterator[None]:
    """Layers are called as in a process that builds no other model: `dense`, `dense_1`."""
    from keras.src.backend.common import global_state

    key = "object_name_uids"
    before = global_state.get_global_attribute(key)
    global_state.set_global_attribute(key, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(key, before if before is not None else defaultdict(int))


def _guard(metric: Any, unmeasured: dict[int, Any]) -> None:
    """A metric has no measurement of the lane's epoch: that stays in the program. Its own evaluations it may have."""
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
    """What makes the model another one when it is set, variables apart."""
    parts = [model, *model._flatten_layers(include_self=False), model.optimizer, *model.metrics]
    found = {}
    for part in parts:
        name = getattr(part, "name", type(part).__name__)
        for key, value in vars(part).items():
            private = key.startswith("_")
            if key in _PASSING or key.endswith("_function") or (private and part is model and key not in _OF_MODEL):
                continue
            if isinstance(value, _PLAIN):
                found[f"{name}.{key}"] = value
            elif not private or part is model:
                found[f"{name}.{key}"] = id(value)
    return found


def _differ(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The first setting that is another."""
    missing = object()
    for key in [*before, *after]:
        one, other = before.get(key, missing), after.get(key, missing)
        if one is not other and one != other:
            return key.replace("._", ".")
    return ""
