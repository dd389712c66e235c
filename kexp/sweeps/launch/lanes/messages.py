"""The messages between a sweep and an engine of lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kexp.sweeps.launch.lanes.estimates import EstimateRequest
from kexp.sweeps.trials import Task

__all__ = ["Batch", "Channel", "CompileAhead", "Epochs", "Grouped", "Narrowed", "NotALane", "Verified", "Verify"]


class Channel(Protocol):
    """The engine's end of the connection to the sweep."""

    def send(self, message: Any, /) -> None:
        """Sends `Grouped`, `Narrowed`, `NotALane`, `Epochs`, or the `Outcome` of a trial."""

    def recv(self) -> Any:
        """Waits for the answer to the last message, and returns it."""


@dataclass(frozen=True)
class Batch:
    """Asks to run trials.

    Attributes:
        tasks: the trials.
        log: the file for standard output and error.
        timeout_s: the time limit of a trial, seconds; None for none.
        dry: whether the trials are only grouped by program.
        threads: how many programs run at once; None for the device's default.
        verify: how many random lanes of the sweep are kept for `Verify`.
    """

    tasks: Sequence[Task]
    log: str
    timeout_s: float | None = None
    dry: bool = False
    threads: int | None = None
    verify: int = 0


@dataclass(frozen=True)
class Verify:
    """Asks to train the kept lanes again, each alone, and to compare the results bit by bit."""


@dataclass(frozen=True)
class CompileAhead:
    """Asks to compile programs before the tasks come. There is no answer.

    Attributes:
        tasks: a few tasks like those that will come.
        unsure: if it is not decided yet that they are lanes, the structures to estimate: nothing is compiled unless
            lanes are clearly faster. None if they are lanes.
    """

    tasks: Sequence[Task]
    unsure: EstimateRequest | None = None


@dataclass(frozen=True)
class Verified:
    """The answer to `Verify`.

    Attributes:
        count: how many lanes were trained again.
        wrong: a sentence for each lane with another result.
    """

    count: int
    wrong: Sequence[str]


@dataclass(frozen=True)
class Grouped:
    """How trials share programs.

    Attributes:
        groups: (key, numbers of the trials, width, what distinguishes the group) for each program.
    """

    groups: Sequence[tuple[str, Sequence[int], int, str]]


@dataclass(frozen=True)
class Narrowed:
    """A program has fewer lanes than planned.

    Attributes:
        key: the group's key, as in `Grouped`.
        lanes: the width.
        why: a sentence.
    """

    key: str
    lanes: int
    why: str


@dataclass(frozen=True)
class NotALane:
    """A trial, by number, cannot be a lane, and why, as a sentence."""

    number: int
    reason: str


@dataclass(frozen=True)
class Epochs:
    """Epochs that have ended.

    Attributes:
        epochs: (number of the trial, epoch from 1, metrics).
        ask: whether the engine waits for an answer on the last of them.
    """

    epochs: Sequence[tuple[int, int, Mapping[str, float]]]
    ask: bool = False
