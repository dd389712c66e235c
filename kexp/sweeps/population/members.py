"""The members of a population: their hyperparameters, their lineage, and the config that reproduces each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kexp.errors import ConfigError
from kexp.schema import Experiment
from kexp.sweeps.execution.session import Session
from kexp.sweeps.population.decisions import Decision
from kexp.sweeps.population.staged import StagedSweep
from kexp.sweeps.search.space.axes import Choice, Interval, Space
from kexp.sweeps.table import best_trial
from kexp.sweeps.trials import Trial

__all__ = ["Members", "check_axes"]

_Changes = dict[str, dict[int, float]]


def check_axes(space: Space, members: Sequence[Experiment]) -> None:
    """Checks that each axis is a number that may change during training, as far as the configs show.

    Raises:
        ConfigError: an axis is not such a number, or may be 0.
    """
    from kexp.fused.inputs.config_numbers import numbers_of

    for axis in space.axes:
        domain = axis.domain
        if isinstance(domain, Choice) and not all(map(_is_number, domain.values)):
            raise ConfigError(f"{axis.key}: {_STRUCTURE}")
        listed = (
            () if isinstance(domain, Interval) else domain.values if isinstance(domain, Choice) else domain.values()
        )
        if any(float(each) == 0 for each in listed):
            raise ConfigError(
                f"{axis.key}: must not be 0 with hydra/sweeper=pbt, because a model with 0 has another structure"
            )
        for experiment in members:
            if axis.key not in {".".join(map(str, path)) for path in numbers_of(experiment)}:
                raise ConfigError(f"{axis.key}: {_STRUCTURE}")


_STRUCTURE = (
    "must have one value with hydra/sweeper=pbt, which changes numbers while a model trains, and not its structure; "
    "hydra/sweeper=asha chooses among structures"
)


class Members:
    """Keeps the configs of members up to date.

    Args:
        staged: the sweep.
        plan: plans trials for overrides.

    Attributes:
        values: member -> config key -> current value.
    """

    def __init__(self, staged: StagedSweep, plan: Callable[[Sequence[Sequence[str]]], list[Trial]]) -> None:
        self._plan, self._keys = plan, [axis.key for axis in staged.space.axes]
        self.values = {
            trial.number: {axis.key: float(point[axis.name]) for axis in staged.space.axes}
            for trial, point in zip(staged.trials, staged.points, strict=True)
        }
        self._begun = {number: dict(values) for number, values in self.values.items()}
        self._first = {trial.number: trial.overrides for trial in staged.trials}
        self._changes: dict[int, _Changes] = {number: {} for number in self._first}
        self._lineage: dict[int, list[tuple[int, int]]] = {number: [] for number in self._first}
        for trial in staged.trials:
            trial.varies = tuple(self._keys)

    def copy(self, session: Session, decision: Decision) -> None:
        """Makes members copies of their donors: the donor's config, with the decision's values from its epoch on."""
        trials = {trial.number: trial for trial in session.trials}
        for number, copy in decision.copies.items():
            changes: _Changes = {key: dict(values) for key, values in self._changes[copy.donor].items()}
            for key, value in copy.values.items():
                changes.setdefault(key, {})[decision.epoch] = value
            self._changes[number], self._first[number] = changes, self._first[copy.donor]
            self._begun[number] = self._begun[copy.donor]
            self._lineage[number] = [*self._lineage[copy.donor], (copy.donor, decision.epoch)]
            before = trials[number].fingerprint
            self._rewrite(trials[number])
            self.values[number] = dict(copy.values)
            session.copy_metrics(trials[number], trials[copy.donor], before)

    def winner(self, session: Session) -> str:
        """Returns a line that names the best member and its hyperparameters."""
        best = None if session.objective is None else best_trial(session.trials, session.objective)
        if best is None:
            return "pbt: no member has a result"
        values = []
        for key in self._keys:
            changes = self._changes[best.number].get(key, {})
            later = [f"{value:g} from epoch {epoch + 1}" for epoch, value in changes.items()]
            values.append(f"{key} " + ", ".join([f"{self._begun[best.number][key]:g}", *later]))
        return f"pbt: trial {best.number} is the best: {'; '.join(values)}"

    def _rewrite(self, trial: Trial) -> None:
        """Plans the trial anew, with its changes written in `trainer.changes`, as a user would type them."""
        number = trial.number
        written = ",".join(
            f"{key}:{{{','.join(f'{epoch}:{value!r}' for epoch, value in values.items())}}}"
            for key, values in self._changes[number].items()
        )
        (made,) = self._plan([(*self._first[number], f"trainer.changes={{{written}}}")])
        if made.state == "INVALID":
            raise ConfigError(made.reason)
        trial.overrides, trial.config, trial.fingerprint, trial.yaml = (
            made.overrides,
            made.config,
            made.fingerprint,
            made.yaml,
        )
        lineage = [f"{donor} until epoch {epoch}" for donor, epoch in self._lineage[number]]
        trial.tags = {"kexp.lineage": f"trial {', '.join(lineage)}"}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
