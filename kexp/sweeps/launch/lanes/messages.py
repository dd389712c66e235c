"""What a sweep and an engine of lanes send each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kexp.sweeps.launch.lanes.estimates import EstimateRequest
from kexp.sweeps.trials import Task

__all__ = ["Batch", "Channel", "CompileAhead", "Epochs", "Grouped", "Narrowed", "NotALane", "Verified", "Verify"]


class Channel(Protocol):
    """An engine's way to the sweep."""

    def send(self, message: Any, /) -> None:
        """Sends `Grouped`, `Narrowed`, `NotALane`, `Epochs`, or the `Outcome` of a trial."""

    def recv(self) -> Any:
        """Waits for the answer to the last message."""


@dataclass(frozen=True)
class Batch:
    """Trials to run, or only to group.

    Attributes:
        tasks: the trials.
        log: the file that takes what is printed meanwhile.
        timeout_s: longest time for one of them.
        dry: only group them.
        threads: programs at once; None for the device's own number.
        verify: so many lanes of the sweep, chosen at random, are kept to be trained again alone; see `Verify`.
    """

    tasks: Sequence[Task]
    log: str
    timeout_s: float | None = None
    dry: bool = False
    threads: int | None = None
    verify: int = 0


@dataclass(frozen=True)
class Verify:
    """Asks for the lanes that were kept to be trained again, each alone, and compared to the last bit."""


@dataclass(frozen=True)
class CompileAhead:
    """Tasks like those that will come: their programs can be compiled meanwhile. There is no answer.

    Attributes:
        tasks: a few of them.
        unsure: what they may run as; nothing is compiled unless lanes win that clearly. None where they will be lanes.
    """

    tasks: Sequence[Task]
    unsure: EstimateRequest | None = None


@dataclass(frozen=True)
class Verified:
    """How many lanes were trained again alone, and a sentence for each that came out otherwise."""

    count: int
    wrong: Sequence[str]


@dataclass(frozen=True)
class Grouped:
    """How trials share programs: for each, its key, its trials, its lanes, and why it is one of its own."""

    groups: Sequence[tuple[str, Sequence[int], int, str]]


@dataclass(frozen=True)
class Narrowed:
    """A group whose program has fewer lanes than was planned: its key, its lanes, why."""

    key: str
    lanes: int
    why: str


@dataclass(frozen=True)
class NotALane:
    """A trial that cannot be a lane."""

    number: int
    reason: str


@dataclass(frozen=True)
class Epochs:
    """Epochs that have ended: (trial, epoch, metrics). Where an answer is wanted there is one alone."""

    epochs: Sequence[tuple[int, int, Mapping[str, float]]]
    ask: bool = False
