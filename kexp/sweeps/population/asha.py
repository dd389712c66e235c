"""`hydra/sweeper=asha`: many trials start, and at each rung only the best fraction continues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from kexp.errors import ConfigError
from kexp.rules import Count, Range, Whole
from kexp.sweeps.execution.session import Session
from kexp.sweeps.population.halving import Halving
from kexp.sweeps.population.staged import StagedSweep, check_settings, plan_staged, run
from kexp.sweeps.search.space_sweeper import SpaceSweeper
from kexp.sweeps.trials import Trial

__all__ = ["AshaSweeper"]


class AshaSweeper(SpaceSweeper):
    """Successive halving over lanes.

    Args:
        n_trials: how many trials start, sampled at random; all points of the space unless given.
        min_epochs: epochs before the first trials end.
        eta: the reduction factor: one of `eta` trials continues, for `eta` times as many epochs.
        seed: random seed of the samples.
        space: axes in YAML; axes on the command line take precedence.
        params: the same, under the grid sweeper's name.
    """

    def __init__(
        self,
        n_trials: Annotated[int, Range(ge=2)] | None = None,
        min_epochs: Count = 1,
        eta: Annotated[int, Range(ge=2)] = 4,
        seed: Whole = 0,
        space: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_trials, self.min_epochs, self.eta, self.seed = n_trials, min_epochs, eta, seed
        super().__init__(space, params)

    def sweep(self, arguments: list[str]) -> Session:
        """Runs the sweep.

        Raises:
            ConfigError: the sweep is not valid.
            SweepFailedError: some trials failed.
        """
        staged = self._prepare(arguments)
        count = len({trial.fingerprint for trial in staged.trials if trial.state != "INVALID"})
        epochs = staged.experiment.trainer.epochs
        method = Halving(count, self.min_epochs, self.eta, epochs)
        rungs = ", ".join(f"{method.kept(stop)} beyond epoch {stop}" for stop in method.stops)
        aim = f"to {staged.objective.direction} {staged.objective.metric}"

        def remark(session: Session) -> str:
            trained = [trial.until or epochs for trial in session.trials if trial.state != "INVALID"]
            whole = len(trained) * epochs
            return f"asha: trained {sum(trained):,} epochs of {whole:,}, {sum(trained) / whole:.0%}"

        return run(self, staged, arguments, method, [f"{rungs}, {aim}"], remark=remark)

    def plan(self, arguments: Sequence[str]) -> list[Trial]:
        """Returns the trials that start.

        Raises:
            ConfigError: as for `sweep`.
        """
        return self._prepare(arguments).trials

    def _prepare(self, arguments: Sequence[str]) -> StagedSweep:
        check_settings(self)
        staged = plan_staged(self, "asha", arguments, self.n_trials, "hydra.sweeper.n_trials", self.seed)
        epochs = staged.experiment.trainer.epochs
        if self.min_epochs >= epochs:
            rule = f"must be less than trainer.epochs={epochs}"
            raise ConfigError.at("hydra.sweeper.min_epochs", rule, self.min_epochs)
        return staged
