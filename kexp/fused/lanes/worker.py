"""Runs a program in one thread: epoch by epoch, with a trial in each lane, until no trial is left."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from kexp.errors import in_a_line
from kexp.fused.lanes.callbacks import CallbackError
from kexp.fused.lanes.lane_inputs import LaneInputs
from kexp.fused.lanes.results import results_of
from kexp.fused.lanes.running_trial import RunningTrial
from kexp.fused.lanes.states import LaneStates
from kexp.fused.program.memory import is_out_of_memory
from kexp.fused.program.program import Program
from kexp.fused.trial import LaneResult, Trial
from kexp.training import History, Stop, best_epoch, check_monitors, why_stopped

__all__ = ["OnEpoch", "OnResume", "Source", "Worker"]

OnEpoch = Callable[[Trial, int, Mapping[str, float]], Any]
"""(trial, epoch from 1, metrics) -> a string to end the trial for that reason; anything else is ignored."""
OnResume = Callable[[Trial, History], None]
"""(trial, the history that its checkpoint restored)."""
_PATIENCE_S = 2.0  # how long a lane that has ended waits for others, so that they are tested together


class Source(Protocol):
    """The waiting trials of a group."""

    @property
    def number(self) -> int:
        """The number of the group."""

    @property
    def notice(self) -> str:
        """A notice for each result; empty for none."""

    def take(self) -> Trial | None:
        """Removes and returns the next trial; None if there is none."""


class Worker:
    """Runs one program.

    Args:
        program: the compiled program.
        source: the waiting trials.
        on_epoch: called after each epoch of each lane.
        emit: receives each result.
        stop: when it is set, no further epoch is started.
        on_resume: called when a checkpoint has restored a trial.
    """

    def __init__(
        self,
        program: Program,
        source: Source,
        on_epoch: OnEpoch,
        emit: Callable[[LaneResult], None],
        stop: threading.Event,
        on_resume: OnResume,
    ) -> None:
        self.program, self.source, self.on_epoch, self.emit, self.stop = program, source, on_epoch, emit, stop
        self.on_resume = on_resume
        self.lanes: list[RunningTrial | None] = [None] * program.width
        self.ended: list[RunningTrial] = []
        self.states = LaneStates(program)
        self.inputs = LaneInputs(program)

    def run(self) -> None:
        """Trains until the source is empty and every lane has ended."""
        while not self.stop.is_set():
            self._fill()
            if not any(self.lanes):
                break
            self._epoch()
            overdue = self.ended and time.perf_counter() - self.ended[0].ended > _PATIENCE_S
            if len(self.ended) >= self.program.width or overdue:
                self._finish()
        if not self.stop.is_set():
            while self.ended:
                self._finish()

    def unfinished(self) -> list[Trial]:
        """Returns the trials without a result, to be run again after the program has failed."""
        return [lane.trial for lane in [*self.lanes, *self.ended] if lane is not None]

    def _fill(self) -> None:
        """Starts waiting trials in the free lanes."""
        import numpy as np

        if all(self.lanes):
            return
        program, started = self.program, list[RunningTrial]()
        is_fresh, given = np.zeros(program.width, bool), program.blank_given()
        for slot, lane in enumerate(self.lanes):
            trial = self.source.take() if lane is None else None
            if trial is None:
                continue
            resumes = trial.resume_from is not None
            try:
                new = RunningTrial(trial, slot, self.states)
                first_values = () if resumes else program.starts.given(trial.prepared, new.values)
            except Exception as error:
                self.emit(self._failed(trial, error, History()))
                continue
            self.lanes[slot], is_fresh[slot] = new, not resumes
            started.append(new)
            for array, value in zip(given, first_values, strict=not resumes):
                array[slot] = value
        if not started:
            return
        self.inputs.begin(started)
        if is_fresh.any():
            self.states.values = program.start(self.states.values, is_fresh, given)
        for lane in started:
            if lane.trial.resume_from is not None:
                self.states.values = program.slices.put(self.states.values, lane.slot, lane.trial.resume_from.state)
        self._begin(started)

    def _begin(self, lanes: Sequence[RunningTrial]) -> None:
        """Calls `on_train_begin` of the lanes' callbacks, and restores checkpoints."""
        for lane in lanes:
            try:
                lane.begin()
            except Exception as error:
                self._fail(lane, error)
        self._restore([lane for lane in lanes if lane.restored is not None])

    def _restore(self, lanes: Sequence[RunningTrial]) -> None:
        """Replaces the first state of lanes by the variables of their checkpoints."""
        import numpy as np

        if not lanes:
            return
        self.states.values = [np.array(values) for values in self.states.values]
        for lane in lanes:
            assert lane.restored is not None
            for values, restored in zip(self.states.values, lane.restored, strict=True):
                values[lane.slot] = restored
            lane.restored = None
            lane.callbacks.mark_state_changed()
            self.on_resume(lane.trial, lane.history)

    def _epoch(self) -> None:
        """Trains every lane for an epoch and validates those that are due."""
        import numpy as np

        program = self.program
        rows = np.zeros((program.width, program.rows[0]), np.int32)
        for lane in [lane for lane in self.lanes if lane is not None]:
            try:
                if lane.apply_changes():
                    self.inputs.set_numbers([lane])
                lane.callbacks.epoch_begins(lane.epoch)
                rows[lane.slot] = lane.rows(program.rows[0])
            except Exception as error:
                self._fail(lane, error)
        active = [lane for lane in self.lanes if lane is not None]
        if not active:
            return
        has_trial = [lane is not None for lane in self.lanes]
        floats, ints, inputs = self.inputs.floats, self.inputs.ints, self.inputs
        self.states.values, measured = program.train(
            self.states.values, floats, ints, inputs.class_weights, rows, has_trial
        )
        validated = None
        if any(lane.validates() for lane in active):
            fixed, validated = program.evaluate(self.states.values, floats, ints, inputs.validation, has_trial)
            self._put_non_trainable(fixed, [lane.slot for lane in active if not lane.validates()])
        for lane in active:
            lane.prefetch_rows(program.rows[0])
        measured = np.asarray(measured).tolist()
        validated = None if validated is None else np.asarray(validated).tolist()
        for lane in active:
            logs = dict(zip(program.train_names, measured[lane.slot], strict=True))
            if validated is not None and lane.validates():
                names = [f"val_{name}" for name in program.eval_names]
                logs |= dict(zip(names, validated[lane.slot], strict=True))
            self._after_epoch(lane, dict(sorted(logs.items())))  # in the order in which Keras passes them

    def _put_non_trainable(self, values: Sequence[Any], unvalidated: Sequence[int]) -> None:
        """Sets the non-trainable variables after a validation, except in the slots that were not validated."""
        import numpy as np

        positions = self.program.structure.blueprint.non_trainable
        if unvalidated:
            values = [np.array(each) for each in values]
            for new, old in zip(values, self.states.values[positions], strict=True):
                new[unvalidated] = np.asarray(old)[unvalidated]
        self.states.values[positions] = values

    def _after_epoch(self, lane: RunningTrial, logs: dict[str, float]) -> None:
        """Calls the callbacks and `on_epoch`; then ends, pauses or checkpoints the lane if that is due."""
        epochs, measured = lane.trainer.epochs, dict(logs)
        try:
            lane.reason = _divergence(logs, lane.epoch + 1)
            if lane.reason:
                lane.status = "diverged"
            else:
                lane.callbacks.epoch_ended(lane.epoch, logs)
                check_monitors(lane.callbacks.callbacks, lane.epoch + 1, logs, lane.first_validated)
            metrics = lane.history.add(lane.epoch + 1, {**logs, **lane.changing_numbers(lane.epoch)})
            answer = self._notify(lane, metrics)
            lane.epoch += 1
            if lane.status == "finished" and answer:
                lane.status, lane.reason = "pruned", answer
            if lane.status != "finished" or lane.model.stop_training or lane.epoch >= epochs:
                self._end(lane, measured)
            elif lane.epoch == lane.trial.pause_at:
                self._pause(lane)
            elif lane.checkpoints is not None and lane.checkpoints.is_due(lane.epoch):
                lane.history.duration_s = lane.duration_s()
                lane.checkpoints.save(lane.epoch, lane.history, self.states.of(lane))
        except Exception as error:
            self._fail(lane, error)

    def _pause(self, lane: RunningTrial) -> None:
        """Takes a lane out of the program, so that it can resume later."""
        paused = lane.pause(self.program.slices.take(self.states.values, lane.slot))
        self.lanes[lane.slot] = None
        group, width, how = self.source.number, self.program.width, self.program.executor
        self.emit(
            LaneResult(lane.trial, "paused", "", paused.history, group=group, width=width, executor=how, paused=paused)
        )

    def _fail(self, lane: RunningTrial, error: Exception) -> None:
        """Ends a lane with an error; raises the error if memory has run out, which concerns the whole program."""
        if is_out_of_memory(error) and not isinstance(error, CallbackError):
            raise error
        self.lanes[lane.slot] = None
        self.emit(self._failed(lane.trial, error, lane.history))

    def _failed(self, trial: Trial, error: Exception, history: History) -> LaneResult:
        return LaneResult(trial, "failed", _sentence(error), history, group=self.source.number, error=error)

    def _notify(self, lane: RunningTrial, metrics: Mapping[str, float]) -> str:
        """Calls `on_epoch`; returns the reason to end the trial, or an empty string."""
        try:
            answer = self.on_epoch(lane.trial, lane.epoch + 1, metrics)
        except Stop as stop:
            return stop.reason
        return answer if isinstance(answer, str) else ""

    def _end(self, lane: RunningTrial, logs: dict[str, float]) -> None:
        """Ends a lane. Its result is emitted after the test."""
        lane.final = self.program.finalized(self.states.of(lane))
        if lane.status != "diverged":
            lane.callbacks.train_ended(logs)
            lane.history.best_epoch = best_epoch(lane.callbacks.callbacks)
        if lane.status == "finished" and lane.epoch < lane.trainer.epochs:
            lane.reason = why_stopped(lane.callbacks.callbacks, lane.epoch, lane.trainer.epochs)
        lane.history.stopped = lane.reason
        if self.source.notice:
            lane.history.notice(self.source.notice)
        lane.history.duration_s = lane.duration_s()
        lane.ended = time.perf_counter()
        self.lanes[lane.slot] = None
        self.ended.append(lane)

    def _finish(self) -> None:
        """Tests lanes that have ended, at most as many as the program has lanes, and emits their results."""
        lanes, self.ended = self.ended[: self.program.width], self.ended[self.program.width :]
        group, narrowed = self.source.number, bool(self.source.notice)
        for result in results_of(self.program, lanes):
            self.emit(replace(result, group=group, narrowed=narrowed))


def _divergence(logs: Mapping[str, float], epoch: int) -> str:
    """Returns which loss is not finite, as a sentence; empty if both are."""
    if not math.isfinite(logs["loss"]):
        return f"the loss became {logs['loss']} in epoch {epoch}"
    if not math.isfinite(logs.get("val_loss", 0.0)):
        return f"the validation loss became {logs['val_loss']} in epoch {epoch}"
    return ""


def _sentence(error: BaseException) -> str:
    """Returns the reason of a failed trial, in the words of a single run if a callback raised the error."""
    if isinstance(error, CallbackError):
        return str(error) if error.__cause__ is None or error.only_here else in_a_line(error.__cause__)
    return in_a_line(error)
