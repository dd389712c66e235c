"""The base of lane runners: runs a sweep's lanes in an engine somewhere, and passes its reports to the sweep."""

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
    """Trials that share a program, for the closing lines.

    Attributes:
        first: the number of the first trial.
        lanes: the number of lanes of the program.
        why: what distinguishes it from other groups.
        narrowed: why it has fewer lanes than planned; empty if it has not.
        numbers: the numbers of the trials. A trial that resumes after a pause is reported again.
    """

    first: int
    lanes: int
    why: str
    narrowed: str = ""
    numbers: set[int] = field(default_factory=set)

    @property
    def trials(self) -> int:
        """The number of trials."""
        return len(self.numbers)


class LaneRunner(ABC):
    """Runs batches of lanes.

    Args:
        events: the events of the sweep.
        fused: the config's node `fused`.
        groups: key -> group; new groups are added.

    Attributes:
        begun: the numbers of the trials that are running.
        attempts: trial -> how often it has begun.
        refused: the tasks that cannot be lanes, each with the reason.
        answer: the sweep's answer to the last message, if that was `Epochs`; None to continue.
    """

    def __init__(self, events: Events, fused: Fused, groups: dict[str, LaneGroup]) -> None:
        self.events, self.fused, self.groups = events, fused, groups
        self.begun: set[int] = set()
        self.attempts: Counter[int] = Counter()
        self.refused: list[tuple[Task, str]] = []
        self.answer: str | None = None

    @abstractmethod
    def most(self, grows: bool) -> int:
        """Returns the most trials of a batch.

        Args:
            grows: whether a search chooses the trials. It is asked for no more than run at the same time.
        """

    @abstractmethod
    def run(self, batch: Sequence[Task], dry: bool = False) -> tuple[bool, list[tuple[Task, str]]]:
        """Runs a batch until every trial has ended, or has been refused.

        Args:
            batch: the tasks.
            dry: whether they are only grouped by program.

        Returns:
            Whether the sweep continues, and the tasks that cannot be lanes, each with the reason.

        Raises:
            ConfigError: `fused.strict`, and a task cannot be a lane; the other lanes are not trained.
            WorkerError: no process can be started.
        """

    @abstractmethod
    def verify(self) -> Verified:
        """Trains some lanes of the sweep again, each alone, except those whose process has died."""

    @abstractmethod
    def close(self) -> None:
        """Ends every process."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Checks that every task can be a lane, before any is trained.

        Raises:
            ConfigError: `fused.strict`, and a task cannot be a lane.
        """
        groups, self.groups, events, self.events = self.groups, {}, self.events, NoEvents()
        try:
            self.run(tasks, dry=True)
        finally:
            self.groups, self.events = groups, events

    def receive(self, message: Any, tasks: dict[int, Task]) -> bool:
        """Handles a report of an engine.

        Args:
            message: see `Channel.send`.
            tasks: number -> task, of the engine's tasks; one that has ended or cannot be a lane is removed.

        Returns:
            Whether the sweep continues.

        Raises:
            ConfigError: `fused.strict`, and a task cannot be a lane.
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
        """Handles the outcome of a trial, which may be paused; returns whether the sweep continues."""
        if outcome.state != "INVALID":
            self._begin(outcome.number)
        if outcome.state == "PAUSED":  # its next stage is not another attempt
            self.attempts[outcome.number] -= 1
        tasks.pop(outcome.number, None)
        self.begun.discard(outcome.number)
        return self.events.on_end(outcome)

    def refuse(self, number: int, reason: str, tasks: dict[int, Task]) -> None:
        """Moves a task from `tasks` to `refused`: it must run in a worker process."""
        self.begun.discard(number)
        self.refused.append((tasks.pop(number), reason))

    def _begin(self, number: int) -> None:
        """Notes that a trial has begun, unless that is known."""
        if number not in self.begun:
            self.begun.add(number)
            self.attempts[number] += 1
            self.events.on_start(number)
