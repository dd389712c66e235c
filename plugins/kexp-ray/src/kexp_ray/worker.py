"""An actor that runs one trial after another, in a process that has imported Keras once."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from kexp.launching import Outcome, Task, forget_model, import_keras, own_process, run_trial
from kexp_ray.files import Away, TrialFiles
from kexp_ray.mailbox import Mailbox
from kexp_ray.node import Driver, Hello, memory_mb, settle, take_share

__all__ = ["Begun", "Ended", "Epoch", "TrialWorker"]


@dataclass(frozen=True)
class Begun:
    """Keras is imported; the trial's time begins."""


@dataclass(frozen=True)
class Epoch:
    """An epoch is done; with `Task.ask`, the trial waits for an answer."""

    number: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Ended:
    """A trial is over.

    Attributes:
        outcome: what became of it.
        files: the files that it left, where the driver does not see them.
        memory_mb: the process's resident memory after it.
    """

    outcome: Outcome
    files: TrialFiles | None
    memory_mb: float


class TrialWorker:
    """An actor. `run` takes a trial's time; `news` is called meanwhile, in a concurrency group of its own.

    Args:
        threads: how many the libraries may use.
        gpus: its share of GPUs.
    """

    def __init__(self, threads: int, gpus: float) -> None:
        take_share(threads, gpus)
        own_process()
        self._mailbox = Mailbox()
        self._home: Path | None = None

    def hello(self, driver: Driver) -> Hello:
        """Makes itself at home, and says where that is."""
        self._home = settle(driver)
        return Hello(ray.get_runtime_context().get_node_id(), socket.gethostname(), self._home is not None)

    def run(self, attempt: int, task: Task, files: TrialFiles | None) -> None:
        """Runs a trial. What becomes of it, `news` hands on."""
        self._mailbox.begin(attempt)
        import_keras(task)
        self._mailbox.put(Begun())

        def tell(number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
            self._mailbox.put(Epoch(number, epoch, dict(metrics)))
            return self._mailbox.answer() if task.ask else None

        away = None if self._home is None else Away(task, self._home)
        try:
            if away is None:
                ended, back = run_trial(task, tell), None
            else:
                away.arrive(files or TrialFiles())
                ended, back = away.leave(run_trial(away.task, tell))
        except Exception as error:  # of what is around the trial: it tells of its own errors itself
            ended, back = Outcome(task.number, "FAILED", f"{type(error).__name__}: {error}"), None
        except BaseException:  # the process is to end, and the trial with it
            os._exit(143)
        forget_model()
        self._mailbox.put(Ended(ended, back, memory_mb()))

    @ray.method(concurrency_group="io")  # type: ignore[untyped-decorator]
    def news(self, attempt: int, heard: int, answer: str | None) -> Sequence[Any]:
        """See `Mailbox.news`."""
        return self._mailbox.news(attempt, heard, answer)
