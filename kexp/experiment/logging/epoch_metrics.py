"""Metrics of a run that Keras does not log: the learning rate, the time of epochs, and the size of the model."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kexp.build import build_optimizer
from kexp.registry import OURSELVES
from kexp.tracking import Tracker
from kexp.tracking.values import SYSTEM_PREFIX
from kexp.training import History

if TYPE_CHECKING:
    import keras

    from kexp.experiment.prepared import Prepared

__all__ = ["EpochLogger", "log_epoch_time", "log_rates", "log_size", "model_size"]

RATE = "learning_rate"  # the name that Keras' callbacks use
SECONDS = f"{SYSTEM_PREFIX}epoch_seconds"


class EpochLogger:
    """Logs the metrics of each epoch, including epochs restored from a checkpoint, which this run has not logged.

    Args:
        tracker: the run's tracker.
        model: the compiled model.
        prepared: the experiment.
    """

    def __init__(self, tracker: Tracker, model: keras.Model, prepared: Prepared) -> None:
        self.tracker, self._prepared = tracker, prepared
        self._optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        self._scheduled = _schedule_of(self._optimizer) is not None
        self._rates: dict[int, float] = {}  # epoch -> rate, without a schedule
        self._varies = False
        self._before, self._began = self._iterations(), time.monotonic()

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        logged = {**metrics, SECONDS: now - self._began}
        self._began = now
        if RATE not in logged:
            logged |= self._rate(epoch)
        self.tracker.log_metrics(logged, step=epoch)

    def resumed(self, history: History) -> None:
        """See `kexp.training.listeners.ResumeListener`."""
        for epoch, metrics in history.epochs:
            self.tracker.log_metrics(metrics, step=epoch)
        if self._scheduled:
            log_rates(self.tracker, self._prepared, history)
        self.tracker.set_tags({"kexp.resumed_from": history.resumed_from})
        self._began = time.monotonic()

    def _iterations(self) -> int:
        return int(self._optimizer.iterations)

    def _rate(self, epoch: int) -> dict[str, float]:
        """Returns the learning rate after an epoch; empty while the rate is constant."""
        if self._scheduled and self._iterations() == self._before:  # a compiled program trains copies of the variables
            return dict(zip([RATE], _rates(self._prepared, [epoch]), strict=False))
        try:
            rate = float(self._optimizer.learning_rate)
        except (TypeError, ValueError):  # a user's optimizer without a learning rate
            return {}
        self._rates[epoch] = rate
        if self._scheduled or self._varies:
            return {RATE: rate}
        self._varies = len(set(self._rates.values())) > 1
        if self._varies:  # the first change: log the rates of earlier epochs too
            for earlier in [each for each in self._rates if each != epoch]:
                self.tracker.log_metrics({RATE: self._rates[earlier]}, step=earlier)
        return {RATE: rate} if self._varies else {}


def log_rates(tracker: Tracker, prepared: Prepared, history: History, stamps: Mapping[int, int] | None = None) -> None:
    """Logs the learning rate after each epoch of a training with a schedule.

    Args:
        tracker: the run's tracker.
        prepared: the experiment.
        history: the history of the training.
        stamps: epoch -> the time of its end, in milliseconds since 1970; the current time unless given.
    """
    epochs = [epoch for epoch, metrics in history.epochs if RATE not in metrics]
    for epoch, rate in zip(epochs, _rates(prepared, epochs), strict=False):
        tracker.log_metrics({RATE: rate}, step=epoch, timestamp_ms=None if stamps is None else stamps.get(epoch))


def log_size(tracker: Tracker, prepared: Prepared, size: Mapping[str, int]) -> None:
    """Logs the size of the model, as `model_size` returns it, and the number of steps of an epoch, as parameters."""
    tracker.log_params({**size, "steps_per_epoch": _steps(prepared)})


def log_epoch_time(tracker: Tracker, history: History, stamp: int | None = None) -> None:
    """Logs the mean duration of an epoch in seconds, for a training whose epochs were not timed one by one.

    Args:
        tracker: the run's tracker.
        history: the history of the training.
        stamp: the time of the point, in milliseconds since 1970; the current time unless given.
    """
    if len(history):
        tracker.log_metrics({SECONDS: history.duration_s / len(history)}, history.epochs[-1][0], stamp)


def model_size(model: keras.Model) -> dict[str, int]:
    """Returns the number of weights and of trainable weights of a model."""
    return {
        "model_parameters": int(model.count_params()),
        "model_trainable_parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
    }


def _steps(prepared: Prepared) -> int:
    trainer = prepared.experiment.trainer
    return trainer.steps_per_epoch or -(-len(prepared.splits.train) // trainer.batch_size)


def _schedule_of(optimizer: Any) -> Any | None:
    import keras

    rate = getattr(optimizer, "_learning_rate", None)
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def _rates(prepared: Prepared, epochs: list[int]) -> list[float]:
    """Returns the learning rate after each epoch, from the config's schedule or changes; empty if it has neither."""
    import numpy as np

    experiment = prepared.experiment
    node = experiment.optimizer
    changes = (experiment.trainer.changes or {}).get(f"optimizer.{RATE}")
    if changes:
        rates = {0: float(node.parameters[RATE]), **{int(done): float(rate) for done, rate in changes.items()}}
        return [rates[max(done for done in rates if done < epoch)] for epoch in epochs]
    chosen = node.common.get("schedule") is not None or node.common.get("decay")
    if not epochs or experiment.optimizer_of_model or not (chosen or node.component.distribution != OURSELVES):
        return []
    steps = _steps(prepared)
    schedule = _schedule_of(build_optimizer(node, steps * experiment.trainer.epochs))
    if schedule is None:
        return []
    every = node.parameters.get("gradient_accumulation_steps") or 1
    return [float(np.asarray(schedule((epoch * steps) // every))) for epoch in epochs]
