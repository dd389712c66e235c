"""A trial while it trains in a lane: its epoch, numbers, rows, callbacks, checkpoints and history."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

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

__all__ = ["RunningTrial"]


class RunningTrial:
    """A trial in a lane.

    Args:
        trial: the trial.
        slot: the index of its lane.
        states: the variables of the program's lanes.

    Attributes:
        trainer: the config's node `trainer`.
        epoch: completed epochs.
        first_validated: the first epoch that ends with a validation.
        values: the current numbers by config path; they change if `trainer.changes` says so.
        validation: the row numbers of the validation split; None without one.
        test: the row numbers of the test split; None without one.
        class_weights: weight by class index; None without class weights.
        restored: the variables that a checkpoint has restored, until they are in the program's state.
        final: the variables at the end; None while it trains.
        ended: when it ended, by `time.perf_counter`.
        status: see `LaneResult`.
        reason: see `LaneResult`.
        model: the model that the callbacks get.
        checkpoints: reads and writes the lane's checkpoints; None without them.
    """

    def __init__(self, trial: Trial, slot: int, states: LaneStates) -> None:
        self.trial, self.slot = trial, slot
        self.trainer = trial.prepared.experiment.trainer
        self.epoch = self.trainer.initial_epoch if trial.resume_from is None else trial.resume_from.epoch
        self.first_validated = self.trainer.initial_epoch + self.trainer.validation_freq
        self.history = History()
        self._changes = changes_of(trial.prepared.experiment)
        self.values = numbers_after(trial.prepared.experiment, self.epoch)
        self.feed, validation, test = feeds(trial.prepared)
        splits, (_, validated, _) = trial.prepared.splits, states.program.rows
        self._train_rows = splits.train.rows
        self.validation = None if validation is None else splits.validation.rows[:validated]  # type: ignore[union-attr]
        self.test = None if test is None else splits.test.rows  # type: ignore[union-attr]
        self.class_weights = class_table(trial.prepared)
        self.final: list[Any] | None = None
        self.ended = 0.0
        self.status, self.reason = "finished", ""
        self._started = time.perf_counter()
        optimizer = LaneOptimizer(lambda: states.rate(self), lambda value: states.set_rate(self, value))
        metrics = states.program.structure.blueprint.model.metrics
        model = LaneModel(
            metrics, lambda: states.weights(self), lambda weights: states.set_weights(self, weights), optimizer
        )
        self._states = states
        with TRACING_LOCK:
            self.callbacks = LaneCallbacks(trial, self.feed.steps_per_epoch, model, self._callback_model)
        self.model = self.callbacks.model
        self.checkpoints: LaneCheckpoints | None = None
        self.restored: list[Any] | None = None
        self._next_rows: Any = None
        self._spent_before_s = 0.0

    def _callback_model(self) -> CallbackModel:
        states = self._states
        return CallbackModel(
            self.trial.prepared,
            states.program.first_batch,
            lambda: states.of(self),
            lambda position, value: states.put(self, position, value),
        )

    def begin(self) -> None:
        """Begins training: calls `on_train_begin`, then restores a paused lane or a checkpoint if there is one.

        The lane has its first state in the program already.

        Raises:
            ConfigError: the folder holds a checkpoint of another training.
        """
        self.callbacks.train_begins()
        if self.trial.checkpoint is not None:
            program = self._states.program
            how = {"lanes": program.width, "executor": program.executor}
            variables = program.structure.blueprint.variables
            self.checkpoints = LaneCheckpoints(self.trial.checkpoint, variables, self.callbacks, how)
        if self.trial.resume_from is not None:
            self._restore_paused(self.trial.resume_from)
        elif self.checkpoints is not None:
            self._restore_checkpoint(self.checkpoints)
        self._spent_before_s = self.history.duration_s

    def _restore_checkpoint(self, checkpoints: LaneCheckpoints) -> None:
        found, notices = checkpoints.resume()
        if found is not None:
            self.epoch, self.history, self.restored = found.epoch, found.history, checkpoints.variables_of(found)
        for text in notices:
            self.history.notice(text)

    def _restore_paused(self, paused: PausedLane) -> None:
        """Takes over the history and callbacks of a paused lane: this trial's, or another's that this one copies."""
        before = paused.history
        epochs = [(epoch, {**metrics, **self.changing_numbers(epoch - 1)}) for epoch, metrics in before.epochs]
        self.history = replace(before, epochs=epochs, notices=list(before.notices))
        self.callbacks.restore(*paused.callbacks)
        self.callbacks.mark_state_changed()
        if self.checkpoints is not None:
            self.checkpoints.resumed(paused.epoch)

    def pause(self, state: list[Any]) -> PausedLane:
        """Returns what this trial, or a copy of it, can resume from; `state` is the lane's variables."""
        arrays: dict[str, Any] = {}
        callbacks, lost = self.callbacks.capture(arrays)
        for text in lost:
            self.history.notice(text)
        self.history.duration_s = self.duration_s()
        return PausedLane(self.epoch, state, self.history, (callbacks, arrays))

    def apply_changes(self) -> bool:
        """Applies the changes of numbers that are due before the next epoch; returns whether inputs have changed."""
        if not self._changes:
            return False
        before, self.values = self.values, numbers_after(self.trial.prepared.experiment, self.epoch)
        due = self._changes.get(RATE, {})
        if self.epoch in due and self._states.has_rate:
            self._states.set_rate(self, due[self.epoch])
            self.callbacks.mark_state_changed()
        return before != self.values

    def changing_numbers(self, epoch: int) -> dict[str, float]:
        """Returns the numbers that `trainer.changes` changes, by config key, as they are after `epoch` epochs."""
        if not self._changes:
            return {}
        numbers = numbers_after(self.trial.prepared.experiment, epoch)
        return {".".join(map(str, path)): float(numbers[path]) for path in self._changes}

    def duration_s(self) -> float:
        """Returns the seconds spent in this training, including those before a resume."""
        return self._spent_before_s + time.perf_counter() - self._started

    def rows(self, count: int) -> Any:
        """Returns the row numbers that this epoch trains on, in order, shape (count,)."""
        rows, self._next_rows = self._next_rows, None
        return self._rows(self.epoch, count) if rows is None else rows

    def prefetch_rows(self, count: int) -> None:
        """Computes the row numbers of the next epoch, while the device computes this one."""
        if self.epoch + 1 < self.trainer.epochs:
            self._next_rows = self._rows(self.epoch + 1, count)

    def _rows(self, epoch: int, count: int) -> Any:
        import numpy as np

        steps = self.feed.steps_per_epoch
        if steps == self.feed.batches:
            return self._train_rows[self.feed.order(epoch)]
        first = epoch * steps
        taken = [self._train_rows[self.feed.rows(step)] for step in range(first, first + steps)]
        return np.concatenate(taken)[:count]

    def validates(self) -> bool:
        """Returns whether this epoch ends with a validation."""
        return self.validation is not None and (self.epoch + 1) % self.trainer.validation_freq == 0
