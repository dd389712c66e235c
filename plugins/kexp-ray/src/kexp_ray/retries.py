"""Processes and nodes that a sweep loses, and how often a trial is tried again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Death", "Ran"]


@dataclass(frozen=True)
class Death:
    """An actor is gone.

    Attributes:
        reason: as a sentence; empty where it was given up, having had its time.
        lost_node: the id of its node, where that died, and not the process alone.
    """

    reason: str
    lost_node: str = ""


@dataclass
class Ran:
    """Where a sweep's trials ran, and what befell them.

    Attributes:
        max_retries: how often a trial is tried again after its process died.
        node_retries: how often after its node was lost.
        trials: that ended, by their node.
        deaths: of processes, by the trial that ran there.
        losses: of nodes, likewise.
        lost_nodes: by their ids.
    """

    max_retries: int
    node_retries: int
    trials: Counter[str] = field(default_factory=Counter)
    deaths: Counter[int] = field(default_factory=Counter)
    losses: Counter[int] = field(default_factory=Counter)
    lost_nodes: set[str] = field(default_factory=set)

    def hear(self, death: Death) -> None:
        """Notes a node that was lost."""
        if death.lost_node:
            self.lost_nodes.add(death.lost_node)

    def again(self, number: int, lost: bool) -> bool:
        """Whether a trial is tried again; its process has died, or its node was lost."""
        counts, most = (self.losses, self.node_retries) if lost else (self.deaths, self.max_retries)
        counts[number] += 1
        return counts[number] <= most

    def closing(self) -> list[str]:
        """As a sweep's closing lines tell of it."""
        if not self.trials:
            return []
        line = f"ray      {_many(self.trials.total(), 'trial')} on {_many(len(self.trials), 'node')}"
        if self.lost_nodes:
            line += f"; {_many(len(self.lost_nodes), 'node')} lost in between"
        return [line]


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
