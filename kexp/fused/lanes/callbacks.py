"""Keras' own callbacks at work on one lane: a stand-in for the model, with what callbacks use between epochs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kexp.build import build_callbacks
from kexp.errors import in_a_line
from kexp.fused.lanes.callback_model import CallbackModel
from kexp.fused.shared import TRACING_LOCK, NotALaneError, settings_guarded
from kexp.fused.structure.callback_rules import NAN_CALLBACK, needs_model
from kexp.training.checkpoints.state import capture_callbacks, given_code, restore_callbacks

if TYPE_CHECKING:
    from kexp.experiment import Prepared

__all__ = ["IN_CALLBACKS", "CallbackError", "LaneCallbacks", "LaneModel", "LaneOptimizer"]

IN_CALLBACKS: dict[int, tuple[Any, float]] = {}
"""By thread: the trial whose callbacks it has called and that have not returned, and since when."""


class CallbackError(Exception):
    """A callback ended in an error in a lane; `__cause__` is what it raised.

    Attributes:
        only_here: an ordinary training has nothing against what it does.
    """

    only_here = False


class LaneModel:
    """What callbacks may use of a model, for one lane.

    Attributes:
        stop_training: set by a callback to end the lane after this epoch.
        metrics: the compiled metrics, for their names and directions.
    """

    def __init__(self, metrics: Sequence[Any], weights: Any, put: Any, optimizer: Any) -> None:
        self.stop_training = False
        self.metrics = list(metrics)
        self.optimizer = optimizer
        self._weights, self._put = weights, put

    def get_weights(self) -> list[Any]:
        """The lane's present weights."""
        weights: list[Any] = self._weights()
        return weights

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replaces the lane's weights."""
        self._put(list(weights))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a lane has no model.{name}")


class LaneOptimizer:
    """The learning rate of one lane, to be read and set between epochs."""

    def __init__(self, read: Any, write: Any) -> None:
        self._read, self._write = read, write

    @property
    def learning_rate(self) -> Any:
        """The present rate."""
        return self._read()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._write(value)


class LaneCallbacks:
    """A trial's callbacks, called between epochs as `fit` calls them.

    Args:
        prepared: the trial.
        steps: of an epoch.
        model: what callbacks of Keras' own take for the model.
        mirror: builds the lane's own model, for callbacks that may use any of it.
    """

    def __init__(self, prepared: Prepared, steps: int, model: LaneModel, mirror: Callable[[], CallbackModel]) -> None:
        import keras

        experiment = prepared.experiment
        self.trial: Any = None
        with settings_guarded():
            built = build_callbacks(experiment.callbacks)
        self.callbacks = [each for each in built if type(each).__name__ != NAN_CALLBACK]
        self.mirror = mirror() if needs_model(self.callbacks) else None
        self.model: Any = model
        if self.mirror is not None:
            self.model = self.mirror.model
            known = [each for each in self.callbacks if isinstance(each, keras.callbacks.History)]
            self.callbacks += [] if known else [keras.callbacks.History()]
            self.model.history = (known or self.callbacks)[-1]
        self._parameters = {"verbose": 0, "epochs": experiment.trainer.epochs, "steps": steps}
        self._given: list[dict[str, Any]] = []

    def train_begins(self) -> None:
        """Before the first epoch, the lane's state being what it begins with."""
        for callback in self.callbacks:
            callback.set_model(self.model)
            callback.set_params(dict(self._parameters))
        self._call("on_train_begin", {})
        self._hold_going()
        self._given = given_code(self.callbacks)

    def _call(self, hook: str, *arguments: Any) -> None:
        """Calls a hook of each callback; nothing that one of them does ends more than its lane."""
        thread = threading.get_ident()
        IN_CALLBACKS[thread] = (self.trial, time.monotonic())
        try:
            with self._at_hand():
                for callback in self.callbacks:
                    try:
                        getattr(callback, hook)(*arguments)
                    except NotALaneError as error:
                        raise NotALaneError(f"{type(callback).__name__} {error}") from error
                    except BaseException as error:
                        raise CallbackError(_sentence(callback, error)) from error
        except NotALaneError as error:
            text = str(error)
            found = CallbackError(text if not text.startswith("changes ") else f"a callback {text}")
            found.only_here = True
            raise found from error
        finally:
            IN_CALLBACKS.pop(thread, None)

    @contextmanager
    def _at_hand(self) -> Iterator[None]:
        if self.mirror is None:
            yield
            return
        with TRACING_LOCK, self.mirror.in_use():
            yield

    def capture(self, arrays: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """What the callbacks know between two epochs; see `kexp.training.checkpoints.state.capture_callbacks`."""
        for callback in self.callbacks:
            _compare_by_keras(callback)
        return capture_callbacks(self.callbacks, self._given, self._parts(), arrays)

    def restore(self, state: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> None:
        """Puts back what `capture` took."""
        restore_callbacks(state, arrays, self.callbacks)

    def _parts(self) -> list[Any]:
        layers = [] if self.mirror is None else self.model._flatten_layers()
        return [self.model, self.model.optimizer, *layers]

    def epoch_begins(self, epoch: int) -> None:
        """Before epoch `epoch`, counted from 0."""
        self._call("on_epoch_begin", epoch, {})
        self._hold_going()

    def _hold_going(self) -> None:
        if self.model.stop_training:
            found = CallbackError("a callback stops training within an epoch")
            found.only_here = True
            raise found

    def epoch_ended(self, epoch: int, logs: dict[str, float]) -> None:
        """After it. What a callback adds to the logs (the learning rate, say) is for those after it and the history."""
        self.lane_went_on()
        for callback in self.callbacks:
            _compare_in_python(callback, logs)
        self._call("on_epoch_end", epoch, logs)

    def train_ended(self, logs: dict[str, float]) -> None:
        """After the last epoch: here the best weights are restored."""
        self.lane_went_on()
        self._call("on_train_end", dict(logs))

    def lane_went_on(self) -> None:
        """The lane's state is another than the one that callbacks saw last."""
        if self.mirror is not None:
            self.mirror.stale = True

    def reason(self, epochs_done: int, epochs: int) -> str:
        """Why training ended before its last epoch, in the words of a single run."""
        for callback in self.callbacks:
            if getattr(callback, "stopped_epoch", 0):
                monitor = getattr(callback, "monitor", "its metric")
                return f"{type(callback).__name__} on {monitor} after epoch {epochs_done} of {epochs}"
        return f"stopped after epoch {epochs_done} of {epochs}"

    def best_epoch(self) -> int | None:
        """The epoch whose weights were restored, if any were."""
        for callback in self.callbacks:
            if getattr(callback, "restore_best_weights", False) and getattr(callback, "best_weights", None) is not None:
                return int(callback.best_epoch) + 1
        return None


def _sentence(callback: Any, error: BaseException) -> str:
    return f"{type(callback).__name__} raised {in_a_line(error)}"


def _less(a: Any, b: Any) -> bool:
    import numpy as np

    return bool(np.float32(a) < np.float32(b))


def _greater(a: Any, b: Any) -> bool:
    import numpy as np

    return bool(np.float32(a) > np.float32(b))


def _compare_in_python(callback: Any, logs: dict[str, float]) -> None:
    """Keras compares two numbers by a JAX operation, 0.2 ms each; the same comparison, of float32, without one."""
    import keras

    if not hasattr(callback, "_set_monitor_op") or not hasattr(callback, "monitor_op"):
        return
    if callback.monitor_op is None and getattr(callback, "monitor", None) in logs:
        callback._set_monitor_op()
    _swap(callback, {keras.ops.less: _less, keras.ops.greater: _greater})


def _compare_by_keras(callback: Any) -> None:
    """Takes `_compare_in_python` back: a checkpoint keeps Keras' own comparisons."""
    import keras

    if hasattr(callback, "monitor_op"):
        _swap(callback, {_less: keras.ops.less, _greater: keras.ops.greater})


def _swap(callback: Any, others: Mapping[Any, Any]) -> None:
    for one, other in others.items():
        if callback.monitor_op is one:
            callback.monitor_op = other
            return
