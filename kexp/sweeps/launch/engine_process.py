"""The engine's process as the sweep sees it: started early, asked for batches of lanes, replaced when it dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kexp.child_process import ChildProcess
from kexp.errors import ConfigError
from kexp.schema import Fused
from kexp.sweeps.events import Events, NoEvents
from kexp.sweeps.launch.lanes import Ahead, Batch, Grouped, Narrowed, NotALane, Told, Verified, Verify
from kexp.sweeps.launch.trial_run import too_long
from kexp.sweeps.launch.weighing import Weigh, Weighed, has_foreign_code
from kexp.sweeps.launch.workers import WorkerError
from kexp.sweeps.trials import Outcome, Task

__all__ = ["Child", "Engine", "Program", "gather", "narrow"]

_BATCH = 64  # batches of so many trials for each lane: programs stay busy, and memory flat
_STARTS = 3  # so many engines in a row that die before they are ready, and none will live
_DEATHS = 2  # after so many, what is not kexp's own code runs elsewhere
_COMPILE_S = 300.0  # added to a trial's time limit before an engine that says nothing counts as hung


@dataclass
class Program:
    """A group of trials, as the closing lines tell of it.

    Attributes:
        first: the number of its first trial.
        lanes: of the program.
        why: what makes it a group of its own.
        trials: how many.
        narrowed: why it has fewer lanes than it should have; empty where it has not.
        numbers: the trials; one that goes on after a pause is grouped again.
    """

    first: int
    lanes: int
    why: str
    trials: int = 0
    narrowed: str = ""
    numbers: set[int] = field(default_factory=set)


def gather(programs: dict[str, Program], message: Grouped) -> None:
    """Adds to the programs of a sweep those of a batch."""
    for key, numbers, lanes, why in message.groups:
        program = programs.setdefault(key, Program(numbers[0], lanes, why))
        program.numbers.update(numbers)
        program.trials = len(program.numbers)


def narrow(programs: dict[str, Program], message: Narrowed) -> None:
    """Notes that a program has fewer lanes than was planned."""
    programs[message.key].lanes, programs[message.key].narrowed = message.lanes, message.why


class Child:
    """The engine's process. Importing JAX takes seconds, so it is started before it is known what it is to do."""

    def __init__(self) -> None:
        self.process = ChildProcess("kexp.sweeps.launch.lanes:work")
        self._lanes = 0

    def lanes(self) -> int:
        """How many trials run at once; waits until the process is ready."""
        if not self._lanes:
            self._lanes = self.process.receive()
        return self._lanes

    def weigh(self, asked: Weigh) -> list[Weighed]:
        """What structures take; empty where the process died of finding out."""
        try:
            self.lanes()
            self.process.send(asked)
            weighed: list[Weighed] = self.process.receive()
        except EOFError:
            return []
        return weighed

    def compile_ahead(self, asked: Ahead) -> None:
        """Has it compile the programs of a few tasks like those that will come."""
        self.process.send(asked)

    def how_it_died(self) -> str:
        """As a sentence."""
        return self.process.how_it_died(with_error=not self._lanes)

    def close(self) -> None:
        """Ends the process."""
        self.process.terminate()
        self.process.close()


class Engine:
    """What a sweep asks of the engine's process; that is replaced when it dies.

    Args:
        child: the first process.
        events: of the sweep.
        fused: of its lanes.
        groups: is added to.
    """

    def __init__(
        self,
        child: Child,
        events: Events,
        fused: Fused,
        groups: dict[str, Program],
    ) -> None:
        self.events, self.fused, self._groups = events, fused, groups
        self._child = child
        self._lanes = 0
        self._deaths = 0
        self._attempts: Counter[int] = Counter()
        self._waiting: dict[int, Task] = {}
        self._begun: set[int] = set()
        self._refused: list[tuple[Task, str]] = []

    def most(self, grows: bool) -> int:
        """How many trials to hand over at once; a search is asked for no more than run at the same time."""
        if grows:
            return self._lanes or (self.fused.max_lanes or 4) * (self.fused.threads or 2)
        return _BATCH * max(8, self._lanes)

    def run(self, batch: Sequence[Task], dry: bool = False) -> tuple[bool, list[tuple[Task, str]]]:
        """Runs a batch to its end; a dry one is only grouped.

        Raises:
            ConfigError: `fused.strict`, and one of the tasks cannot be a lane; the lanes beside it are not trained.
            WorkerError: the process dies again and again before it is ready.

        Returns:
            Whether the sweep goes on, and the tasks that cannot be lanes, each with the reason.
        """
        self._waiting = {task.number: task for task in batch}
        self._refused = []
        going, starts = True, 0
        while going and self._waiting:
            try:
                self._start()
                starts = 0
                going = self._run_once(dry)
            except EOFError:
                reason = self._child.how_it_died()
                starts += 1
                if not self._begun and starts >= _STARTS:
                    going = self._give_up(reason)
                    continue
                going = self._after_death(reason)
        return going, self._refused

    def _give_up(self, reason: str) -> bool:
        """No process stays: what waits is run elsewhere.

        Raises:
            WorkerError: there is what cannot be.
        """
        if self.fused.strict or any(task.ordinary is None for task in self._waiting.values()):
            raise WorkerError(f"the process of the lanes does not stay: {reason}") from None
        for number in list(self._waiting):
            self._refuse(number, f"the process of the lanes does not stay: {reason}")
        return True

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuses a sweep of which some trial cannot be a lane, before any is trained.

        Raises:
            ConfigError: `fused.strict`, and there is one.
        """
        groups, self._groups, events, self.events = self._groups, {}, self.events, NoEvents()
        try:
            self.run(tasks, dry=True)
        finally:
            self._groups, self.events = groups, events

    def _run_once(self, dry: bool) -> bool:
        tasks = list(self._waiting.values())
        log = tasks[0].sweep_folder / "fused.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self._begun = set()
        fused, limit_s = self.fused, self.events.settings.trial_timeout_s
        self._child.process.send(Batch(tasks, str(log), limit_s, dry, fused.threads, fused.verify))
        while True:
            message = self._next()
            if message is None:
                self._waiting = {}
                return True
            if isinstance(message, Grouped):
                gather(self._groups, message)
            elif isinstance(message, Narrowed):
                narrow(self._groups, message)
            elif isinstance(message, NotALane):
                if fused.strict:
                    raise ConfigError(f"fused.strict: trial {message.number} cannot be a lane; {message.reason}")
                self._refuse(message.number, message.reason)
            elif isinstance(message, Told):
                self._tell(message)
            elif not self._end(message):
                return False

    def verify(self) -> Verified:
        """Trains some lanes of the sweep again, each alone; none where the process that knew of them has died."""
        try:
            self._child.process.send(Verify())
            verified: Verified = self._child.process.receive()
        except EOFError:
            return Verified(0, ())
        return verified

    def _next(self) -> Any:
        limit_s = self.events.settings.trial_timeout_s
        try:
            return self._child.process.receive(None if limit_s is None else limit_s + _COMPILE_S)
        except TimeoutError:
            self._child.process.stop()
            raise EOFError from None

    def _tell(self, told: Told) -> None:
        answer = None
        for number, epoch, metrics in told.epochs:
            self._begin(number)
            answer = self.events.on_epoch(number, epoch, metrics)
        if told.ask:
            self._child.process.send(answer)

    def _begin(self, number: int) -> None:
        if number not in self._begun:
            self._begun.add(number)
            self._attempts[number] += 1
            self.events.on_start(number)

    def _end(self, outcome: Outcome) -> bool:
        if outcome.state != "INVALID":
            self._begin(outcome.number)
        if outcome.state == "PAUSED":  # its next stage is no further attempt
            self._attempts[outcome.number] -= 1
        self._waiting.pop(outcome.number, None)
        self._begun.discard(outcome.number)
        return self.events.on_end(outcome)

    def _refuse(self, number: int, reason: str) -> None:
        self._begun.discard(number)
        self._refused.append((self._waiting.pop(number), reason))

    def _after_death(self, reason: str) -> bool:
        """What was with the process goes on where a death costs one trial alone, and the others in the next process.

        Code that is not kexp's may have been the cause: whose it is, is not known here. Without any, lanes are tried
        again as lanes as often as a trial may be.
        """
        self._deaths += 1
        foreign = [number for number, task in self._waiting.items() if has_foreign_code(task.config)]
        suspects = self._begun.intersection(foreign)
        if not self._begun or self._deaths > _DEATHS:
            suspects = set(foreign)
        for number in sorted(suspects | self._begun):
            again = number not in suspects and self._attempts[number] <= self.events.settings.max_retries
            if again:
                continue
            if self._waiting[number].ordinary is not None and not self.fused.strict:
                self._refuse(number, f"the process of the lanes died with it: {reason}")
            elif number in self._begun and self._attempts[number] > self.events.settings.max_retries:
                limit = self.events.settings.trial_timeout_s
                state = too_long(limit) if limit is not None and "SIGKILL" in reason else reason
                if not self._end(Outcome(number, "FAILED", state, repeatable=True)):
                    return False
        self._begun = set()
        return True

    def _start(self) -> None:
        if not self._child.process.alive:
            self._child.close()
            self._child = Child()
        self._lanes = self._child.lanes()

    def close(self) -> None:
        """Ends the process."""
        self._child.close()
