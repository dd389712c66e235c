"""The study: what Optuna keeps of a search, in a file or a database, so that it goes on where it was."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.sweeps.objective import Objective
from kexp.sweeps.search.choices import Chosen
from kexp.sweeps.search.optional import require_optuna, silent
from kexp.sweeps.search.space import Choice, Domain, Interval, Space, Steps

if TYPE_CHECKING:
    import optuna

__all__ = ["Past", "Study", "Suggestion", "refuse_change"]

_HOW_IT_RUNS = re.compile(r"^[+~]*(hydra[./]|sweep\.|tracking\b|save\b|name=|trainer\.verbose)")
_NUMBER, _POINT, _RETRY = "kexp.number", "kexp.point", "kexp.retry"


@dataclass
class Suggestion:
    """What to try.

    Attributes:
        number: from 0; that of the interrupted attempt where this is another attempt.
        chosen: axis name -> value.
        trial: Optuna's.
        steps: those whose values the study has.
    """

    number: int
    chosen: dict[str, Any]
    trial: optuna.Trial
    steps: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Past:
    """A suggestion that is over.

    Attributes:
        number: the suggestion's.
        chosen: axis name -> value.
        state: COMPLETE, PRUNED or FAIL.
        values: the objectives'; empty where there are none.
        reason: why it did not finish.
        attempt: the number of Optuna's trial.
    """

    number: int
    chosen: dict[str, Any]
    state: str
    values: tuple[float, ...]
    reason: str = ""
    attempt: int = -1


class Study:
    """A search's study.

    Suggestions are a function of the seed, the suggestion's number and what has ended before it, so that a search that
    is resumed suggests what it would have suggested uninterrupted.

    Args:
        name: the sweep's.
        storage: Optuna's, see `storage.open_storage`.
        space: what to choose from.
        objectives: one or several.
        sampler: chooses.
        pruner: ends trials early; None for none.
        seed: of the suggestions.
        seeds: the seeds that each suggestion is run with.

    Raises:
        ConfigError: the storage has a study of this name with another space, or other objectives.
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
        optuna = require_optuna()
        self.space, self.objectives, self.sampler, self.seed = space, list(objectives), sampler, seed
        self._states = optuna.trial.TrialState
        refuse_change(name, storage, space, objectives, seeds)
        with silent():
            self.optuna: Any = optuna.create_study(
                study_name=name,
                storage=storage,
                directions=[objective.direction for objective in objectives],
                sampler=sampler.make(seed),
                pruner=pruner.make() if pruner else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            if "kexp.space" not in self.optuna.user_attrs:
                for key, value in _identity(space, objectives, seeds).items():
                    self.optuna.set_user_attr(key, value)
                self.optuna.set_metric_names([objective.metric for objective in objectives])
        self.begun = self._queued = self._point = self._next = 0
        self._points: Iterator[dict[str, Any]] | None = space.points() if sampler.name == "grid" else None

    def take_up(self) -> None:
        """Goes on where the study stands. To be called once, when nobody else is at work on it.

        What was running when the search was killed, and what failed for reasons that may have gone, waits again.
        """
        states, latest = self._states, self._latest()
        with silent():
            self._requeue(
                [
                    trial
                    for trial in self._trials()
                    if trial.state == states.RUNNING
                    or (trial in latest and trial.state == states.FAIL and _RETRY in trial.user_attrs)
                ]
            )
            trials = self._trials()
            self.begun = sum(1 for trial in self._latest() if trial.state.is_finished())
        self._queued = sum(1 for trial in trials if trial.state == states.WAITING)
        self._next = 1 + max((trial.user_attrs.get(_NUMBER, -1) for trial in trials), default=-1)
        self._point = 1 + max((trial.user_attrs.get(_POINT, -1) for trial in trials), default=-1)
        if self._points is not None:
            self._points = itertools.islice(self.space.points(), self._point, None)

    def past(self) -> list[Past]:
        """What is over."""
        return [
            Past(
                trial.user_attrs[_NUMBER],
                self._chosen(trial.params),
                trial.state.name,
                tuple(trial.values or ()),
                trial.user_attrs.get("kexp.reason", ""),
                trial.number,
            )
            for trial in self._latest()
            if trial.state.is_finished()
        ]

    def ask(self) -> Suggestion | None:
        """The next suggestion; None where a grid has no more points."""
        with silent():
            if not self._queue_point():
                return None
            self.optuna.sampler = self.sampler.make(_seed_of(self.seed, self._next))
            trial = self.optuna.ask()
            self.begun += 1
            self._queued = max(0, self._queued - 1)
            kept = trial.user_attrs.get(_NUMBER)
            if kept is None:
                kept, self._next = self._next, self._next + 1
                trial.set_user_attr(_NUMBER, kept)
            chosen: dict[str, Any] = {}
            for axis in self.space.active(chosen):
                chosen[axis.name] = _suggest(trial, axis.name, axis.domain)
            suggestion = Suggestion(kept, chosen, trial)
            self._bring_back(suggestion)
        return suggestion

    def report(self, suggestion: Suggestion, value: float, step: int) -> bool:
        """Notes an intermediate value; whether the suggestion is to be given up."""
        with silent():
            if step not in suggestion.steps:
                suggestion.trial.report(value, step)
                suggestion.steps.add(step)
            return bool(suggestion.trial.should_prune())

    def finish(self, suggestion: Suggestion, values: Sequence[float]) -> None:
        """Notes the objectives' values."""
        self._tell(suggestion, "COMPLETE", list(values))

    def give_up(self, suggestion: Suggestion, reason: str) -> None:
        """Notes that a suggestion was pruned."""
        suggestion.trial.set_user_attr("kexp.reason", reason)
        self._tell(suggestion, "PRUNED")

    def fail(self, suggestion: Suggestion, reason: str, *, again: bool = False) -> None:
        """Notes that a suggestion failed.

        Args:
            suggestion: as asked.
            reason: why.
            again: it may go better another time: it is tried again when the search is resumed.
        """
        suggestion.trial.set_user_attr("kexp.reason", reason)
        if again:
            suggestion.trial.set_user_attr(_RETRY, True)
        self._tell(suggestion, "FAIL")

    def best(self) -> list[Past]:
        """The best suggestion; of several objectives, those that no other beats in all of them."""
        with silent():
            numbers = {trial.number for trial in self.optuna.best_trials}
        return [past for past in self.past() if past.attempt in numbers]

    def interrupted(self) -> None:
        """Puts what was asked and not ended back in the queue, for when the search goes on."""
        with silent():
            self._requeue([trial for trial in self._trials() if trial.state == self._states.RUNNING])

    def _tell(self, suggestion: Suggestion, state: str, values: list[float] | None = None) -> None:
        with silent():
            self.optuna.tell(suggestion.trial, values, state=self._states[state])

    def _requeue(self, trials: Sequence[Any]) -> None:
        """Puts the same choices in the queue; the attempts share a number, and the latest counts."""
        waiting = {trial.user_attrs.get(_NUMBER) for trial in self._trials() if trial.state == self._states.WAITING}
        for trial in trials:
            number = trial.user_attrs.get(_NUMBER)
            if (
                number is not None and number not in waiting
            ):  # else a process that was killed before the next lines has put it there
                kept = {_NUMBER: number}
                if _POINT in trial.user_attrs:
                    kept[_POINT] = trial.user_attrs[_POINT]
                self.optuna.enqueue_trial(trial.params, user_attrs=kept)
            if not trial.state.is_finished():
                self.optuna.tell(trial.number, state=self._states.FAIL)

    def _queue_point(self) -> bool:
        """Puts a grid's next point in the queue, where nothing else waits there."""
        if self._points is None or self._queued:
            return True
        point = next(self._points, None)
        if point is None:
            return False
        self.optuna.enqueue_trial(point, user_attrs={_POINT: self._point})
        self._point += 1
        self._queued += 1
        return True

    def _bring_back(self, suggestion: Suggestion) -> None:
        """The values that the interrupted attempt reported: epochs before its checkpoint are not trained again."""
        earlier = [trial for trial in self._trials() if trial.user_attrs.get(_NUMBER) == suggestion.number]
        for trial in earlier[:-1]:
            for step, value in trial.intermediate_values.items():
                if step not in suggestion.steps:
                    suggestion.trial.report(value, step)
                    suggestion.steps.add(step)

    def _chosen(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A trial's parameters as they were suggested."""
        domains = {axis.name: axis.domain for axis in self.space.axes}
        chosen = {}
        for name, value in params.items():
            domain = domains[name]
            chosen[name] = domain.tidy(value) if isinstance(domain, Steps) else value
        return chosen

    def _latest(self) -> list[Any]:
        """The latest attempt at each suggestion."""
        numbered = [trial for trial in self._trials() if _NUMBER in trial.user_attrs]
        return list({trial.user_attrs[_NUMBER]: trial for trial in numbered}.values())

    def _trials(self) -> list[Any]:
        return list(self.optuna.get_trials(deepcopy=False))


def refuse_change(name: str, storage: Any, space: Space, objectives: Sequence[Objective], seeds: Sequence[int]) -> None:
    """Holds a request against the study of that name, where there is one. Writes nothing.

    Raises:
        ConfigError: the study was begun with another space, other settings, objectives or seeds.
    """
    with silent():
        found = [each for each in storage.get_all_studies() if each.study_name == name]
    if not found or "kexp.space" not in found[0].user_attrs:
        return
    change = _change(found[0].user_attrs, _identity(space, objectives, seeds))
    if change:
        raise ConfigError(f"the study {name!r} {change}; keep to what it was begun with, or give another sweep.name")


def _identity(space: Space, objectives: Sequence[Objective], seeds: Sequence[int]) -> dict[str, Any]:
    """What must be the same for a study to go on."""
    return {
        "kexp.objectives": [f"{objective.direction} {objective.metric}" for objective in objectives],
        "kexp.space": space.signature(),
        "kexp.settings": sorted(each for each in space.fixed if not _HOW_IT_RUNS.match(each)),
        "kexp.seeds": list(seeds),
    }


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


def _change(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is not as the study was begun with; empty where all is."""
    before, after = begun["kexp.space"], now["kexp.space"]
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            was, is_now = (each.get(name) or f"no {name}" for each in (before, after))
            return f"was begun with {was}, and not {is_now}"
    for key, what in (("kexp.settings", "settings"), ("kexp.objectives", "objective"), ("kexp.seeds", "seeds")):
        if begun.get(key) != now[key]:
            was, is_now = (" ".join(map(str, each or [])) or f"no {what}" for each in (begun.get(key), now[key]))
            return f"was begun with {what} {was}, and not {is_now}"
    return ""
