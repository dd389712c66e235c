"""Warm worker processes: each runs one trial after another, and what happens to one costs no other.

A worker is spawned, not forked, so that it starts clean. It is told tasks over a pipe and tells of epochs and ends. One
that dies, hangs past the time limit or has grown past the watermark is replaced.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kexp.errors import KexpError
from kexp.sweeps.events import Events, NoEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.trial_run import run_trial, too_long
from kexp.sweeps.trials import Outcome, Task
from kexp.training import forget_model, freeze_imports, own_process

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

__all__ = [
    "WorkerError",
    "WorkerPool",
    "default_workers",
    "how_it_died",
    "import_keras",
    "interrupts_blocked",
    "unguarded_main",
]

_CONTEXT = multiprocessing.get_context("spawn")
_GRACE_S = 5.0  # between asking a worker to end and ending it
_READY, _BEGUN = "ready", "begun"
_START_S = 300.0  # the longest that a worker may take to start, and to import Keras before its first trial
_STARTS = 3  # so many workers in a row that die before they are ready, and none will live


class WorkerError(KexpError):
    """Worker processes cannot be had."""


def default_workers() -> int:
    """One worker a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Worker:
    index: int
    process: BaseProcess
    pipe: Connection
    backend: str | None = None  # Keras' backend, of which a process can import one
    task: Task | None = None
    deadline: float = float("inf")
    timed_out: bool = False
    ready: bool = False


class WorkerPool:
    """Runs tasks on a few worker processes.

    Args:
        n_workers: how many.
        memory_limit_mb: a worker whose resident memory is above this when a trial ends is replaced.
    """

    def __init__(self, n_workers: int, *, memory_limit_mb: float = 4096) -> None:
        self.n_workers, self.memory_limit_mb = n_workers, memory_limit_mb
        self._events: Events = NoEvents()
        self._workers: dict[int, _Worker] = {}
        self._attempts: dict[int, int] = {}
        self._failed_starts = 0

    def warm_up(self, backend: str) -> None:
        """Starts the workers before there is a task for them; they import Keras meanwhile."""
        for index in range(self.n_workers):
            self._workers[index] = self._spawn(index, backend)
            _send(self._workers[index], backend)

    def run(self, waiting: Feed, events: Events) -> None:
        """Runs every task, see `Launcher.run_tasks`.

        Raises:
            KeyboardInterrupt: Ctrl-C; the workers are gone by then.
            WorkerError: no worker lives long enough to be given a trial.
        """
        self._events = events
        going = True
        try:
            while going and (any(worker.task for worker in self._workers.values()) or waiting):
                self._start_tasks(waiting)
                for worker in self._with_news():
                    outcome = self._listen(worker)
                    if outcome is None:
                        continue
                    task, worker.task, worker.deadline = worker.task, None, float("inf")
                    assert task is not None
                    if not worker.ready:
                        self._failed_to_start(outcome)
                        self._attempts[task.number] -= 1
                        waiting.appendleft(task)
                        continue
                    if self._again(task, outcome):
                        waiting.appendleft(task)
                        continue
                    if not events.on_end(outcome):
                        going = False
        finally:
            self.close()

    def close(self) -> None:
        """Ends every worker, at once where it is busy."""
        for worker in self._workers.values():
            if worker.task is None and worker.ready:
                _send(worker, None)
            else:  # busy with a trial, or with an import that nobody waits for
                worker.process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for worker in self._workers.values():
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def _start_tasks(self, waiting: Feed) -> None:
        for index in range(self.n_workers):
            worker = self._workers.get(index)
            if worker is not None and worker.task is not None:
                continue
            if not waiting:  # asked only where there is room: a search decides on its next trial then
                return
            worker, task = self._worker_with_task(index, waiting)
            self._attempts[task.number] = self._attempts.get(task.number, 0) + 1
            worker.task, worker.timed_out = task, False
            worker.deadline = time.monotonic() + _START_S
            self._events.on_start(task.number)
            _send(worker, task)  # a worker that is gone is seen by its sentinel

    def _worker_with_task(self, index: int, waiting: Feed) -> tuple[_Worker, Task]:
        """The next task for a worker: of the backend that it has imported, or for a new worker where there is none."""
        worker = self._workers.get(index)
        if worker is not None and worker.process.is_alive():
            backend = worker.backend
            task = waiting.take(lambda each: _backend_of(each) == backend)
            if _backend_of(task) == backend:
                return worker, task
            _send(worker, None)
        else:
            task = waiting.popleft()
        worker = self._workers[index] = self._spawn(index, _backend_of(task))
        return worker, task

    def _failed_to_start(self, outcome: Outcome) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _STARTS:
            raise WorkerError(f"no worker process starts: {outcome.reason}, before it was given a trial")

    def _with_news(self) -> list[_Worker]:
        """Workers with something to say, or whose end must be dealt with."""
        busy = [worker for worker in self._workers.values() if worker.task is not None]
        waits: dict[Any, _Worker] = {}
        for worker in busy:
            waits[worker.pipe] = worker
            waits[worker.process.sentinel] = worker
        now = time.monotonic()
        soonest = min((worker.deadline for worker in busy), default=now)
        timeout = None if soonest == float("inf") else max(0.0, soonest - now)
        found = multiprocessing.connection.wait(list(waits), timeout)
        late = [worker for worker in busy if time.monotonic() >= worker.deadline]
        for worker in late:
            worker.timed_out = True
            worker.process.kill()
            worker.process.join()
        return list({id(worker): worker for worker in [*(waits[each] for each in found), *late]}.values())

    def _listen(self, worker: _Worker) -> Outcome | None:
        """The next thing a worker says; an Outcome when its trial is over."""
        assert worker.task is not None
        if not worker.timed_out:
            message = None
            with contextlib.suppress(EOFError, OSError):
                message = worker.pipe.recv() if worker.pipe.poll() else None
            if isinstance(message, Outcome):
                self._replace_if_grown(worker)
                return message
            if message == _READY:
                worker.ready, self._failed_starts = True, 0
            elif message == _BEGUN:
                limit_s = self._events.settings.trial_timeout_s
                worker.deadline = time.monotonic() + limit_s if limit_s else float("inf")
            elif message is not None:
                answer = self._events.on_epoch(*message)
                if worker.task.ask:
                    _send(worker, answer)
            if message is not None or worker.process.is_alive():
                return None
        worker.process.join()
        del self._workers[worker.index]
        worker.pipe.close()
        reason = self._how_it_died(worker)
        return Outcome(worker.task.number, "FAILED", reason, repeatable=worker.timed_out)

    def _how_it_died(self, worker: _Worker) -> str:
        if worker.timed_out:
            return too_long(self._events.settings.trial_timeout_s or 0)
        return how_it_died(worker.process.exitcode or 0)

    def _again(self, task: Task, outcome: Outcome) -> bool:
        most = self._events.settings.max_retries
        return outcome.state == "FAILED" and not outcome.repeatable and self._attempts[task.number] <= most

    def _replace_if_grown(self, worker: _Worker) -> None:
        import psutil

        try:
            grown = psutil.Process(worker.process.pid).memory_info().rss / 1e6 > self.memory_limit_mb
        except psutil.Error:
            return
        if grown:
            _send(worker, None)
            self._workers.pop(worker.index, None)

    def _spawn(self, index: int, backend: str | None) -> _Worker:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_work, args=(theirs, self.n_workers, index, os.getpid()), name=f"kexp-worker-{index}", daemon=True
        )
        with unguarded_main(), interrupts_blocked():
            process.start()
        theirs.close()
        return _Worker(index, process, ours, backend)


def _backend_of(task: Task) -> str | None:
    backend: str | None = task.config.get("backend")
    return backend


def how_it_died(code: int) -> str:
    """What the exit code of a trial's process says, as a sentence."""
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL); out of memory, perhaps"
    if code < 0:
        return f"its process died of {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


@contextlib.contextmanager
def unguarded_main() -> Iterator[None]:
    """Keeps a worker from importing the parent's main module: a user's script may have no `if __name__ == ...`."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    main.__file__ = main.__spec__ = None
    try:
        yield
    finally:
        for name in ("__file__", "__spec__"):
            delattr(main, name)
        for name, value in kept.items():
            setattr(main, name, value)


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """A worker is born deaf to Ctrl-C, which goes to all of a terminal's processes and is the parent's to deal with."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(worker: _Worker, message: Any) -> None:
    with contextlib.suppress(OSError):  # it is gone; its sentinel tells
        worker.pipe.send(message)


def _work(pipe: Connection, n_workers: int, index: int, parent: int) -> None:
    """A worker's life: trial after trial until it is told None, or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to deal with
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    own_process()
    _share_machine(n_workers, index)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    pipe.send(_READY)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        if task is None:
            return
        if isinstance(task, str):
            _import_keras(task)
            continue

        def tell(number: int, epoch: int, metrics: Mapping[str, float], ask: bool = task.ask) -> str | None:
            pipe.send((number, epoch, dict(metrics)))
            return pipe.recv() if ask else None

        import_keras(task)
        try:
            pipe.send(_BEGUN)
            pipe.send(run_trial(task, tell))
        except OSError:  # nobody listens any more
            return
        forget_model()


def import_keras(task: Task) -> None:
    """Done before the trial's clock starts. What goes wrong here goes wrong in the trial again, and is told there."""
    _import_keras(task.config["backend"])
    freeze_imports()


def _import_keras(backend: str) -> None:
    with contextlib.suppress(Exception):
        from kexp.training import prepare_backend

        prepare_backend(backend)
        import keras  # noqa: F401


def _share_machine(n_workers: int, index: int) -> None:
    """Threads are shared out between the workers, and GPUs go round."""
    threads = str(max(1, default_workers() // n_workers))
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, threads)
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        nodes = sorted(os.listdir("/dev"))
        devices = [name.removeprefix("nvidia") for name in nodes if re.fullmatch(r"nvidia\d+", name)]
    else:
        devices = [each for each in named.split(",") if each]
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)]


def _end_with(parent: int) -> None:
    """A worker whose parent was killed has nobody to work for."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
