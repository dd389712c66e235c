"""What a Ray actor does: one trial after another, in a process that has imported Keras once."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray

from kexp.sweep.trial_run import run_trial
from kexp.sweep.trials import Outcome, Task
from kexp.sweep.workers import import_keras
from kexp_ray.files import Away, Luggage

__all__ = ["Begun", "Driver", "Ended", "Epoch", "Hello", "TrialWorker"]

_NEWS_S = 20.0  # the longest that a call for news waits for some


@dataclass(frozen=True)
class Driver:
    """What a worker is told of where the sweep was started.

    Attributes:
        mark: a file in the sweep's folder; a node that reads the same word there sees the driver's files.
        word: the word.
        folder: the working directory.
        path: where Python looks for modules.
        scratch: a folder of the node's own to work in, though the driver's be seen; empty for none.
    """

    mark: str
    word: str
    folder: str
    path: Sequence[str]
    scratch: str = ""


@dataclass(frozen=True)
class Hello:
    """What a worker says of itself.

    Attributes:
        node_id: Ray's name of its node.
        host: its node's name.
        away: whether it works in a folder of its own.
    """

    node_id: str
    host: str
    away: bool


@dataclass(frozen=True)
class Begun:
    """Keras is imported; the trial's time begins."""


@dataclass(frozen=True)
class Epoch:
    """An epoch is done; with `Task.ask`, the trial waits for a word."""

    number: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Ended:
    """The trial is over.

    Attributes:
        outcome: what became of it.
        luggage: the files that it left, where the driver does not see them.
        memory_mb: the process's resident memory after it.
    """

    outcome: Outcome
    luggage: Luggage | None
    memory_mb: float


class TrialWorker:
    """An actor. `run` takes a trial's time; `news` is called meanwhile, in a concurrency group of its own.

    What it has to say stays in a list, and the driver says how much of it has arrived: a call that fails on its way can
    be repeated.

    Args:
        threads: how many the libraries may use.
        gpus: its share of GPUs.
    """

    def __init__(self, threads: int, gpus: float) -> None:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, str(threads))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        elif gpus < 1:  # others are on the same one
            os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        # SIGTERM ends the process: Python's handlers run in the main thread, which waits in Ray's own code.
        ctypes.CDLL(None).signal(int(signal.SIGTERM), 0)
        self._change = threading.Condition()
        self._attempt = -1
        self._said: list[Begun | Epoch | Ended] = []
        self._answers: dict[int, str | None] = {}
        self._away: Path | None = None

    def hello(self, driver: Driver) -> Hello:
        """Finds out whether the driver's files are seen from here, and makes itself at home."""
        mark = Path(driver.mark)
        sees = mark.is_file() and mark.read_text(encoding="utf-8") == driver.word
        if sees:
            os.chdir(driver.folder)
            sys.path += [each for each in driver.path if each not in sys.path]
        if driver.scratch or not sees:
            parent = Path(driver.scratch or tempfile.gettempdir())
            self._away = parent / f"kexp-{driver.word}-{os.getpid()}"
        return Hello(ray.get_runtime_context().get_node_id(), socket.gethostname(), self._away is not None)

    def run(self, attempt: int, task: Task, luggage: Luggage | None) -> None:
        """Runs a trial. All that is to be said of it is said by `news`."""
        with self._change:
            self._attempt, self._said, self._answers = attempt, [], {}
            self._change.notify_all()
        import_keras(task)
        self._say(Begun())

        def tell(number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
            place = self._say(Epoch(number, epoch, dict(metrics)))
            if not task.ask:
                return None
            with self._change:
                self._change.wait_for(lambda: place in self._answers)
                return self._answers.pop(place)

        away = None if self._away is None else Away(task, self._away)
        try:
            if away is None:
                ended, back = run_trial(task, tell), None
            else:
                away.arrive(luggage or Luggage())
                ended, back = away.leave(run_trial(away.task, tell))
        except Exception as error:  # of what is around the trial: it tells of its own errors itself
            ended, back = Outcome(task.number, "FAILED", f"{type(error).__name__}: {error}"), None
        except BaseException:  # the process is to end, and the trial with it
            os._exit(143)
        _forget()
        self._say(Ended(ended, back, psutil.Process().memory_info().rss / 1e6))

    @ray.method(concurrency_group="io")  # type: ignore[untyped-decorator]
    def news(self, attempt: int, heard: int, answer: str | None) -> Sequence[Begun | Epoch | Ended]:
        """What there is to say.

        Args:
            attempt: of which call of `run`.
            heard: how much of it has arrived.
            answer: why the trial is to end after the last thing heard, or None; counts where that was an epoch of a
                trial that asks.
        """
        with self._change:
            if attempt == self._attempt and heard:
                self._answers[heard - 1] = answer
                self._change.notify_all()
            self._change.wait_for(lambda: attempt == self._attempt and len(self._said) > heard, _NEWS_S)
            return self._said[heard:] if attempt == self._attempt else []

    def _say(self, word: Any) -> int:
        with self._change:
            self._said.append(word)
            self._change.notify_all()
            return len(self._said) - 1


def _forget() -> None:
    """Frees what Keras keeps between models."""
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.clear_session(free_memory=False)
    gc.collect()
