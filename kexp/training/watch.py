"""The work between Keras' epochs: record the history, notify listeners, stop at NaN, write checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError, suggestion
from kexp.training.checkpoints.checkpoint import Checkpoint, Checkpointing, Clock, save_checkpoint
from kexp.training.checkpoints.state import build_optimizer, capture, given_code, restore
from kexp.training.history import History, plain_numbers
from kexp.training.listeners import EpochListener, notify_epoch, notify_step
from kexp.training.plan import Plan

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["EpochHandler", "as_callback", "best_epoch", "check_monitors", "why_stopped"]


class EpochHandler:
    """The work between the epochs of one training, and between the compiled calls within them.

    Args:
        plan: how long to train.
        history: receives the metrics.
        steps: steps of an epoch.
        callbacks: the other callbacks. All come before this one in Keras' order, so their state is final when it runs.
        listeners: called after each epoch.
        checkpoint: when and where to write checkpoints; None for never.
        found: the checkpoint to resume from; None for none.
    """

    def __init__(
        self,
        plan: Plan,
        history: History,
        *,
        steps: int,
        callbacks: Sequence[keras.callbacks.Callback],
        listeners: Sequence[EpochListener],
        checkpoint: Checkpointing | None,
        found: Checkpoint | None,
    ) -> None:
        self.plan, self.history, self.steps = plan, history, steps
        self.callbacks, self.listeners = callbacks, listeners
        self.checkpoint, self.found = checkpoint, found
        self.clock = checkpoint and Clock(checkpoint, found.epoch if found else plan.initial_epoch)
        self.diverged = ""
        self._spent_before, self._started = history.duration_s, time.perf_counter()

    def begin(self, model: keras.Model) -> None:
        """Restores the checkpoint, after the callbacks' `on_train_begin`, which resets their state."""
        self._given = given_code(self.callbacks)
        if self.found is not None:
            restore(self.found.state, self.found.arrays, model, self.callbacks)
            self.found = None

    def call_ended(self, model: keras.Model, epoch: int, first: int, last: int, logs: Mapping[str, Any]) -> None:
        """Handles the end of a compiled call: stops at a loss that is not finite, else notifies listeners.

        Args:
            model: the model in training.
            epoch: the current epoch, from 1.
            first: the first step of the call, from 1.
            last: its last step.
            logs: Keras' metrics so far.
        """
        loss = logs.get("loss")
        if loss is not None and not math.isfinite(float(loss)) and not self.diverged:
            steps = f"step {first}" if first == last else f"steps {first} to {last}"
            self._diverge(model, f"the loss became {float(loss)} in epoch {epoch}, {steps}")
        elif last < self.steps:
            notify_step(self.listeners, epoch, last, self.steps, plain_numbers(logs))

    def epoch_ended(self, model: keras.Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """Handles the end of an epoch and of its validation: records, notifies, stops, writes a checkpoint.

        Args:
            model: the model in training.
            epoch: the epoch's number, from 1.
            logs: Keras' metrics of the epoch.
        """
        metrics = self.history.add(epoch, logs)
        if not math.isfinite(metrics.get("val_loss", 0.0)) and not self.diverged:
            self._diverge(model, f"the validation loss became {metrics['val_loss']} in epoch {epoch}")
        reason = notify_epoch(self.listeners, epoch, metrics)
        if self.diverged:
            return
        check_monitors(self.callbacks, epoch, metrics, self.plan.initial_epoch + self.plan.validation_freq)
        if reason:
            self.history.stopped = reason
            model.stop_training = True
        finished = model.stop_training or epoch >= self.plan.epochs
        if self.checkpoint and self.clock and (finished or self.clock.is_due(epoch)):
            self._save(model, epoch, self.checkpoint, finished)
            self.clock.saved(epoch)

    def spent_s(self) -> float:
        """Returns the seconds spent in this training, including those before a resume."""
        return self._spent_before + time.perf_counter() - self._started

    def _diverge(self, model: keras.Model, reason: str) -> None:
        self.diverged = reason
        model.stop_training = True

    def _save(self, model: keras.Model, epoch: int, settings: Checkpointing, finished: bool) -> None:
        """Writes a checkpoint after the listeners were called: a kill may repeat an epoch's metrics, not lose them."""
        arrays: dict[str, NDArray[Any]] = {}
        build_optimizer(model)
        state, lost = capture(model, self.callbacks, self._given, arrays)
        self.history.duration_s = self.spent_s()
        try:
            save_checkpoint(settings, Checkpoint(epoch, finished, self.history, state, arrays, lost))
        except OSError as error:
            # Training continues without this checkpoint; the previous one is unchanged.
            self.history.notice(f"no checkpoint could be written after epoch {epoch} ({error.strerror or error})")


def check_monitors(callbacks: Sequence[Any], epoch: int, metrics: Mapping[str, float], first_validated: int) -> None:
    """Refuses a callback that monitors an unknown metric; Keras would only warn, in every epoch.

    Args:
        callbacks: the callbacks of a training.
        epoch: the epoch that has ended, from 1.
        metrics: the metrics of that epoch.
        first_validated: the first epoch that ends with a validation.

    Raises:
        ConfigError: a callback monitors an unknown metric.
    """
    validated = any(key.startswith("val_") for key in metrics)
    for callback in callbacks:
        key = getattr(callback, "monitor", None)
        if not isinstance(key, str) or key in metrics or not getattr(callback, "save_best_only", True):
            continue
        if not key.startswith("val_") or validated or epoch >= first_validated:
            raise ConfigError(
                f"callbacks: {type(callback).__name__}.monitor: must be a measured metric, got {key!r}"
                f"{suggestion(key, metrics)}"
            )


def best_epoch(callbacks: Sequence[Any]) -> int | None:
    """Returns the epoch, from 1, whose weights a callback has restored at the end; None if none has."""
    for callback in callbacks:
        if getattr(callback, "restore_best_weights", False) and getattr(callback, "best_weights", None) is not None:
            return int(callback.best_epoch) + 1
    return None


def why_stopped(callbacks: Sequence[Any], epoch: int, epochs: int) -> str:
    """Returns why training ended after `epoch` of `epochs` epochs; names the callback if it has a `stopped_epoch`."""
    when = f"after epoch {epoch} of {epochs}"
    for callback in callbacks:
        if getattr(callback, "stopped_epoch", 0):
            return f"{type(callback).__name__} on {getattr(callback, 'monitor', 'its metric')} {when}"
    return f"stopped {when}"


def as_callback(handler: EpochHandler) -> Any:
    """Returns a Keras callback that calls `handler`."""
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        epoch, first = 0, 1

        def on_train_begin(self, logs: Any = None) -> None:
            handler.begin(self.model)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch + 1

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.first = batch + 1

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            handler.call_ended(self.model, self.epoch, self.first, batch + 1, logs or {})

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            handler.epoch_ended(self.model, epoch + 1, logs or {})

    return Watch()
