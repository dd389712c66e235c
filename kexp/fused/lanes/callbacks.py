"""Runs Keras callbacks on one lane, with a stand-in for the model that has what they use between epochs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kexp.build import build_callbacks
from kexp.errors import in_a_line
from kexp.fused.lanes.callback_model import CallbackModel
from kexp.fused.shared import TRACING_LOCK, NotALaneError, settings_guarded
from kexp.fused.structure.callback_rules import NAN_CALLBACK, need_model
from kexp.fused.trial import Trial
from kexp.training.checkpoints.state import capture_callbacks, given_code, restore_callbacks

__all__ = ["IN_CALLBACKS", "CallbackError", "LaneCallbacks", "LaneModel", "LaneOptimizer"]

IN_CALLBACKS: dict[int, tuple[Trial, float]] = {}
"""Thread id -> (the trial whose callbacks it is running, when it called them by `time.monotonic`)."""


class CallbackError(Exception):
    """A callback failed in a lane; `__cause__` is its exception.

    Args:
        text: the message.
        only_here: whether the callback would work in an ordinary training.
    """

    def __init__(self, text: str, *, only_here: bool = False) -> None:
        super().__init__(text)
        self.only_here = only_here


class LaneModel:
    """The part of a model that most callbacks use, for one lane.

    Args:
        metrics: the compiled metrics.
        read: returns the lane's weights.
        write: replaces them.
        optimizer: the lane's optimizer.

    Attributes:
        stop_training: a callback sets it to end the lane after this epoch.
    """

    def __init__(
        self,
        metrics: Sequence[Any],
        read: Callable[[], list[Any]],
        write: Callable[[list[Any]], None],
        optimizer: LaneOptimizer,
    ) -> None:
        self.stop_training = False
        self.metrics = list(metrics)
        self.optimizer = optimizer
        self._read, self._write = read, write

    def get_weights(self) -> list[Any]:
        """Returns the lane's current weights."""
        return self._read()

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replaces the lane's weights."""
        self._write(list(weights))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a lane has no model.{name}")


class LaneOptimizer:
    """The learning rate of one lane, for callbacks.

    Args:
        read: returns the rate.
        write: sets it.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._read, self._write = read, write

    @property
    def learning_rate(self) -> Any:
        """The current rate."""
        return self._read()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._write(value)


class LaneCallbacks:
    """A trial's callbacks, called between epochs as `fit` calls them.

    Args:
        trial: the trial.
        steps: steps of an epoch.
        model: the model for callbacks that need no other.
        build_model: builds a real model for the lane, for callbacks that may use any part of it.

    Attributes:
        model: the model that the callbacks get.
    """

    def __init__(self, trial: Trial, steps: int, model: LaneModel, build_model: Callable[[], CallbackModel]) -> None:
        import keras

        experiment, self._trial = trial.prepared.experiment, trial
        with settings_guarded():
            built = build_callbacks(experiment.callbacks)
        self.callbacks = [each for each in built if type(each).__name__ != NAN_CALLBACK]
        self._real_model = build_model() if need_model(self.callbacks) else None
        self.model: Any = model
        if self._real_model is not None:
            self.model = self._real_model.model
            histories = [each for each in self.callbacks if isinstance(each, keras.callbacks.History)]
            self.callbacks += [] if histories else [keras.callbacks.History()]
            self.model.history = (histories or self.callbacks)[-1]
        self._parameters = {"verbose": 0, "epochs": experiment.trainer.epochs, "steps": steps}
        self._given: list[dict[str, Any]] = []

    def train_begins(self) -> None:
        """Calls `on_train_begin`. The lane has its first state."""
        for callback in self.callbacks:
            callback.set_model(self.model)
            callback.set_params(dict(self._parameters))
        self._call("on_train_begin", {})
        self._refuse_stop()
        self._given = given_code(self.callbacks)

    def _call(self, hook: str, *arguments: Any) -> None:
        """Calls a hook of each callback.

        Raises:
            CallbackError: a callback failed, with whatever exception, or did what only an ordinary training allows.
        """
        thread = threading.get_ident()
        IN_CALLBACKS[thread] = (self._trial, time.monotonic())
        try:
            with self._model_in_use():
                for callback in self.callbacks:
                    try:
                        getattr(callback, hook)(*arguments)
                    except NotALaneError as error:
                        raise NotALaneError(f"{type(callback).__name__} {error}") from error
                    except BaseException as error:
                        raise CallbackError(f"{type(callback).__name__} raised {in_a_line(error)}") from error
        except NotALaneError as error:
            text = str(error)
            text = f"a callback {text}" if text.startswith("changes ") else text
            raise CallbackError(text, only_here=True) from error
        finally:
            IN_CALLBACKS.pop(thread, None)

    @contextmanager
    def _model_in_use(self) -> Iterator[None]:
        if self._real_model is None:
            yield
            return
        with TRACING_LOCK, self._real_model.in_use():
            yield

    def capture(self, arrays: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """Captures the callbacks' state between two epochs; see `kexp.training.checkpoints.state.capture_callbacks`."""
        for callback in self.callbacks:
            _use_keras_comparison(callback)
        return capture_callbacks(self.callbacks, self._given, self._model_parts(), arrays)

    def restore(self, state: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> None:
        """Restores the state that `capture` captured."""
        restore_callbacks(state, arrays, self.callbacks)

    def _model_parts(self) -> list[Any]:
        """Returns the objects to which callbacks may refer without them being part of their state."""
        layers = [] if self._real_model is None else self.model._flatten_layers()
        return [self.model, self.model.optimizer, *layers]

    def epoch_begins(self, epoch: int) -> None:
        """Calls `on_epoch_begin` for epoch `epoch`, counted from 0."""
        self._call("on_epoch_begin", epoch, {})
        self._refuse_stop()

    def _refuse_stop(self) -> None:
        """Refuses a callback that stops training when an epoch begins: lanes can stop between epochs only."""
        if self.model.stop_training:
            raise CallbackError("a callback stops training within an epoch", only_here=True)

    def epoch_ended(self, epoch: int, logs: dict[str, float]) -> None:
        """Calls `on_epoch_end`. Callbacks may add to `logs`, such as the learning rate; the history has that too."""
        self.mark_state_changed()
        for callback in self.callbacks:
            _use_python_comparison(callback, logs)
        self._call("on_epoch_end", epoch, logs)

    def train_ended(self, logs: dict[str, float]) -> None:
        """Calls `on_train_end`, in which `EarlyStopping` restores the best weights."""
        self.mark_state_changed()
        self._call("on_train_end", dict(logs))

    def mark_state_changed(self) -> None:
        """Notes that the lane's state has changed since the last call of a hook."""
        if self._real_model is not None:
            self._real_model.is_stale = True


def _less(a: Any, b: Any) -> bool:
    import numpy as np

    return bool(np.float32(a) < np.float32(b))


def _greater(a: Any, b: Any) -> bool:
    import numpy as np

    return bool(np.float32(a) > np.float32(b))


def _use_python_comparison(callback: Any, logs: dict[str, float]) -> None:
    """Replaces the comparison of a callback's monitored metric, a JAX operation of 0.2 ms, by the same in NumPy."""
    import keras

    if not hasattr(callback, "_set_monitor_op") or not hasattr(callback, "monitor_op"):
        return
    if callback.monitor_op is None and getattr(callback, "monitor", None) in logs:
        callback._set_monitor_op()
    _swap(callback, {keras.ops.less: _less, keras.ops.greater: _greater})


def _use_keras_comparison(callback: Any) -> None:
    """Undoes `_use_python_comparison`, because a checkpoint can save Keras' own comparisons only."""
    import keras

    if hasattr(callback, "monitor_op"):
        _swap(callback, {_less: keras.ops.less, _greater: keras.ops.greater})


def _swap(callback: Any, replacements: Mapping[Any, Any]) -> None:
    for old, new in replacements.items():
        if callback.monitor_op is old:
            callback.monitor_op = new
            return
