"""Trials on the actors of a Ray cluster; the driver's side."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError

from kexp.errors import first_line
from kexp.sweep.feed import Feed
from kexp.sweep.trial_run import too_long
from kexp.sweep.trials import Outcome, Task
from kexp.sweep.workers import WorkerError
from kexp_ray.cluster import Needs, described, how_many_fit, node_is_lost
from kexp_ray.files import Luggage
from kexp_ray.worker import Begun, Driver, Ended, Epoch, Hello, TrialWorker

__all__ = ["RayPool"]

_START_S = 300.0  # the longest that an actor may take to start where no other runs, and to import Keras
_STARTS = 3  # so many actors in a row that die before they are ready, and none will live
_SILENCE_S = 60.0  # a node that cannot be reached for so long is lost
_ACTOR = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"io": 4})(TrialWorker)
_LOOK_S = 2.0  # how often the cluster is asked for its nodes: some may have joined


@dataclass
class _Worker:
    actor: Any
    waits: Any  # for its next word
    hello: Hello | None = None
    task: Task | None = None
    attempt: int = 0
    heard: int = 0
    answer: str | None = None
    deadline: float = float("inf")
    silent_since: float | None = None
    lost: bool = False  # its node is gone


class RayPool:
    """Runs tasks on actors, as many as have room.

    Args:
        needs: what each takes of its node.
        n_workers: how many actors at most; as many as have room unless given.
        timeout_s: longest time for one trial; None for no limit.
        max_retries: how often a trial is tried again after its process died.
        node_retries: how often after its node was lost.
        memory_limit_mb: an actor whose resident memory is above this when a trial ends is replaced.
        runtime_env: Ray's, for each actor.
        scratch: a folder of the nodes' own to work in; empty for none.
    """

    def __init__(
        self,
        needs: Needs,
        *,
        n_workers: int | None,
        timeout_s: float | None,
        max_retries: int,
        node_retries: int,
        memory_limit_mb: float,
        runtime_env: Mapping[str, Any],
        scratch: str,
    ) -> None:
        self.needs, self.n_workers, self.timeout_s = needs, n_workers, timeout_s
        self.max_retries, self.node_retries, self.memory_limit_mb = max_retries, node_retries, memory_limit_mb
        self.runtime_env, self.scratch = dict(runtime_env), scratch
        self.hosts: Counter[str] = Counter()
        self._workers: list[_Worker] = []
        self._driver: Driver | None = None
        self._attempts = 0
        self._deaths: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()
        self._failed_starts = 0
        self._room, self._looked, self._hopeful = 0, float("-inf"), time.monotonic()

    def run(
        self,
        waiting: Feed,
        *,
        on_start: Callable[[int], None],
        on_epoch: Callable[[int, int, Mapping[str, float]], str | None],
        on_end: Callable[[Outcome], bool],
    ) -> list[Task]:
        """Runs every trial.

        Args:
            waiting: asked for its next task when an actor is free.
            on_start: told the number of a trial that starts.
            on_epoch: told (trial, epoch, metrics); its answer, where not None, ends the trial with that reason.
            on_end: told each outcome; False ends the sweep.

        Returns:
            The tasks that save models, which are the driver's own: its tracking store is theirs.

        Raises:
            WorkerError: no actor can be had.
        """
        saving: list[Task] = []
        going = True
        try:
            while going and (any(worker.task for worker in self._workers) or waiting):
                self._grow(waiting)
                self._hand_out(waiting, saving, on_start)
                for worker in self._with_news():
                    outcome = self._listen(worker, on_epoch)
                    if outcome is None:
                        continue
                    task, worker.task = worker.task, None
                    assert task is not None
                    if self._again(outcome, worker.lost):
                        waiting.appendleft(task)
                    elif not on_end(outcome):
                        going = False
        finally:
            self.close()
        return saving

    def close(self) -> None:
        """Ends every actor, at once."""
        for worker in self._workers:
            with contextlib.suppress(Exception):  # it, or all of Ray, may be gone
                ray.kill(worker.actor)
        self._workers.clear()
        if self._driver is not None:
            Path(self._driver.mark).unlink(missing_ok=True)
            self._driver = None

    def closing(self) -> list[str]:
        """Where trials ran, and what was run again."""
        if not self.hosts:
            return []
        line = f"ray      {_many(self.hosts.total(), 'trial')} on {_many(len(self.hosts), 'node')}"
        if self._losses:
            line += f"; a node was lost {_many(self._losses.total(), 'time')}"
        return [line]

    def _grow(self, waiting: Feed) -> None:
        """Starts actors while there is room for them and something to do."""
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._room, self._looked = how_many_fit(self.needs), now
        if any(worker.hello for worker in self._workers):
            self._hopeful = now
        elif (not self._room and not self.hosts and self.n_workers is None) or now - self._hopeful > _START_S:
            raise WorkerError(f"no Ray actor has room: a trial takes {self.needs}, and the cluster is {described()}")
        wanted = min(self.n_workers or self._room, len(waiting))
        while len(self._workers) < wanted and waiting:
            self._workers.append(self._start(waiting))

    def _start(self, waiting: Feed) -> _Worker:
        if self._driver is None:
            self._driver = self._marked(waiting)
        actor = _ACTOR.options(
            num_cpus=self.needs.num_cpus,
            num_gpus=self.needs.num_gpus,
            resources=dict(self.needs.resources) or None,
            runtime_env=self.runtime_env or None,
        ).remote(max(1, int(self.needs.num_cpus)), self.needs.num_gpus)
        return _Worker(actor, actor.hello.remote(self._driver))

    def _marked(self, waiting: Feed) -> Driver:
        """Leaves a word in the sweep's folder, by which a node can tell whether it sees the driver's files."""
        first = waiting.popleft()
        waiting.appendleft(first)
        word = uuid.uuid4().hex
        mark = Path(first.folder).parent / f".{word[:8]}"
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(word, encoding="utf-8")
        path = [os.path.abspath(each) for each in sys.path]
        return Driver(str(mark), word, os.getcwd(), path, self.scratch)

    def _hand_out(self, waiting: Feed, saving: list[Task], on_start: Callable[[int], None]) -> None:
        for worker in self._workers:
            if worker.hello is None or worker.task is not None:
                continue
            if not waiting:  # asked only where there is room: a search decides on its next trial then
                return
            task = waiting.popleft()
            while task.saves:
                saving.append(task)
                if not waiting:
                    return
                task = waiting.popleft()
            self._attempts += 1
            worker.task, worker.attempt, worker.heard, worker.answer = task, self._attempts, 0, None
            worker.deadline = time.monotonic() + _START_S
            self.hosts[worker.hello.node_id] += 1
            on_start(task.number)
            worker.actor.run.remote(worker.attempt, task, Luggage.for_task(task) if worker.hello.away else None)
            self._ask(worker)

    def _ask(self, worker: _Worker) -> None:
        worker.waits = worker.actor.news.remote(worker.attempt, worker.heard, worker.answer)

    def _with_news(self) -> list[_Worker]:
        """Workers with something to say, or whose end must be dealt with."""
        waits = {worker.waits: worker for worker in self._workers if worker.hello is None or worker.task is not None}
        if not waits:  # a cluster that has lost its nodes may get others
            time.sleep(0.2)
            return []
        soonest = min(worker.deadline for worker in waits.values())
        timeout = max(0.0, min(_LOOK_S, soonest - time.monotonic()))
        found, _ = ray.wait(list(waits), num_returns=1, timeout=timeout)
        if found:  # and what else is there by now
            found, _ = ray.wait(list(waits), num_returns=len(waits), timeout=0)
        late = [worker for worker in waits.values() if time.monotonic() >= worker.deadline]
        return list({id(worker): worker for worker in [*(waits[each] for each in found), *late]}.values())

    def _listen(
        self, worker: _Worker, on_epoch: Callable[[int, int, Mapping[str, float]], str | None]
    ) -> Outcome | None:
        """Hears what a worker says; an Outcome when its trial is over."""
        if not ray.wait([worker.waits], timeout=0)[0]:
            return self._too_late(worker)
        try:
            said = ray.get(worker.waits)
        except RayError as error:
            if isinstance(error, ActorUnavailableError) and self._has_patience(worker):
                return None
            return self._died(worker, error)
        worker.silent_since = None
        if isinstance(said, Hello):
            worker.hello, self._failed_starts = said, 0
            return None
        for word in said:
            worker.heard += 1
            worker.answer = None
            if isinstance(word, Begun):
                worker.deadline = time.monotonic() + self.timeout_s if self.timeout_s else float("inf")
            elif isinstance(word, Epoch):
                worker.answer = on_epoch(word.number, word.epoch, word.metrics)
            else:
                return self._ended(worker, word)
        self._ask(worker)
        return None

    def _has_patience(self, worker: _Worker) -> bool:
        """Whether a call that was lost on its way is repeated."""
        worker.silent_since = worker.silent_since or time.monotonic()
        if time.monotonic() - worker.silent_since > _SILENCE_S:
            return False
        time.sleep(0.2)
        if worker.hello is None:
            worker.waits = worker.actor.hello.remote(self._driver)
        else:
            self._ask(worker)
        return True

    def _ended(self, worker: _Worker, word: Ended) -> Outcome:
        assert worker.task is not None
        worker.deadline = float("inf")
        if word.luggage is not None:
            word.luggage.put_where(worker.task)
        if word.memory_mb > self.memory_limit_mb:
            self._drop(worker)
        return word.outcome

    def _too_late(self, worker: _Worker) -> Outcome | None:
        if worker.task is None or time.monotonic() < worker.deadline:
            return None
        self._drop(worker)
        return Outcome(worker.task.number, "FAILED", too_long(self.timeout_s or _START_S), repeatable=True)

    def _died(self, worker: _Worker, error: Exception) -> Outcome | None:
        """An actor is gone, and the trial that it had with it."""
        self._drop(worker)
        self._looked = float("-inf")
        if worker.hello is None or worker.task is None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise WorkerError(f"no Ray actor starts: {_why(error)}")
            return None
        worker.lost = node_is_lost(worker.hello.node_id, error)
        host = worker.hello.host
        reason = f"its node {host} was lost" if worker.lost else f"its process on {host} {_how(error)}"
        return Outcome(worker.task.number, "FAILED", reason)

    def _drop(self, worker: _Worker) -> None:
        with contextlib.suppress(Exception):
            ray.kill(worker.actor)
        self._workers = [each for each in self._workers if each is not worker]

    def _again(self, outcome: Outcome, lost: bool) -> bool:
        if outcome.state != "FAILED" or outcome.repeatable:
            return False
        counts, most = (self._losses, self.node_retries) if lost else (self._deaths, self.max_retries)
        counts[outcome.number] += 1
        return counts[outcome.number] <= most


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _how(error: Exception) -> str:
    """How a process died, as far as Ray knows."""
    told = str(error)
    if "memory" in told and "low on memory" in told:
        return "was killed; the node ran out of memory"
    return "died; killed, or out of memory, perhaps"


def _why(error: Exception) -> str:
    """The cause of a failed start: what the actor raised, where it raised something."""
    cause = getattr(error, "cause", None)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return first_line(cause) if isinstance(cause, BaseException) else lines[-1] if lines else type(error).__name__
