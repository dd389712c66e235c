"""The fused launcher: trials as lanes of compiled programs, and in worker processes what cannot be a lane."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError
from kexp.schema import Sweep
from kexp.sweep.feed import Feed, as_feed
from kexp.sweep.lanes import Batch, Grouped, NotALane, Told, Verified, work
from kexp.sweep.launchers import HydraSide, ProcessesLauncher
from kexp.sweep.trial_run import too_long
from kexp.sweep.trials import Outcome, Task, Trial
from kexp.sweep.workers import WorkerError, how_it_died, interrupts_blocked, unguarded_main

__all__ = ["FusedLauncher"]

_CONTEXT = multiprocessing.get_context("spawn")
_BATCH = 64  # batches of so many trials for each lane: programs stay busy, and memory flat
_STARTS = 3  # so many engines in a row that die before they are ready, and none will live
_COMPILE_S = 300.0  # added to a trial's time limit before an engine that says nothing counts as hung


@dataclass
class Program:
    """A group of trials, as the closing lines tell of it.

    Attributes:
        first: the number of its first trial.
        lanes: of the program.
        why: what makes it a group of its own.
        trials: how many.
    """

    first: int
    lanes: int
    why: str
    trials: int = 0


class FusedLauncher(HydraSide):
    """Trials as lanes of compiled programs, on Keras' JAX backend.

    Args:
        max_lanes: lanes of one program at most; by the device unless given. Part of what decides the last bits.
        threads: programs that run at once; one a core unless given.
        strict: a trial that cannot be a lane is an error, not a task for the worker processes.
        n_workers: worker processes for trials that cannot be lanes; one a core unless given.
        verify: so many lanes of each batch, chosen at random, are trained again alone and compared to the last bit.
    """

    def __init__(
        self,
        max_lanes: int | None = None,
        threads: int | None = None,
        strict: bool = False,
        n_workers: int | None = None,
        verify: int | None = None,
    ) -> None:
        whole = {"max_lanes": max_lanes, "threads": threads, "n_workers": n_workers, "verify": verify}
        for key, value in whole.items():
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError.at(f"hydra.launcher.{key}", "must be a whole number, at least 1", value)
        self.max_lanes, self.threads, self.strict, self.n_workers = max_lanes, threads, strict, n_workers
        self.verify = verify or 0
        self._verified: list[Verified] = []
        self._groups: dict[int, Program] = {}
        self._child: Child | None = None
        self._fallbacks: Counter[str] = Counter()

    def setup(self, **given: Any) -> None:
        super().setup(**given)
        self._child = Child()

    def _started(self) -> Child:
        """The process that `setup` started; for a second sweep of this launcher another."""
        child, self._child = self._child or Child(), None
        return child

    def adapt(self, config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
        """A trial's config for the engine: the JAX backend, unless the user named another, and the compiled engine.

        Raises:
            ConfigError: the user named another backend.
        """
        named = any(each.lstrip("+").partition("=")[0] == "backend" for each in overrides)
        backend = config.get("backend")
        if backend != "jax" and (named or backend != "tensorflow"):
            raise ConfigError.at("backend", "must be jax, or left out, with hydra/launcher=fused", backend)
        return {**config, "backend": "jax", "trainer": {**config["trainer"], "engine": "compiled"}}

    def run_tasks(
        self,
        tasks: Sequence[Task] | Feed,
        *,
        settings: Sweep,
        on_start: Callable[[int], None],
        on_epoch: Callable[[int, int, Mapping[str, float]], str | None],
        on_end: Callable[[Outcome], bool],
    ) -> None:
        feed = as_feed(tasks)
        if not feed:
            return
        size = (self.max_lanes, self.threads)
        engine = _Engine(self._started(), settings, on_start, on_epoch, on_end, size, self._groups)
        engine.verify, engine.verified = self.verify, self._verified
        going = True
        try:
            while going and feed:
                others: list[Task] = []
                while going and feed:
                    batch: list[Task] = []
                    while len(batch) < engine.most(feed.grows) and feed:
                        task = feed.popleft()
                        mine = task.config["backend"] == "jax"  # what is left to save may have run elsewhere
                        (batch if mine else others).append(task)
                    going, refused = engine.run(batch)
                    others += [self._ordinary(task, reason) for task, reason in refused]
                if going and others:
                    ordinary = ProcessesLauncher(self.n_workers)
                    ordinary.run_tasks(others, settings=settings, on_start=on_start, on_epoch=on_epoch, on_end=on_end)
        finally:
            engine.close()

    def _ordinary(self, task: Task, reason: str) -> Task:
        """The task for a worker process."""
        if self.strict:
            raise ConfigError(f"hydra.launcher.strict: trial {task.number} cannot be a lane; {reason}")
        self._fallbacks[reason] += 1
        return task if task.ordinary is None else replace(task, config=task.ordinary, yaml="")

    def explain(self, trials: Sequence[Trial], folder: Path) -> list[str]:
        """How these trials would run: groups, lanes, and what would go to worker processes. Trains nothing.

        Args:
            trials: planned.
            folder: for the engine's log.
        """
        tasks = [
            Task(trial.number, trial.config, trial.overrides, str(folder / str(trial.number)), "")
            for trial in trials
            if trial.state == "WAITING"
        ]
        if not tasks:
            return []

        def invalid(outcome: Outcome) -> bool:
            trials[outcome.number].state, trials[outcome.number].reason = "INVALID", outcome.reason
            return True

        size = (self.max_lanes, self.threads)
        engine = _Engine(self._started(), Sweep(), lambda _: None, lambda *_: None, invalid, size, self._groups)
        try:
            for task, reason in engine.run(tasks, dry=True)[1]:
                self._ordinary(task, reason)
        finally:
            engine.close()
        return self.closing()

    def closing(self) -> list[str]:
        """What ran as lanes, in which groups and why, and what did not."""
        lines = [
            f"fused    group {number}: {each.trials} trials from {each.first} on, {each.lanes} lanes; {each.why}"
            for number, each in enumerate(self._groups.values(), 1)
        ]
        for reason, count in self._fallbacks.items():
            lines.append(f"workers  {count} trials that cannot be lanes: {reason}")
        if self._verified:
            count, wrong = (
                sum(each.count for each in self._verified),
                [w for each in self._verified for w in each.wrong],
            )
            lines.append(f"verified {count} lanes trained again alone, {len(wrong)} came out otherwise")
            lines += [f"         {sentence}" for sentence in wrong]
        return lines


class Child:
    """The engine's process. Importing JAX takes seconds, so it is started before it is known what it is to do."""

    def __init__(self) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=work, args=(theirs, os.getpid()), name="kexp-fused", daemon=True)
        with unguarded_main(), interrupts_blocked():
            self.process.start()
        theirs.close()
        self._lanes = 0

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def lanes(self) -> int:
        """How many trials run at once; waits until the process is ready."""
        if not self._lanes:
            self._lanes = self.pipe.recv()
        return self._lanes

    def how_it_died(self) -> str:
        """As a sentence."""
        self.process.join()
        return how_it_died(self.process.exitcode or 0)

    def close(self) -> None:
        """Ends the process."""
        self.process.terminate()
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


class _Engine:
    """What a sweep asks of the engine's process; that is replaced when it dies."""

    def __init__(
        self,
        child: Child,
        settings: Sweep,
        on_start: Callable[[int], None],
        on_epoch: Callable[[int, int, Mapping[str, float]], str | None],
        on_end: Callable[[Outcome], bool],
        size: tuple[int | None, int | None],
        groups: dict[int, Program],
    ) -> None:
        self.settings, self.on_start, self.on_epoch, self.on_end = settings, on_start, on_epoch, on_end
        self._size, self._groups = size, groups
        self._child = child
        self.verify, self.verified = 0, list[Verified]()
        self._lanes = 0
        self._attempts: Counter[int] = Counter()
        self._waiting: dict[int, Task] = {}
        self._begun: set[int] = set()
        self._refused: list[tuple[Task, str]] = []

    def most(self, grows: bool) -> int:
        """How many trials to hand over at once; a search is asked for no more than run at the same time."""
        width, threads = self._size
        if grows:
            return (width or 4) * (threads or 2) if not self._lanes else self._lanes
        return _BATCH * max(8, self._lanes)

    def run(self, batch: Sequence[Task], dry: bool = False) -> tuple[bool, list[tuple[Task, str]]]:
        """Runs a batch to its end; a dry one is only grouped.

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
            except (EOFError, OSError):
                reason = self._child.how_it_died()
                starts += 1
                if not self._begun and starts >= _STARTS:
                    raise WorkerError(f"the fused engine's process does not stay: {reason}") from None
                going = self._after_death(reason)
        return going, self._refused

    def _run_once(self, dry: bool) -> bool:
        width, threads = self._size
        tasks = list(self._waiting.values())
        log = Path(tasks[0].folder).parent / "fused.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self._begun = set()
        self._child.pipe.send(Batch(tasks, str(log), self.settings.trial_timeout_s, dry, width, threads, self.verify))
        while True:
            message = self._next()
            if message is None:
                self._waiting = {}
                return True
            if isinstance(message, Grouped):
                for key, numbers, lanes, why in message.groups:
                    program = self._groups.setdefault(key, Program(numbers[0], lanes, why))
                    program.trials += len(numbers)
            elif isinstance(message, NotALane):
                self._refused.append((self._waiting.pop(message.number), message.reason))
            elif isinstance(message, Verified):
                self.verified.append(message)
            elif isinstance(message, Told):
                self._tell(message)
            elif not self._end(message):
                return False

    def _next(self) -> Any:
        limit = self.settings.trial_timeout_s
        if limit is not None and not self._child.pipe.poll(limit + _COMPILE_S):
            self._child.process.kill()
            raise EOFError
        return self._child.pipe.recv()

    def _tell(self, told: Told) -> None:
        answer = None
        for number, epoch, metrics in told.epochs:
            self._begin(number)
            answer = self.on_epoch(number, epoch, metrics)
        if told.ask:
            self._child.pipe.send(answer)

    def _begin(self, number: int) -> None:
        if number not in self._begun:
            self._begun.add(number)
            self._attempts[number] += 1
            self.on_start(number)

    def _end(self, outcome: Outcome) -> bool:
        if outcome.state != "INVALID":
            self._begin(outcome.number)
        self._waiting.pop(outcome.number, None)
        self._begun.discard(outcome.number)
        return self.on_end(outcome)

    def _after_death(self, reason: str) -> bool:
        """Trials that were running have failed, or are tried again; the others wait for the next process."""
        limit = self.settings.trial_timeout_s
        for number in sorted(self._begun):
            if self._attempts[number] > self.settings.max_retries:
                state = too_long(limit) if limit is not None and "SIGKILL" in reason else reason
                if not self._end(Outcome(number, "FAILED", state, repeatable=True)):
                    return False
        self._begun = set()
        return True

    def _start(self) -> None:
        if not self._child.alive:
            self._child.close()
            self._child = Child()
        self._lanes = self._child.lanes()

    def close(self) -> None:
        """Ends the process."""
        self._child.close()
