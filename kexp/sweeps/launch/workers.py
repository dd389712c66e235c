"""Worker processes, each of which runs one trial after another.

A worker that dies, exceeds the time limit or uses too much memory is replaced; the trials of other workers continue.
"""

from __future__ import annotations

import multiprocessing.connection
import time
from dataclasses import dataclass
from typing import Any

from kexp.errors import KexpError
from kexp.sweeps.events import Events, NoEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.trial_run import too_long
from kexp.sweeps.launch.worker_process import BEGUN, READY
from kexp.sweeps.trials import Outcome, Task
from kexp.system.child_process import ChildProcess

__all__ = ["WorkerError", "WorkerPool"]

_GRACE_S = 5.0  # between asking workers to end and ending them
_START_S = 300.0  # the time limit for starting a worker and importing Keras
_STARTS = 3  # after so many workers in a row that die before they are ready, the sweep fails


class WorkerError(KexpError):
    """No worker process can be started."""


@dataclass
class _Worker:
    index: int
    process: ChildProcess
    backend: str | None = None  # a process can import only one backend of Keras
    task: Task | None = None
    deadline: float = float("inf")
    timed_out: bool = False
    ready: bool = False


class WorkerPool:
    """Runs tasks in worker processes.

    Args:
        n_workers: the number of workers.
        memory_limit_mb: a worker whose resident memory is larger when a trial ends is replaced.
    """

    def __init__(self, n_workers: int, *, memory_limit_mb: float = 4096) -> None:
        self.n_workers, self.memory_limit_mb = n_workers, memory_limit_mb
        self._events: Events = NoEvents()
        self._workers: dict[int, _Worker] = {}
        self._leaving: list[ChildProcess] = []
        self._attempts: dict[int, int] = {}
        self._failed_starts = 0

    def warm_up(self, backend: str) -> None:
        """Starts the workers before there are tasks, so that they import Keras in the meantime."""
        for index in range(self.n_workers):
            self._workers[index] = self._start(index, backend)
            self._workers[index].process.send(backend)

    def run(self, waiting: Feed, events: Events) -> None:
        """Runs every task; see `Launcher.run_tasks`.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; the workers have ended.
            WorkerError: workers die before they are ready.
        """
        self._events = events
        going = True
        try:
            while going and (any(worker.task for worker in self._workers.values()) or waiting):
                self._start_tasks(waiting)
                for worker in self._wait():
                    outcome = self._receive(worker)
                    if outcome is None:
                        continue
                    task, worker.task, worker.deadline = worker.task, None, float("inf")
                    assert task is not None
                    if not worker.ready:
                        self._failed_to_start(outcome)
                        self._attempts[task.number] -= 1
                        waiting.appendleft(task)
                    elif self._is_retried(task, outcome):
                        waiting.appendleft(task)
                    elif not events.on_end(outcome):
                        going = False
        finally:
            self.close()

    def close(self) -> None:
        """Ends every worker; a busy one is terminated."""
        for worker in self._workers.values():
            if worker.task is None and worker.ready:
                self._dismiss(worker)
            else:  # busy with a trial or an import
                worker.process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for process in [*self._leaving, *(worker.process for worker in self._workers.values())]:
            process.close(deadline - time.monotonic())
        self._workers.clear()
        self._leaving.clear()

    def _dismiss(self, worker: _Worker) -> None:
        """Asks an idle worker to end, without waiting for it."""
        worker.process.ask_to_end()
        self._leaving.append(worker.process)

    def _start_tasks(self, waiting: Feed) -> None:
        for index in range(self.n_workers):
            worker = self._workers.get(index)
            if worker is not None and worker.task is not None:
                continue
            if not waiting:  # asked only if a worker is free, because a search then decides on its next trial
                return
            worker, task = self._worker_with_task(index, waiting)
            self._attempts[task.number] = self._attempts.get(task.number, 0) + 1
            worker.task, worker.timed_out = task, False
            worker.deadline = time.monotonic() + _START_S
            self._events.on_start(task.number)
            worker.process.send(task)

    def _worker_with_task(self, index: int, waiting: Feed) -> tuple[_Worker, Task]:
        """Returns a free worker and its next task: one of the worker's backend, or any task with a new worker."""
        worker = self._workers.get(index)
        if worker is not None and worker.process.alive:
            backend = worker.backend
            task = waiting.take(lambda each: _backend_of(each) == backend)
            if _backend_of(task) == backend:
                return worker, task
        else:
            task = waiting.popleft()
        if worker is not None:
            self._dismiss(worker)
        worker = self._workers[index] = self._start(index, _backend_of(task))
        return worker, task

    def _failed_to_start(self, outcome: Outcome) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _STARTS:
            raise WorkerError(f"no worker process starts: {outcome.reason}")

    def _wait(self) -> list[_Worker]:
        """Waits for a message or the end of a worker, or for a deadline; returns the workers concerned."""
        busy = [worker for worker in self._workers.values() if worker.task is not None]
        waits: dict[Any, _Worker] = {worker.process.connection: worker for worker in busy}
        now = time.monotonic()
        soonest = min((worker.deadline for worker in busy), default=now)
        timeout = None if soonest == float("inf") else max(0.0, soonest - now)
        found = multiprocessing.connection.wait(list(waits), timeout)
        late = [worker for worker in busy if time.monotonic() >= worker.deadline]
        for worker in late:
            worker.timed_out = True
        return list({worker.index: worker for worker in [*(waits[each] for each in found), *late]}.values())

    def _receive(self, worker: _Worker) -> Outcome | None:
        """Handles the next message of a worker; returns the outcome if its trial is over."""
        task, limit_s = worker.task, self._events.settings.trial_timeout_s
        assert task is not None
        if worker.timed_out:
            return self._lost(worker, task, too_long(limit_s or 0))
        try:
            message = worker.process.receive()
        except EOFError:
            return self._lost(worker, task, worker.process.how_it_died(with_error=not worker.ready))
        if isinstance(message, Outcome):
            self._replace_if_grown(worker)
            return message
        if message == READY:
            worker.ready, self._failed_starts = True, 0
        elif message == BEGUN:
            worker.deadline = time.monotonic() + limit_s if limit_s else float("inf")
        else:
            answer = self._events.on_epoch(*message)
            if task.ask:
                worker.process.send(answer)
        return None

    def _lost(self, worker: _Worker, task: Task, reason: str) -> Outcome:
        """Ends a worker that has died or taken too long; returns the outcome of its trial."""
        del self._workers[worker.index]
        worker.process.stop()
        worker.process.kill()
        return Outcome(task.number, "FAILED", reason, repeatable=worker.timed_out)

    def _is_retried(self, task: Task, outcome: Outcome) -> bool:
        most = self._events.settings.max_retries
        return outcome.state == "FAILED" and not outcome.repeatable and self._attempts[task.number] <= most

    def _replace_if_grown(self, worker: _Worker) -> None:
        import psutil

        try:
            grown = psutil.Process(worker.process.pid).memory_info().rss / 1e6 > self.memory_limit_mb
        except psutil.Error:
            return
        if grown:
            self._dismiss(worker)
            del self._workers[worker.index]

    def _start(self, index: int, backend: str | None) -> _Worker:
        return _Worker(index, ChildProcess("kexp.sweeps.launch.worker_process:work", self.n_workers, index), backend)


def _backend_of(task: Task) -> str | None:
    backend: str | None = task.config.get("backend")
    return backend
