"""Successive halving: at each rung, only the best fraction of the trials continues, for a multiple of the epochs.

Source:
    Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization;
    Li et al. (2020), A system for massively parallel hyperparameter tuning. They promote trials asynchronously, because
    their machines would wait for each other. Lanes train in step, so here each rung is decided as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kexp.sweeps.population.decisions import Decision

__all__ = ["Halving"]


@dataclass(frozen=True)
class Halving:
    """Successive halving: at each rung, one of `eta` trials continues.

    Attributes:
        trials: how many trials start.
        min_epochs: the epoch of the first rung; each further rung is at `eta` times the epoch before.
        eta: the reduction factor, at least 2.
        epochs: epochs of a trial that reaches the end.
        name: the option of `hydra/sweeper`.
    """

    trials: int
    min_epochs: int
    eta: int
    epochs: int
    name: str = "asha"

    @property
    def stops(self) -> list[int]:
        """The epochs of the rungs."""
        found = [self.min_epochs]
        while found[-1] * self.eta < self.epochs:
            found.append(found[-1] * self.eta)
        return found

    def kept(self, epoch: int) -> int:
        """Returns how many trials continue after the rung at `epoch`."""
        share: int = self.eta ** (self.stops.index(epoch) + 1)
        return max(1, self.trials // share)

    def decide(self, epoch: int, ranked: Sequence[int], paused: Collection[int]) -> Decision:
        """Ends all trials but the best; see `Method`."""
        kept = self.kept(epoch)
        ends = {
            number: f"ended by asha after epoch {epoch}: {place} of {len(ranked)}, of which the best {kept} go on"
            for place, number in enumerate(ranked, 1)
            if place > kept and number in paused
        }
        return Decision(epoch, ends=ends)
