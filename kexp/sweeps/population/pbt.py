"""`hydra/sweeper=pbt`: a population trains, and its worst members go on as copies of its best, with other numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from kexp.errors import ConfigError
from kexp.rules import Count, Positive, Range, Whole
from kexp.schema import check
from kexp.sweeps.population.decisions import Decision
from kexp.sweeps.population.exploiting import Exploiting
from kexp.sweeps.population.members import Members, check_axes
from kexp.sweeps.population.staged import Asked, ask, check_settings, run
from kexp.sweeps.search.spaces import SpaceSweeper, plain
from kexp.sweeps.session import Session
from kexp.sweeps.trials import Trial

__all__ = ["PbtSweeper"]


class PbtSweeper(SpaceSweeper):
    """Population-based training over lanes.

    Args:
        population: how many members there are.
        interval: epochs between two decisions.
        quantile: the share of the worst that is replaced, by copies of as many of the best.
        factors: a copied number is multiplied with one of these,
        resample: or, with this chance, drawn anew.
        seed: of all draws.
        space: axes in YAML; the command line's win.
        params: the same, as the grid sweeper has them.
    """

    def __init__(
        self,
        population: int = 16,
        interval: int = 1,
        quantile: float = 0.25,
        factors: Sequence[float] = (0.8, 1.2),
        resample: float = 0.25,
        seed: int = 0,
        space: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.population, self.interval, self.quantile = population, interval, quantile
        self.factors, self.resample, self.seed = plain(factors), resample, seed
        super().__init__(space, params)

    def sweep(self, arguments: list[str]) -> Session:
        """Runs the sweep.

        Raises:
            ConfigError: it cannot be.
            SweepFailedError: some trials did not end as they should.
        """
        asked = self._asked(arguments)
        members = Members(asked, self.plan_overrides)
        method = Exploiting(
            asked.space.axes,
            members.values,
            self.interval,
            asked.experiment.trainer.epochs,
            self.quantile,
            self.factors,
            self.resample,
            self.seed,
        )
        aim = f"to {asked.objective.direction} {asked.objective.metric}"

        def take_effect(session: Session, decision: Decision) -> None:
            members.copy(session, decision)
            method.copied(decision)

        says = [f"every {self.interval} epochs the worst {self.quantile:.0%} go on as copies of the best, {aim}"]
        return run(self, asked, arguments, method, says, take_effect, members.winner)

    def plan(self, arguments: Sequence[str]) -> list[Trial]:
        """The members as they begin.

        Raises:
            ConfigError: as `sweep`.
        """
        return self._asked(arguments).trials

    def _asked(self, arguments: Sequence[str]) -> Asked:
        check_settings(
            {
                "population": (self.population, Annotated[int, Range(ge=2)]),
                "interval": (self.interval, Count),
                "quantile": (self.quantile, Annotated[float, Range(gt=0, le=0.5)]),
                "factors": (self.factors, list[Positive]),
                "resample": (self.resample, Annotated[float, Range(ge=0, le=1)]),
                "seed": (self.seed, Whole),
            }
        )
        if not self.factors:
            raise ConfigError.at("hydra.sweeper.factors", "must have a number at least", self.factors)
        key = "hydra.sweeper.population"
        asked = ask(self, "pbt", arguments, self.population, key, self.seed)
        epochs = asked.experiment.trainer.epochs
        if self.interval >= epochs:
            rule = f"must be less than trainer.epochs={epochs}"
            raise ConfigError.at("hydra.sweeper.interval", rule, self.interval)
        check_axes(asked.space, [check(trial.config) for trial in asked.trials if trial.state != "INVALID"])
        if len(asked.trials) < self.population:
            rule = f"must be at most {len(asked.trials)}, as the space has no more points"
            raise ConfigError.at(key, rule, self.population)
        return asked
