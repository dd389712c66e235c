"""The study: Optuna's record of a search, in a file or a database, from which an interrupted search resumes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kexp.sweeps.objective import Objective
from kexp.sweeps.search.optuna_package import import_optuna, no_warnings
from kexp.sweeps.search.resume_check import check_unchanged, study_attributes
from kexp.sweeps.search.samplers import Chosen
from kexp.sweeps.search.space.axes import Choice, Domain, Interval, Space, Steps

if TYPE_CHECKING:
    import optuna

__all__ = ["PastSuggestion", "Study", "Suggestion"]

_NUMBER, _POINT, _RETRY = "kexp.number", "kexp.point", "kexp.retry"


@dataclass
class Suggestion:
    """A point that the study suggests to try.

    Attributes:
        number: from 0; a new attempt keeps the number of the interrupted one.
        chosen: axis name -> value.
        trial: Optuna's trial.
        steps: the steps whose values were reported to the study.
    """

    number: int
    chosen: dict[str, Any]
    trial: optuna.Trial
    steps: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class PastSuggestion:
    """A suggestion that is over.

    Attributes:
        number: the suggestion's number.
        chosen: axis name -> value.
        state: COMPLETE, PRUNED or FAIL.
        values: the value of each objective; empty if it did not complete.
        reason: why it did not complete.
        attempt: the number of Optuna's trial.
    """

    number: int
    chosen: dict[str, Any]
    state: str
    values: tuple[float, ...]
    reason: str = ""
    attempt: int = -1


class Study:
    """The study of a search.

    Suggestions are a function of the seed, the suggestion's number and the results before it. A resumed search
    therefore makes the suggestions that it would have made without the interruption.

    Args:
        name: the sweep's name.
        storage: Optuna's storage, see `storage.open_storage`.
        space: the search space.
        objectives: one or several.
        sampler: makes the suggestions.
        pruner: ends trials early; None for none.
        seed: random seed of the suggestions.
        seeds: the seeds that each suggestion runs with.

    Raises:
        ConfigError: the storage has a study of this name with another space, settings, objectives or seeds.
    """

    def __init__(
        self,
        name: str,
        storage: Any,
        space: Space,
        objectives: Sequence[Objective],
        *,
        sampler: Chosen,
        pruner: Chosen | None = None,
        seed: int = 0,
        seeds: Sequence[int] = (),
    ) -> None:
        optuna = import_optuna()
        self.space, self.objectives, self.sampler, self.seed = space, list(objectives), sampler, seed
        self._states = optuna.trial.TrialState
        check_unchanged(name, storage, space, objectives, seeds)
        with no_warnings():
            self.optuna: Any = optuna.create_study(
                study_name=name,
                storage=storage,
                directions=[objective.direction for objective in objectives],
                sampler=sampler.make(seed),
                pruner=pruner.make() if pruner else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            if "kexp.space" not in self.optuna.user_attrs:
                for key, value in study_attributes(space, objectives, seeds).items():
                    self.optuna.set_user_attr(key, value)
                self.optuna.set_metric_names([objective.metric for objective in objectives])
        self.started = self._queued = self._point = self._next = 0
        self._points: Iterator[dict[str, Any]] | None = space.points() if sampler.name == "grid" else None

    def resume(self) -> None:
        """Prepares to continue the study. Call it once, when no other process works on the study.

        Suggestions that were running when the search was killed, and those that failed for reasons that may not recur,
        are queued again.
        """
        states, latest = self._states, self._latest_attempts()
        with no_warnings():
            self._requeue(
                [
                    trial
                    for trial in self._trials()
                    if trial.state == states.RUNNING
                    or (trial in latest and trial.state == states.FAIL and _RETRY in trial.user_attrs)
                ]
            )
            trials = self._trials()
            self.started = sum(1 for trial in self._latest_attempts() if trial.state.is_finished())
        self._queued = sum(1 for trial in trials if trial.state == states.WAITING)
        self._next = 1 + max((trial.user_attrs.get(_NUMBER, -1) for trial in trials), default=-1)
        self._point = 1 + max((trial.user_attrs.get(_POINT, -1) for trial in trials), default=-1)
        if self._points is not None:
            self._points = itertools.islice(self.space.points(), self._point, None)

    def finished(self) -> list[PastSuggestion]:
        """Returns the suggestions that are over."""
        return [
            PastSuggestion(
                trial.user_attrs[_NUMBER],
                self._chosen(trial.params),
                trial.state.name,
                tuple(trial.values or ()),
                trial.user_attrs.get("kexp.reason", ""),
                trial.number,
            )
            for trial in self._latest_attempts()
            if trial.state.is_finished()
        ]

    def ask(self) -> Suggestion | None:
        """Makes the next suggestion. Returns None if a grid has no more points."""
        with no_warnings():
            if not self._queue_point():
                return None
            self.optuna.sampler = self.sampler.make(_seed_of(self.seed, self._next))
            trial = self.optuna.ask()
            self.started += 1
            self._queued = max(0, self._queued - 1)
            kept = trial.user_attrs.get(_NUMBER)
            if kept is None:
                kept, self._next = self._next, self._next + 1
                trial.set_user_attr(_NUMBER, kept)
            chosen: dict[str, Any] = {}
            for axis in self.space.active(chosen):
                chosen[axis.name] = _suggest(trial, axis.name, axis.domain)
            suggestion = Suggestion(kept, chosen, trial)
            self._restore_values(suggestion)
        return suggestion

    def report(self, suggestion: Suggestion, value: float, step: int) -> bool:
        """Reports an intermediate value to the study.

        Args:
            suggestion: a result of `ask`.
            value: the objective.
            step: the epoch, or for Wilcoxon's test the index of the seed.

        Returns:
            Whether to prune the suggestion.
        """
        with no_warnings():
            if step not in suggestion.steps:
                suggestion.trial.report(value, step)
                suggestion.steps.add(step)
            return bool(suggestion.trial.should_prune())

    def finish(self, suggestion: Suggestion, values: Sequence[float]) -> None:
        """Records the objectives' values of a completed suggestion."""
        self._tell(suggestion, "COMPLETE", list(values))

    def prune(self, suggestion: Suggestion, reason: str) -> None:
        """Records that a suggestion was pruned."""
        suggestion.trial.set_user_attr("kexp.reason", reason)
        self._tell(suggestion, "PRUNED")

    def fail(self, suggestion: Suggestion, reason: str, *, again: bool = False) -> None:
        """Records that a suggestion failed.

        Args:
            suggestion: a result of `ask`.
            reason: why it failed.
            again: whether to try the suggestion again when the search resumes.
        """
        suggestion.trial.set_user_attr("kexp.reason", reason)
        if again:
            suggestion.trial.set_user_attr(_RETRY, True)
        self._tell(suggestion, "FAIL")

    def best(self) -> list[PastSuggestion]:
        """Returns the best suggestion; for several objectives, the Pareto-optimal suggestions."""
        with no_warnings():
            numbers = {trial.number for trial in self.optuna.best_trials}
        return [past for past in self.finished() if past.attempt in numbers]

    def requeue_running(self) -> None:
        """Queues the suggestions that have not ended again, for when the search resumes."""
        with no_warnings():
            self._requeue([trial for trial in self._trials() if trial.state == self._states.RUNNING])

    def _tell(self, suggestion: Suggestion, state: str, values: list[float] | None = None) -> None:
        with no_warnings():
            self.optuna.tell(suggestion.trial, values, state=self._states[state])

    def _requeue(self, trials: Sequence[Any]) -> None:
        """Queues the same choices again. The attempts share a number, and the latest counts."""
        waiting = {trial.user_attrs.get(_NUMBER) for trial in self._trials() if trial.state == self._states.WAITING}
        for trial in trials:
            number = trial.user_attrs.get(_NUMBER)
            # If the number is waiting, a process queued it and was killed before it ended the old attempt below.
            if number is not None and number not in waiting:
                kept = {_NUMBER: number}
                if _POINT in trial.user_attrs:
                    kept[_POINT] = trial.user_attrs[_POINT]
                self.optuna.enqueue_trial(trial.params, user_attrs=kept)
            if not trial.state.is_finished():
                self.optuna.tell(trial.number, state=self._states.FAIL)

    def _queue_point(self) -> bool:
        """Queues a grid's next point if the queue is empty. Returns False if the grid has no more points."""
        if self._points is None or self._queued:
            return True
        point = next(self._points, None)
        if point is None:
            return False
        self.optuna.enqueue_trial(point, user_attrs={_POINT: self._point})
        self._point += 1
        self._queued += 1
        return True

    def _restore_values(self, suggestion: Suggestion) -> None:
        """Reports the values of the interrupted attempt, because epochs before its checkpoint are not trained again."""
        earlier = [trial for trial in self._trials() if trial.user_attrs.get(_NUMBER) == suggestion.number]
        for trial in earlier[:-1]:
            for step, value in trial.intermediate_values.items():
                if step not in suggestion.steps:
                    suggestion.trial.report(value, step)
                    suggestion.steps.add(step)

    def _chosen(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a trial's parameters as they were suggested."""
        domains = {axis.name: axis.domain for axis in self.space.axes}
        chosen = {}
        for name, value in params.items():
            domain = domains[name]
            chosen[name] = domain.tidy(value) if isinstance(domain, Steps) else value
        return chosen

    def _latest_attempts(self) -> list[Any]:
        """Returns the latest attempt at each suggestion."""
        numbered = [trial for trial in self._trials() if _NUMBER in trial.user_attrs]
        return list({trial.user_attrs[_NUMBER]: trial for trial in numbered}.values())

    def _trials(self) -> list[Any]:
        return list(self.optuna.get_trials(deepcopy=False))


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return trial.suggest_categorical(name, domain.values)
    if isinstance(domain, Interval):
        if domain.whole:
            return trial.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    if domain.whole:
        low, high, step = int(domain.low), int(domain.high), int(domain.step)
        return trial.suggest_int(name, low, high, step=1 if domain.log else step, log=domain.log)
    return domain.tidy(trial.suggest_float(name, domain.low, domain.high, step=domain.step))


def _seed_of(seed: int, number: int) -> int:
    import numpy as np

    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
