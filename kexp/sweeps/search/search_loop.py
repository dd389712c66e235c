"""Runs a search: turns suggestions of the study into trials, and reports the results of trials to the study."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kexp.errors import ConfigError, UnknownNameError
from kexp.sweeps.search.study import Study, Suggestion
from kexp.sweeps.trials import Outcome, Trial

if TYPE_CHECKING:
    from kexp.sweeps.execution.session import Session

__all__ = ["SearchLoop"]

_Plan = Callable[[Sequence[tuple[str, ...]]], list[Trial]]
_INVALID_AT_FIRST = 10  # if so many of the first suggestions are invalid, and none is valid, the search is refused
_STATES = {"COMPLETE": "DONE", "PRUNED": "PRUNED", "FAIL": "FAILED"}


@dataclass
class _Attempt:
    """A suggestion and its trials, one for each seed.

    Attributes:
        suggestion: the study's suggestion.
        trials: its trials, in the order of the seeds.
        waiting: the trials that have not started.
        values: the objectives of each finished trial.
        over: whether the study has the result, so that no other trial of the suggestion starts.
    """

    suggestion: Suggestion
    trials: list[Trial]
    waiting: deque[Trial] = field(default_factory=deque)
    values: list[list[float]] = field(default_factory=list)
    over: bool = False


class SearchLoop:
    """Supplies a session with trials that a study suggests.

    Args:
        study: makes the suggestions.
        session: runs the trials; its list of trials grows with each suggestion.
        plan: composes, checks and fingerprints overrides.
        n_trials: how many suggestions the study makes in total, including earlier runs of the search.
        seeds: each suggestion runs with each of these seeds, and its value is their mean; empty for the config's seed.
        pruner: the pruner's name; empty for none. With a pruner, the seeds of a suggestion run one after another:
            Wilcoxon's test compares seed by seed; any other pruner monitors the epochs of the first seed.
        epochs: the most epochs of a trial.
    """

    def __init__(
        self,
        study: Study,
        session: Session,
        plan: _Plan,
        *,
        n_trials: int,
        seeds: Sequence[int] = (),
        pruner: str = "",
        epochs: int = 0,
    ) -> None:
        self.study, self.session, self.n_trials = study, session, n_trials
        self.seeds, self.pruner, self.epochs = tuple(seeds), pruner, epochs
        self._plan = plan
        self._ready: deque[Trial] = deque()
        self._attempts: dict[int, _Attempt] = {}
        self._by_fingerprint: dict[str, Trial] = {}
        self._followers: dict[int, list[Trial]] = {}
        self._curves: dict[str, dict[int, float]] = {}
        self._invalid = 0
        self._all_invalid = True

    @property
    def most(self) -> int:
        """The most trials that can still run."""
        return max(0, self.n_trials - self.study.started) * max(1, len(self.seeds))

    def restore(self) -> None:
        """Adds the trials of earlier runs of the search to the session's table."""
        for past in self.study.finished():
            trials = self._trials(past.number, past.chosen)
            for trial in trials:
                if trial.state == "WAITING":
                    self.session.trials.append(trial)
        self.session.skip_done()
        kept = []
        by_number = {past.number: past for past in self.study.finished()}
        for trial in self.session.trials:
            past = by_number[trial.number // max(1, len(self.seeds))]
            if trial.state == "DONE":
                self._by_fingerprint[trial.fingerprint] = trial
            elif past.state == "COMPLETE":  # the study has its result, but the store has no run
                trial.state = "DONE"
                trial.metrics = dict(zip((each.metric for each in self.study.objectives), past.values, strict=True))
            elif trial.number % max(1, len(self.seeds)):
                continue  # this seed of the suggestion did not run
            else:
                trial.state, trial.reason = _STATES[past.state], past.reason  # type: ignore[assignment]
            self._all_invalid = False
            kept.append(trial)
        self.session.trials[:] = kept

    def next_trial(self) -> Trial | None:
        """Returns the next trial to start, or None if there is none at this time.

        Raises:
            ConfigError: all suggestions so far are invalid.
        """
        while not self._ready:
            if self.study.started >= self.n_trials:
                return None
            suggestion = self.study.ask()
            if suggestion is None:
                return None
            self._begin(suggestion)
        return self._ready.popleft()

    def prune_reason(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> str | None:
        """Returns the reason why a trial is pruned after this epoch, or None if it continues."""
        attempt = self._attempts[trial.number]
        value = metrics.get(self.study.objectives[0].metric)
        if trial is not attempt.trials[0] or value is None or not math.isfinite(value) or attempt.over:
            return None
        self._curves.setdefault(trial.fingerprint, {})[epoch] = value
        if self.study.report(attempt.suggestion, value, epoch) and epoch < self.epochs:
            return f"pruned by {self.pruner} after epoch {epoch}"
        return None

    def on_end(self, trial: Trial, outcome: Outcome) -> None:
        """Handles the end of a trial: reports it to the study, and settles equal trials that waited for it."""
        attempt = self._attempts[trial.number]
        self._record_result(attempt, trial, again=outcome.state == "FAILED" and not outcome.repeatable)
        for follower in self._followers.pop(trial.number, ()):
            self._copy_result(follower, trial)
            other = self._attempts[follower.number]
            self._record_result(other, follower)
            self._advance(other)
        self._advance(attempt)

    def _begin(self, suggestion: Suggestion) -> None:
        """Makes the trials of a suggestion, and starts those that can start now."""
        trials = self._trials(suggestion.number, suggestion.chosen)
        attempt = _Attempt(suggestion, trials, deque(trials))
        self._attempts.update({trial.number: attempt for trial in trials})
        self._advance(attempt)

    def _trials(self, number: int, chosen: Mapping[str, object]) -> list[Trial]:
        """Returns the trials of the suggestion with this number and these parameters, one for each seed."""
        overrides = self.study.space.overrides(chosen)
        several = [(*overrides, f"seed={seed}") for seed in self.seeds] or [overrides]
        trials = self._plan(several)
        for place, trial in enumerate(trials):
            trial.number = number * len(several) + place
        return trials

    def _advance(self, attempt: _Attempt) -> None:
        """Starts all trials of the attempt; with a pruner, which may make some needless, only the next one."""
        while attempt.waiting and not attempt.over:
            trial = attempt.waiting.popleft()
            self.session.trials.append(trial)
            leader = self._reuse_result(trial)
            if trial.state == "WAITING" and leader is None:
                self._by_fingerprint[trial.fingerprint] = trial
                self._ready.append(trial)
            elif leader is not None:
                self._followers.setdefault(leader.number, []).append(trial)
            else:
                self._report_curve(attempt, trial)
                self._record_result(attempt, trial)
                continue
            if self.pruner:
                return

    def _reuse_result(self, trial: Trial) -> Trial | None:
        """Copies the result of an equal trial, if there is one.

        Returns:
            The equal trial if it is still running, so that its result cannot be copied yet; else None.

        Raises:
            ConfigError: all suggestions so far are invalid.
        """
        if trial.state == "INVALID":
            self._invalid += 1
            if self._all_invalid and self._invalid >= min(_INVALID_AT_FIRST, self.n_trials):
                reasons = dict.fromkeys(each.reason for each in self.session.trials if each.state == "INVALID")
                raise ConfigError("no trial of the search is valid: " + "; ".join(list(reasons)[:5]))
            return None
        self._all_invalid = False
        equal = self._by_fingerprint.get(trial.fingerprint)
        if equal is None:
            self.session.skip_done()
        elif equal.over:
            self._copy_result(trial, equal)
        else:
            return equal
        return None

    def _copy_result(self, trial: Trial, equal: Trial) -> None:
        """Copies the result of an equal trial that has ended. If that was interrupted, this one waits as well."""
        trial.state = "DONE" if equal.state == "FINISHED" else equal.state
        trial.run_id, trial.metrics, trial.reason = equal.run_id, dict(equal.metrics), equal.reason
        trial.folder = equal.folder
        if trial.state == "KILLED":
            trial.state = "WAITING"

    def _report_curve(self, attempt: _Attempt, trial: Trial) -> None:
        """Reports the epochs of a reused result to the study, so that the pruner can compare other trials with it."""
        if not self.pruner or self.pruner == "wilcoxon" or trial is not attempt.trials[0] or trial.state != "DONE":
            return
        curve = self._curves.get(trial.fingerprint)
        if curve is None:
            curve = self.session.curve(trial)
        for epoch, value in curve.items():
            if math.isfinite(value):
                self.study.report(attempt.suggestion, value, epoch)

    def _record_result(self, attempt: _Attempt, trial: Trial, again: bool = False) -> None:
        """Records the result of a trial, and reports to the study once the attempt is over."""
        if attempt.over or trial.state in ("KILLED", "WAITING"):  # interrupted: it stays running in the study
            return
        if trial.state in ("FINISHED", "DONE"):
            self._add_values(attempt, trial)
        elif trial.state == "PRUNED":
            self.study.prune(attempt.suggestion, trial.reason)
            self._close(attempt)
        else:
            self.study.fail(attempt.suggestion, trial.reason, again=again)
            self._close(attempt)

    def _add_values(self, attempt: _Attempt, trial: Trial) -> None:
        """Adds the objectives of a finished trial. After the last seed the study gets the means over the seeds.

        Raises:
            UnknownNameError: the trial has no metric of an objective's name.
        """
        values = []
        for objective in self.study.objectives:
            if objective.metric not in trial.metrics:
                raise UnknownNameError("sweep.objective", "metric", objective.metric, trial.metrics)
            values.append(trial.metrics[objective.metric])
        if not all(map(math.isfinite, values)):
            self.study.fail(attempt.suggestion, f"{self.study.objectives[0].metric} is not finite")
            self._close(attempt)
            return
        attempt.values.append(values)
        seed_index = attempt.trials.index(trial)
        pruned = self.pruner == "wilcoxon" and self.study.report(attempt.suggestion, values[0], seed_index)
        if len(attempt.values) == len(attempt.trials):
            means = [math.fsum(column) / len(column) for column in zip(*attempt.values, strict=True)]
            self.study.finish(attempt.suggestion, means)
            self._close(attempt)
        elif pruned:
            self.study.prune(attempt.suggestion, f"pruned by wilcoxon after {len(attempt.values)} seeds")
            self._close(attempt)

    def _close(self, attempt: _Attempt) -> None:
        """Marks an attempt as over, and drops its trials that have not started."""
        attempt.over = True
        attempt.waiting.clear()
        for trial in [each for each in self._ready if self._attempts[each.number] is attempt]:
            self._ready.remove(trial)
            self.session.trials.remove(trial)
