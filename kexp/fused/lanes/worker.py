"""One thread's work: keeps the lanes of a program busy, epoch by epoch, until no trial is left."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from kexp.errors import in_a_line
from kexp.fused.lanes.callbacks import CallbackError
from kexp.fused.lanes.results import results_of
from kexp.fused.lanes.running_trial import RunningTrial
from kexp.fused.lanes.states import LaneStates
from kexp.fused.program.memory import is_out_of_memory
from kexp.fused.program.program import Program
from kexp.fused.trial import LaneResult, Trial
from kexp.training import History, Stop, check_monitors

__all__ = ["OnEpoch", "OnResume", "Source", "Worker"]

OnEpoch = Callable[[Trial, int, Mapping[str, float]], Any]
OnResume = Callable[[Trial, History], None]
PATIENCE_S = 2.0  # a lane that has ended waits so long for others, to be results_of with them


class Source(Protocol):
    """Where trials come from."""

    @property
    def number(self) -> int:
        """The group's number."""

    @property
    def notice(self) -> str:
        """What its results should say; empty where there is nothing to say."""

    def take(self) -> Trial | None:
        """The next trial, or None where there is none."""


class Worker:
    """Drives one program.

    Args:
        program: compiled.
        source: gives trials.
        on_epoch: called after each epoch of each lane; a string returned ends the lane.
        emit: takes results.
        stop: set to give up.
        on_resume: called with a trial and its history where a checkpoint brought some of it back.
    """

    def __init__(
        self,
        program: Program,
        source: Source,
        on_epoch: OnEpoch,
        emit: Callable[[LaneResult], None],
        stop: threading.Event,
        on_resume: OnResume = lambda *_: None,
    ) -> None:
        import numpy as np

        self.program, self.source, self.on_epoch, self.emit, self.stop = program, source, on_epoch, emit, stop
        self.on_resume = on_resume
        self.lanes: list[RunningTrial | None] = [None] * program.width
        self.ended: list[RunningTrial] = []
        self.states = LaneStates(program)
        self.floats, self.ints = program.slots.fill([program.slots.values] * program.width)
        self.table_weights = np.ones((program.width, program.classes), np.float32) if program.weighted else None
        self.validation = np.zeros((program.width, program.rows[1]), np.int32)

    def run(self) -> None:
        """Until the source is empty and every lane has ended."""
        while not self.stop.is_set():
            self._fill()
            if not any(self.lanes):
                break
            self._epoch()
            overdue = self.ended and time.perf_counter() - self.ended[0].ended > PATIENCE_S
            if len(self.ended) >= self.program.width or overdue:
                self._finish()
        if not self.stop.is_set():
            while self.ended:
                self._finish()

    def unfinished(self) -> list[Trial]:
        """The trials that are in lanes; to be run elsewhere when this program cannot go on."""
        return [lane.trial for lane in [*self.lanes, *self.ended] if lane is not None]

    def _fill(self) -> None:
        import numpy as np

        if all(self.lanes):
            return
        program, fresh = self.program, np.zeros(self.program.width, bool)
        given, taken = program.blank_given(), []
        for slot, lane in enumerate(self.lanes):
            trial = self.source.take() if lane is None else None
            if trial is None:
                continue
            try:
                started = RunningTrial(trial, slot, self.states)
                values = () if trial.goes_on is not None else program.starts.given(trial.prepared, started.values)
            except Exception as error:
                self.emit(self._failed(trial, error, History()))
                continue
            self.lanes[slot], fresh[slot] = started, trial.goes_on is None
            taken.append(started)
            self.floats[slot : slot + 1], self.ints[slot : slot + 1] = program.slots.fill([started.values])
            if started.validation is not None:
                self.validation[slot] = started.validation
            if self.table_weights is not None:
                self.table_weights[slot] = started.weights
            for array, value in zip(given, values, strict=bool(values)):
                array[slot] = value
        if taken:
            if fresh.any():
                self.states.values = program.start(self.states.values, fresh, given)
            for lane in taken:
                if lane.trial.goes_on is not None:
                    self.states.values = program.slices.put(self.states.values, lane.slot, lane.trial.goes_on.state)
            # Arrays that a program may still read must not be written to: the next lanes get new ones.
            self.floats, self.ints, self.validation = self.floats.copy(), self.ints.copy(), self.validation.copy()
            if self.table_weights is not None:
                self.table_weights = self.table_weights.copy()
            self._begin(taken)

    def _begin(self, lanes: Sequence[RunningTrial]) -> None:
        for lane in lanes:
            try:
                lane.begin()
            except Exception as error:
                self._fail(lane, error)
        self._put_back([lane for lane in lanes if lane.found is not None])

    def _put_back(self, lanes: Sequence[RunningTrial]) -> None:
        """What checkpoints kept, in the place of what the lanes started with."""
        import numpy as np

        if not lanes:
            return
        self.states.values = [np.array(values) for values in self.states.values]
        for lane in lanes:
            assert lane.found is not None
            for values, kept in zip(self.states.values, lane.found, strict=True):
                values[lane.slot] = kept
            lane.found = None
            lane.callbacks.lane_went_on()
            self.on_resume(lane.trial, lane.history)

    def _epoch(self) -> None:
        import numpy as np

        program = self.program
        rows = np.zeros((program.width, program.rows[0]), np.int32)
        for lane in [lane for lane in self.lanes if lane is not None]:
            try:
                if lane.change():
                    self._renumber(lane)
                lane.callbacks.epoch_begins(lane.epoch)
                rows[lane.slot] = lane.rows(program.rows[0])
            except Exception as error:
                self._fail(lane, error)
        active = [lane for lane in self.lanes if lane is not None]
        if not active:
            return
        busy = [lane is not None for lane in self.lanes]
        self.states.values, measured = program.train(
            self.states.values, self.floats, self.ints, self.table_weights, rows, busy
        )
        validated = None
        if any(lane.validates() for lane in active):
            fixed, validated = program.evaluate(self.states.values, self.floats, self.ints, self.validation, busy)
            self._put_fixed(fixed, [lane.slot for lane in active if not lane.validates()])
        for lane in active:
            lane.look_ahead(program.rows[0])
        measured = np.asarray(measured).tolist()
        validated = None if validated is None else np.asarray(validated).tolist()
        for lane in active:
            logs = dict(zip(program.train_names, measured[lane.slot], strict=True))
            if validated is not None and lane.validates():
                names = [f"val_{name}" for name in program.eval_names]
                logs |= dict(zip(names, validated[lane.slot], strict=True))
            self._after_epoch(lane, dict(sorted(logs.items())))  # callbacks get them in this order from Keras

    def _renumber(self, lane: RunningTrial) -> None:
        """A lane's numbers have changed. A program may still read the arrays that they are in: it keeps those."""
        place = slice(lane.slot, lane.slot + 1)
        self.floats, self.ints = self.floats.copy(), self.ints.copy()
        self.floats[place], self.ints[place] = self.program.slots.fill([lane.values])

    def _put_fixed(self, fixed: Sequence[Any], others: Sequence[int]) -> None:
        """What a validation left of the variables that are not trained; `others` are slots that were not validated."""
        import numpy as np

        places = slice(*self.program.structure.blueprint.parts)
        if others:
            fixed = [np.array(values) for values in fixed]
            for values, kept in zip(fixed, self.states.values[places], strict=True):
                values[others] = np.asarray(kept)[others]
        self.states.values[places] = fixed

    def _after_epoch(self, lane: RunningTrial, logs: dict[str, float]) -> None:
        """Callbacks, the caller's hook, and whether this was the lane's last epoch."""
        epochs, measured = lane.trainer.epochs, dict(logs)
        try:
            lane.reason = _divergence(logs, lane.epoch + 1)
            if lane.reason:
                lane.status = "diverged"
            else:
                lane.callbacks.epoch_ended(lane.epoch, logs)
                check_monitors(lane.callbacks.callbacks, lane.epoch + 1, logs, lane.first_validated)
            metrics = lane.history.add(lane.epoch + 1, lane.changed(logs))
            answer = self._told(lane, metrics)
            lane.epoch += 1
            if lane.status == "finished" and answer:
                lane.status, lane.reason = "pruned", answer
            if lane.status != "finished" or lane.model.stop_training or lane.epoch >= epochs:
                self._end(lane, measured)
            elif lane.epoch == lane.trial.pause_at:
                self._park(lane)
            elif lane.checkpoints is not None and lane.checkpoints.is_due(lane.epoch):
                lane.history.duration_s = lane.duration_s()
                lane.checkpoints.save(lane.epoch, lane.history, self.states.of(lane))
        except Exception as error:
            self._fail(lane, error)

    def _park(self, lane: RunningTrial) -> None:
        """Takes a lane out, to go on later."""
        parked = lane.park(self.program.slices.take(self.states.values, lane.slot))
        self.lanes[lane.slot] = None
        group, width, how = self.source.number, self.program.width, self.program.executor
        self.emit(
            LaneResult(lane.trial, "paused", "", parked.history, group=group, width=width, executor=how, parked=parked)
        )

    def _fail(self, lane: RunningTrial, error: Exception) -> None:
        if is_out_of_memory(error) and not isinstance(error, CallbackError):
            raise error
        self.lanes[lane.slot] = None
        self.emit(self._failed(lane.trial, error, lane.history))

    def _failed(self, trial: Trial, error: Exception, history: History) -> LaneResult:
        return LaneResult(trial, "failed", _sentence(error), history, group=self.source.number, error=error)

    def _told(self, lane: RunningTrial, metrics: Mapping[str, float]) -> str:
        try:
            answer = self.on_epoch(lane.trial, lane.epoch + 1, metrics)
        except Stop as stop:
            return stop.reason
        return answer if isinstance(answer, str) else ""

    def _end(self, lane: RunningTrial, logs: dict[str, float]) -> None:
        lane.final = self.program.finalized(self.states.of(lane))
        if lane.status != "diverged":
            lane.callbacks.train_ended(logs)
            lane.history.best_epoch = lane.callbacks.best_epoch()
        if lane.status == "finished" and lane.epoch < lane.trainer.epochs:
            lane.reason = lane.callbacks.reason(lane.epoch, lane.trainer.epochs)
        lane.history.stopped = lane.reason
        if self.source.notice:
            lane.history.notice(self.source.notice)
        lane.history.duration_s = lane.duration_s()
        lane.ended = time.perf_counter()
        self.lanes[lane.slot] = None
        self.ended.append(lane)

    def _finish(self) -> None:
        """Tests lanes that have ended, a program's width at a time, and gives their results away."""
        lanes, self.ended = self.ended[: self.program.width], self.ended[self.program.width :]
        group, narrowed = self.source.number, bool(self.source.notice)
        for result in results_of(self.program, lanes):
            self.emit(replace(result, group=group, narrowed=narrowed))


def _divergence(logs: Mapping[str, float], epoch: int) -> str:
    """Which loss is no finite number, as a sentence; empty where they are."""
    if not math.isfinite(logs["loss"]):
        return f"the loss became {logs['loss']} in epoch {epoch}"
    if not math.isfinite(logs.get("val_loss", 0.0)):
        return f"the validation loss became {logs['val_loss']} in epoch {epoch}"
    return ""


def _sentence(error: BaseException) -> str:
    if isinstance(error, CallbackError):
        return str(error) if error.__cause__ is None or error.only_here else in_a_line(error.__cause__)
    return in_a_line(error)
