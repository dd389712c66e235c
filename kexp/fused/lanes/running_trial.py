"""A trial in a lane: what is known of it while it trains."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kexp.experiment import feeds
from kexp.fused.inputs.config_numbers import RATE, changes_of, numbers_after
from kexp.fused.lanes.callback_model import CallbackModel
from kexp.fused.lanes.callbacks import LaneCallbacks, LaneModel, LaneOptimizer
from kexp.fused.lanes.checkpoint import LaneCheckpoints
from kexp.fused.lanes.states import LaneStates
from kexp.fused.program.tables import class_table
from kexp.fused.shared import TRACING_LOCK
from kexp.fused.trial import PausedLane, Trial
from kexp.training import History

if TYPE_CHECKING:
    pass

__all__ = ["RunningTrial"]


class RunningTrial:
    """A trial in a lane."""

    def __init__(self, trial: Trial, slot: int, states: LaneStates) -> None:
        self.trial, self.slot = trial, slot
        self.trainer = trial.prepared.experiment.trainer
        self.epoch = self.trainer.initial_epoch if trial.goes_on is None else trial.goes_on.epoch
        self.first_validated = self.trainer.initial_epoch + self.trainer.validation_freq
        self.history = History()
        self._changes = {
            ".".join(map(str, path)): (path, values) for path, values in changes_of(trial.prepared.experiment).items()
        }
        self.values = numbers_after(trial.prepared.experiment, self.epoch)
        self.feed, validation, test = feeds(trial.prepared)
        counts = states.program.rows
        splits = trial.prepared.splits
        self.own = splits.train.rows
        self.validation = None if validation is None else splits.validation.rows[: counts[1]]  # type: ignore[union-attr]
        self.test = None if test is None else splits.test.rows  # type: ignore[union-attr]
        self.weights = class_table(trial.prepared)
        self.final: list[Any] | None = None
        self.ended = 0.0
        self.status, self.reason = "finished", ""
        self.started = time.perf_counter()
        optimizer = LaneOptimizer(lambda: states.rate(self), lambda value: states.set_rate(self, value))
        metrics = states.program.structure.blueprint.model.metrics
        model = LaneModel(
            metrics, lambda: states.weights(self), lambda weights: states.set_weights(self, weights), optimizer
        )
        self._states = states
        with TRACING_LOCK:
            self.callbacks = LaneCallbacks(trial.prepared, self.feed.steps_per_epoch, model, self._mirror)
        self.callbacks.trial = trial
        self.model = self.callbacks.model
        self.checkpoints: LaneCheckpoints | None = None
        self.found: list[Any] | None = None
        self._ahead: Any = None
        self.spent_s = 0.0

    def _mirror(self) -> CallbackModel:
        states = self._states
        return CallbackModel(
            self.trial.prepared,
            states.program.first_batch,
            lambda: states.of(self),
            lambda place, value: states.put(self, place, value),
        )

    def begin(self) -> None:
        """The beginning of training, in a lane that has its initial state; or where a checkpoint left it.

        Raises:
            ConfigError: the folder holds another training's checkpoint.
        """
        self.callbacks.train_begins()
        if self.trial.checkpoint is not None:
            program = self._states.program
            how = {"lanes": program.width, "executor": program.executor}
            variables = program.structure.blueprint.variables
            self.checkpoints = LaneCheckpoints(self.trial.checkpoint, variables, self.callbacks, how)
        if self.trial.goes_on is not None:
            self._go_on(self.trial.goes_on)
        elif self.checkpoints is not None:
            self._resume(self.checkpoints)
        self.spent_s = self.history.duration_s

    def _resume(self, checkpoints: LaneCheckpoints) -> None:
        found, notices = checkpoints.resume()
        if found is not None:
            self.epoch, self.history, self.found = found.epoch, found.history, checkpoints.state(found)
        for text in notices:
            self.history.notice(text)

    def _go_on(self, parked: PausedLane) -> None:
        """Where a lane was parked: this one, or another, whose history is then this one's too."""
        kept = parked.history
        epochs = [(epoch, {**metrics, **self._changed(epoch - 1)}) for epoch, metrics in kept.epochs]
        self.history = replace(kept, epochs=epochs, notices=list(kept.notices))
        self.callbacks.restore(*parked.callbacks)
        self.callbacks.lane_went_on()
        if self.checkpoints is not None:
            self.checkpoints.went_on(parked.epoch)

    def park(self, state: list[Any]) -> PausedLane:
        """What this lane, or a copy, goes on with; `state` is the lane's."""
        arrays: dict[str, Any] = {}
        callbacks, lost = self.callbacks.capture(arrays)
        for text in lost:
            self.history.notice(text)
        self.history.duration_s = self.duration_s()
        return PausedLane(self.epoch, state, self.history, (callbacks, arrays))

    def change(self) -> bool:
        """Takes on the numbers that are due before the next epoch; whether there are any."""
        if not self._changes:
            return False
        before, self.values = self.values, numbers_after(self.trial.prepared.experiment, self.epoch)
        due = self._changes[".".join(RATE)][1] if ".".join(RATE) in self._changes else {}
        if self.epoch in due and self._states.has_rate:
            self._states.set_rate(self, due[self.epoch])
            self.callbacks.lane_went_on()
        return before != self.values

    def changed(self, logs: dict[str, float]) -> dict[str, float]:
        """What an epoch measured, with the numbers that change while the lane trains."""
        return {**logs, **self._changed(self.epoch)}

    def _changed(self, epoch: int) -> dict[str, float]:
        """The numbers that `trainer.changes` names, as they are in the epoch after so many."""
        if not self._changes:
            return {}
        numbers = numbers_after(self.trial.prepared.experiment, epoch)
        return {key: float(numbers[path]) for key, (path, _) in self._changes.items()}

    def duration_s(self) -> float:
        """Seconds of this training, those before a resume included."""
        return self.spent_s + time.perf_counter() - self.started

    def rows(self, count: int) -> Any:
        """Rows of the whole data that this epoch trains on, in order, shape (count,)."""
        ahead, self._ahead = self._ahead, None
        return self._rows(self.epoch, count) if ahead is None else ahead

    def look_ahead(self, count: int) -> None:
        """Finds the rows of the next epoch, while this one is computed."""
        if self.epoch + 1 < self.trainer.epochs:
            self._ahead = self._rows(self.epoch + 1, count)

    def _rows(self, epoch: int, count: int) -> Any:
        import numpy as np

        steps = self.feed.steps_per_epoch
        if steps == self.feed.batches:
            return self.own[self.feed.order(epoch)]
        first = epoch * steps
        return np.concatenate([self.own[self.feed.rows(step)] for step in range(first, first + steps)])[:count]

    def validates(self) -> bool:
        """Whether this epoch ends with a validation."""
        return self.validation is not None and (self.epoch + 1) % self.trainer.validation_freq == 0
