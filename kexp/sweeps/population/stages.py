"""Stages of a sweep: trials train until an epoch, a decision is made on all of them, and some continue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from kexp.sweeps.population.decisions import Decision, Decisions, Method
from kexp.sweeps.trials import Trial
from kexp.tracking import find_finished

if TYPE_CHECKING:
    from kexp.sweeps.execution.session import Session
    from kexp.sweeps.objective import Objective

__all__ = ["Stages"]


class Stages:
    """Passes the trials of each stage to a session.

    Args:
        session: runs the trials; holds those that start.
        objective: the metric that trials are ranked by.
        method: makes the decisions.
        decisions: the decisions of an interrupted sweep, if it resumes; new decisions are added.
        take_effect: called with each decision, to update the method's own state.
        over: called once when all trials are over.
    """

    def __init__(
        self,
        session: Session,
        objective: Objective,
        method: Method,
        decisions: Decisions,
        take_effect: Callable[[Decision], None] = lambda _: None,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self.session, self.objective, self.method, self.decisions = session, objective, method, decisions
        self._take_effect, self._over = take_effect, over
        self.trials = {trial.number: trial for trial in session.trials if trial.state != "INVALID"}
        self._all = dict(self.trials)
        self._ended: dict[int, str] = {}  # trials that the interrupted sweep had ended -> the reason
        self._at = 0
        self._running: list[Trial] = []
        self._curves: dict[str, dict[int, float]] = {}

    def begin(self) -> list[Trial]:
        """Returns the first trials to run. If the sweep resumes, earlier decisions are applied first."""
        for decision in self.decisions.made:
            self._apply(decision)
        if not self.method.stops[self._at :] or self.method.name == "asha":
            self.session.skip_done()
        self._running = [*self._untracked(), *self._stage()]
        return self._running

    def then(self) -> list[Trial]:
        """Returns the trials that continue, once all trials of the stage are paused or over; else none."""
        if any(not (trial.over or trial.number in self.session.paused) for trial in self._running):
            return []
        for number, reason in self._ended.items():
            if number in self.session.paused:
                self.session.prune_paused(self._all[number], reason)
        stops = self.method.stops
        while self._running and self._at < len(stops):
            epoch = stops[self._at]
            paused = [number for number in self.trials if number in self.session.paused]
            if not paused:
                break
            values = {number: self._value(trial, epoch) for number, trial in self.trials.items()}
            measured = {number: value for number, value in values.items() if value is not None}
            decision = replace(self.method.decide(epoch, self._ranked(measured), paused), values=measured)
            self.decisions.add(decision)
            self._apply(decision)
            self._running = self._stage()
            if self._running:
                return self._running
        if self._running or self._at == len(stops):
            self._running, self._at = [], len(stops) + 1
            self._over()
        return []

    def _untracked(self) -> list[Trial]:
        """Returns the trials that had ended before the interruption but are not in the store; they train again."""
        store, ended = self.session.store, [self._all[number] for number in self._ended]
        if store is None or not ended:
            return []
        found = find_finished(store, [trial.fingerprint for trial in ended])
        lost = []
        for trial in ended:
            run = found.get(trial.fingerprint)
            if run is None:
                trial.state, trial.reason = "WAITING", ""
                lost.append(trial)
            else:
                trial.run_id, trial.metrics, trial.epoch = run.run_id, dict(run.metrics), trial.until
        return lost

    def _apply(self, decision: Decision) -> None:
        """Applies a decision to the trials, which are paused now or were paused before the interruption."""
        for number, reason in decision.ends.items():
            trial = self.trials.pop(number)
            if number in self.session.paused:
                self.session.prune_paused(trial, reason)
            else:
                trial.state, trial.reason, trial.until = "PRUNED", reason, decision.epoch
                self._ended[number] = reason
        for number, trial in self.trials.items():
            trial.goes_on = (number, decision.epoch)
        for number, copy in decision.copies.items():
            self.trials[number].goes_on = (copy.donor, decision.epoch)
        self._take_effect(decision)
        self._at += 1

    def _stage(self) -> list[Trial]:
        """Returns the trials of the next stage, after setting the epoch at which each pauses."""
        stops = [*self.method.stops, 0]
        running = [trial for trial in self.trials.values() if not trial.over]
        for trial in running:
            trial.until = stops[self._at]
        return running

    def _ranked(self, values: Mapping[int, float]) -> list[int]:
        """Returns the trials, best first; trials without a value come last."""
        ranked = sorted(values, key=lambda number: (self.objective.rank_key(values[number]), number))
        return [*ranked, *(number for number in self.trials if number not in values)]

    def _value(self, trial: Trial, epoch: int) -> float | None:
        if trial.state == "DONE":
            return self._curve(trial).get(epoch, self.session.value(trial))
        return self.session.value(trial) if trial.whole or trial.number in self.session.paused else None

    def _curve(self, trial: Trial) -> dict[int, float]:
        """Returns epoch -> objective of a trial that another sweep has finished."""
        if trial.run_id not in self._curves:
            self._curves[trial.run_id] = self.session.curve(trial)
        return self._curves[trial.run_id]
