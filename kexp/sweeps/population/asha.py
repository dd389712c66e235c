"""`hydra/sweeper=asha`: many trials begin, and the best share of them goes on, rung by rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from kexp.errors import ConfigError
from kexp.rules import Count, Range, Whole
from kexp.sweeps.population.halving import Halving
from kexp.sweeps.population.staged import Asked, ask, check_settings, run
from kexp.sweeps.search.spaces import SpaceSweeper
from kexp.sweeps.session import Session
from kexp.sweeps.trials import Trial

__all__ = ["AshaSweeper"]


class AshaSweeper(SpaceSweeper):
    """Successive halving over lanes.

    Args:
        n_trials: how many begin, drawn at random; all points of the space unless given.
        min_epochs: epochs before the first of them end.
        eta: of so many trials one goes on, for so many times the epochs.
        seed: of the draws.
        space: axes in YAML; the command line's win.
        params: the same, as the grid sweeper has them.
    """

    def __init__(
        self,
        n_trials: int | None = None,
        min_epochs: int = 1,
        eta: int = 4,
        seed: int = 0,
        space: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_trials, self.min_epochs, self.eta, self.seed = n_trials, min_epochs, eta, seed
        super().__init__(space, params)

    def sweep(self, arguments: list[str]) -> Session:
        """Runs the sweep.

        Raises:
            ConfigError: it cannot be.
            SweepFailedError: some trials did not end as they should.
        """
        asked = self._asked(arguments)
        count = len({trial.fingerprint for trial in asked.trials if trial.state != "INVALID"})
        epochs = asked.experiment.trainer.epochs
        method = Halving(count, self.min_epochs, self.eta, epochs)
        rungs = ", ".join(f"{method.kept(stop)} beyond epoch {stop}" for stop in method.stops)
        aim = f"to {asked.objective.direction} {asked.objective.metric}"

        def remark(session: Session) -> str:
            trained = [trial.until or epochs for trial in session.trials if trial.state != "INVALID"]
            whole = len(trained) * epochs
            return f"asha: trained {sum(trained):,} epochs of {whole:,}, {sum(trained) / whole:.0%}"

        return run(self, asked, arguments, method, [f"{rungs}, {aim}"], remark=remark)

    def plan(self, arguments: Sequence[str]) -> list[Trial]:
        """The trials that begin.

        Raises:
            ConfigError: as `sweep`.
        """
        return self._asked(arguments).trials

    def _asked(self, arguments: Sequence[str]) -> Asked:
        check_settings(
            {
                "n_trials": (self.n_trials, Annotated[int, Range(ge=2)] | None),
                "min_epochs": (self.min_epochs, Count),
                "eta": (self.eta, Annotated[int, Range(ge=2)]),
                "seed": (self.seed, Whole),
            }
        )
        asked = ask(self, "asha", arguments, self.n_trials, "hydra.sweeper.n_trials", self.seed)
        epochs = asked.experiment.trainer.epochs
        if self.min_epochs >= epochs:
            rule = f"must be less than trainer.epochs={epochs}"
            raise ConfigError.at("hydra.sweeper.min_epochs", rule, self.min_epochs)
        return asked
