"""Successive halving: after so many epochs only the best share of the trials goes on, for a multiple of them.

Source:
    Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization;
    Li et al. (2020), A system for massively parallel hyperparameter tuning. Theirs promotes trials as they come, for
    machines that would wait for each other; lanes wait for nothing, so that here each rung is decided as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kexp.sweeps.population.decisions import Decision

__all__ = ["Halving"]


@dataclass(frozen=True)
class Halving:
    """Of `trials` that begin, one of `eta` goes on at each rung.

    Attributes:
        trials: how many begin.
        min_epochs: epochs of the first rung; the next has `eta` times as many.
        eta: the reduction factor, at least 2.
        epochs: how long the last ones train.
    """

    trials: int
    min_epochs: int
    eta: int
    epochs: int
    name: str = "asha"

    @property
    def stops(self) -> list[int]:
        """The rungs' epochs."""
        found = [self.min_epochs]
        while found[-1] * self.eta < self.epochs:
            found.append(found[-1] * self.eta)
        return found

    def kept(self, epoch: int) -> int:
        """How many go on beyond the rung of that epoch."""
        share: int = self.eta ** (self.stops.index(epoch) + 1)
        return max(1, self.trials // share)

    def decide(self, epoch: int, ranked: Sequence[int], paused: Collection[int]) -> Decision:
        """Ends all but the best; see `Method`."""
        kept = self.kept(epoch)
        ends = {
            number: f"ended by asha after epoch {epoch}: {place} of {len(ranked)}, of which the best {kept} go on"
            for place, number in enumerate(ranked, 1)
            if place > kept and number in paused
        }
        return Decision(epoch, ends=ends)
