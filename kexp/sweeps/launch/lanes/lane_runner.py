"""What runs a sweep's lanes somewhere, as the sweep sees it: how it takes reports, wherever they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kexp.errors import ConfigError
from kexp.schema import Fused
from kexp.sweeps.events import Events, NoEvents
from kexp.sweeps.launch.lanes.messages import Epochs, Grouped, Narrowed, NotALane, Verified
from kexp.sweeps.trials import Outcome, Task

__all__ = ["LaneGroup", "LaneRunner"]


@dataclass
class LaneGroup:
    """Trials that share a program, as the closing lines tell of them.

    Attributes:
        first: the number of the first.
        lanes: of the program.
        why: what makes it a group of its own.
        narrowed: why it has fewer lanes than it should have; empty where it has not.
        numbers: the trials; one that goes on after a pause is grouped again.
    """

    first: int
    lanes: int
    why: str
    narrowed: str = ""
    numbers: set[int] = field(default_factory=set)

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.numbers)


class LaneRunner(ABC):
    """Runs batches of lanes.

    Args:
        events: of the sweep.
        fused: the config's `fused`.
        groups: by what tells one from others; is added to.

    Attributes:
        begun: numbers of the trials that run.
        attempts: how often each trial has begun.
        answer: of the sweep, where the last message was of epochs.
    """

    def __init__(self, events: Events, fused: Fused, groups: dict[str, LaneGroup]) -> None:
        self.events, self.fused, self.groups = events, fused, groups
        self.begun: set[int] = set()
        self.attempts: Counter[int] = Counter()
        self.refused: list[tuple[Task, str]] = []
        self.answer: str | None = None

    @abstractmethod
    def most(self, grows: bool) -> int:
        """How many trials to run at most in a batch; a search is asked for no more than run at the same time."""

    @abstractmethod
    def run(self, batch: Sequence[Task], dry: bool = False) -> tuple[bool, list[tuple[Task, str]]]:
        """Runs a batch to its end; a dry one is only grouped.

        Returns:
            Whether the sweep goes on, and the tasks that cannot be lanes, each with the reason.

        Raises:
            ConfigError: `fused.strict`, and one of the tasks cannot be a lane; the lanes beside it are not trained.
            WorkerError: no process can be had.
        """

    @abstractmethod
    def verify(self) -> Verified:
        """Trains some lanes of the sweep again, each alone; none of those whose process has died."""

    @abstractmethod
    def close(self) -> None:
        """Ends every process."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuses a sweep of which some trial cannot be a lane, before any is trained.

        Raises:
            ConfigError: `fused.strict`, and there is one.
        """
        groups, self.groups, events, self.events = self.groups, {}, self.events, NoEvents()
        try:
            self.run(tasks, dry=True)
        finally:
            self.groups, self.events = groups, events

    def receive(self, message: Any, tasks: dict[int, Task]) -> bool:
        """Takes a report of an engine.

        Args:
            message: see `Channel.send`.
            tasks: those that the engine has; one that is over, or no lane, is taken out.

        Returns:
            Whether the sweep goes on.
        """
        self.answer = None
        if isinstance(message, Outcome):
            return self.end(message, tasks)
        if isinstance(message, Epochs):
            for number, epoch, metrics in message.epochs:
                self._begin(number)
                self.answer = self.events.on_epoch(number, epoch, metrics)
        elif isinstance(message, NotALane):
            if self.fused.strict:
                raise ConfigError(f"fused.strict: trial {message.number} cannot be a lane; {message.reason}")
            self.refuse(message.number, message.reason, tasks)
        elif isinstance(message, Grouped):
            for key, numbers, lanes, why in message.groups:
                self.groups.setdefault(key, LaneGroup(numbers[0], lanes, why)).numbers.update(numbers)
        elif isinstance(message, Narrowed):
            self.groups[message.key].lanes, self.groups[message.key].narrowed = message.lanes, message.why
        return True

    def end(self, outcome: Outcome, tasks: dict[int, Task]) -> bool:
        """A trial is over, or paused; whether the sweep goes on."""
        if outcome.state != "INVALID":
            self._begin(outcome.number)
        if outcome.state == "PAUSED":  # its next stage is no further attempt
            self.attempts[outcome.number] -= 1
        tasks.pop(outcome.number, None)
        self.begun.discard(outcome.number)
        return self.events.on_end(outcome)

    def refuse(self, number: int, reason: str, tasks: dict[int, Task]) -> None:
        """A trial is to be run elsewhere."""
        self.begun.discard(number)
        self.refused.append((tasks.pop(number), reason))

    def _begin(self, number: int) -> None:
        if number not in self.begun:
            self.begun.add(number)
            self.attempts[number] += 1
            self.events.on_start(number)
