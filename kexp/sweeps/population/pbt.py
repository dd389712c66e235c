"""`hydra/sweeper=pbt`: population-based training, in which the worst members continue as changed copies of the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from kexp.errors import ConfigError
from kexp.rules import Count, Positive, Range, Whole
from kexp.schema import check
from kexp.sweeps.execution.session import Session
from kexp.sweeps.population.exploiting import Exploiting
from kexp.sweeps.population.members import Members, check_axes
from kexp.sweeps.population.staged import StagedSweep, check_settings, plan_staged, run
from kexp.sweeps.search.space_sweeper import SpaceSweeper, plain
from kexp.sweeps.trials import Trial
from kexp.system.wording import counted

__all__ = ["PbtSweeper"]


class PbtSweeper(SpaceSweeper):
    """Population-based training over lanes.

    Args:
        population: how many members there are, at least 2.
        interval: epochs between two decisions.
        quantile: the fraction of members that is replaced by copies of as many of the best, in (0, 0.5].
        factors: a copied hyperparameter is multiplied by one of these; each above 0.
        resample: the probability that a copied hyperparameter is resampled instead, between 0 and 1.
        seed: random seed of all choices.
        space: axes in YAML; axes on the command line take precedence.
        params: the same, under the grid sweeper's name.
    """

    def __init__(
        self,
        population: Annotated[int, Range(ge=2)] = 16,
        interval: Count = 1,
        quantile: Annotated[float, Range(gt=0, le=0.5)] = 0.25,
        factors: Sequence[Positive] = (0.8, 1.2),
        resample: Annotated[float, Range(ge=0, le=1)] = 0.25,
        seed: Whole = 0,
        space: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.population, self.interval, self.quantile = population, interval, quantile
        self.factors, self.resample, self.seed = plain(factors), resample, seed
        super().__init__(space, params)

    def sweep(self, arguments: list[str]) -> Session:
        """Runs the sweep.

        Raises:
            ConfigError: the sweep is not valid.
            SweepFailedError: some trials failed.
        """
        staged = self._prepare(arguments)
        members = Members(staged, self.plan_overrides)
        method = Exploiting(
            staged.space.axes,
            members.values,
            self.interval,
            staged.experiment.trainer.epochs,
            self.quantile,
            self.factors,
            self.resample,
            self.seed,
        )
        aim = f"to {staged.objective.direction} {staged.objective.metric}"
        lines = [
            f"every {counted(self.interval, 'epoch')} the worst {self.quantile:.0%} go on as copies of the best, {aim}"
        ]
        return run(self, staged, arguments, method, lines, members.copy, members.winner)

    def plan(self, arguments: Sequence[str]) -> list[Trial]:
        """Returns the members as they start.

        Raises:
            ConfigError: as for `sweep`.
        """
        return self._prepare(arguments).trials

    def _prepare(self, arguments: Sequence[str]) -> StagedSweep:
        check_settings(self)
        if not self.factors:
            raise ConfigError.at("hydra.sweeper.factors", "must have at least one number", self.factors)
        key = "hydra.sweeper.population"
        staged = plan_staged(self, "pbt", arguments, self.population, key, self.seed)
        epochs = staged.experiment.trainer.epochs
        if self.interval >= epochs:
            rule = f"must be less than trainer.epochs={epochs}"
            raise ConfigError.at("hydra.sweeper.interval", rule, self.interval)
        check_axes(staged.space, [check(trial.config) for trial in staged.trials if trial.state != "INVALID"])
        if len(staged.trials) < self.population:
            rule = f"must be at most {len(staged.trials)}, as the space has no more points"
            raise ConfigError.at(key, rule, self.population)
        return staged
