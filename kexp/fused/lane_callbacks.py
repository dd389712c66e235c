"""Keras' own callbacks at work on one lane: a stand-in for the model, with what callbacks use between epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.build import build_callbacks
from kexp.training.state import capture_callbacks, given_code, restore_callbacks

if TYPE_CHECKING:
    from kexp.experiment import Prepared

__all__ = ["LaneCallbacks", "LaneModel", "unfit_callback"]

_WITHIN = (
    "on_batch_begin on_batch_end on_train_batch_begin on_train_batch_end on_test_batch_begin on_test_batch_end "
    "on_test_begin on_test_end"
).split()
_ENDED_ANYWAY = "TerminateOnNaN"  # what it looks for ends a lane in any case
_NEEDS_MODEL = {
    "ModelCheckpoint",
    "BackupAndRestore",
    "TensorBoard",
    "SwapEMAWeights",
    "OrbaxCheckpoint",
}


def unfit_callback(callbacks: dict[str, Any]) -> str:
    """Why one of these callbacks cannot watch a lane, as a sentence; empty where all can.

    Args:
        callbacks: config key -> built callback.
    """
    import keras

    for key, callback in callbacks.items():
        kind = type(callback)
        if kind.__name__ == _ENDED_ANYWAY:
            continue
        if kind.__name__ in _NEEDS_MODEL:
            return f"callbacks.{key}: {kind.__name__} works on the whole model, which a lane does not have"
        for name in _WITHIN:
            if getattr(kind, name, None) is not getattr(keras.callbacks.Callback, name, None):
                return f"callbacks.{key}: {kind.__name__} wants to be called within epochs ({name})"
    return ""


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
        raise AttributeError(
            f"a lane of a fused sweep has no model.{name}; run this callback without hydra/launcher=fused"
        )


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
    """A trial's callbacks, called between epochs as `fit` calls them."""

    def __init__(self, prepared: Prepared, model: LaneModel) -> None:
        experiment = prepared.experiment
        self.model = model
        self.callbacks = [
            each for each in build_callbacks(experiment.callbacks) if type(each).__name__ != _ENDED_ANYWAY
        ]
        for callback in self.callbacks:
            callback.set_params({"verbose": 0, "epochs": experiment.trainer.epochs, "steps": None})
            callback.set_model(model)
            callback.on_train_begin()
        self._given = given_code(self.callbacks)

    def capture(self, arrays: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """What the callbacks know between two epochs; see `kexp.training.state.capture_callbacks`."""
        for callback in self.callbacks:
            _compare_by_keras(callback)
        return capture_callbacks(self.callbacks, self._given, (self.model, self.model.optimizer), arrays)

    def restore(self, state: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> None:
        """Puts back what `capture` took."""
        restore_callbacks(state, arrays, self.callbacks)

    def epoch_begins(self, epoch: int) -> None:
        """Before epoch `epoch`, counted from 0."""
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch)

    def epoch_ended(self, epoch: int, logs: dict[str, float]) -> None:
        """After it. What a callback adds to the logs (the learning rate, say) is for those after it and the history."""
        for callback in self.callbacks:
            _compare_in_python(callback, logs)
            callback.on_epoch_end(epoch, logs)

    def train_ended(self, logs: dict[str, float]) -> None:
        """After the last epoch: here the best weights are restored."""
        for callback in self.callbacks:
            callback.on_train_end(dict(logs))

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
