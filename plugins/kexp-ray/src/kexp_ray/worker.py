"""An actor that runs one trial after another, in a process that has imported Keras once."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from kexp.sweeps.launch.trial_run import run_trial
from kexp.sweeps.launch.workers import import_keras
from kexp.sweeps.trials import Outcome, Task
from kexp.training import forget_model, own_process
from kexp_ray.files import Away, Luggage
from kexp_ray.node import Driver, Hello, memory_mb, settle, take_share
from kexp_ray.talk import Talk

__all__ = ["Begun", "Ended", "Epoch", "TrialWorker"]


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
    """A trial is over.

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

    Args:
        threads: how many the libraries may use.
        gpus: its share of GPUs.
    """

    def __init__(self, threads: int, gpus: float) -> None:
        take_share(threads, gpus)
        own_process()
        self._talk = Talk()
        self._home: Path | None = None

    def hello(self, driver: Driver) -> Hello:
        """Makes itself at home, and says where that is."""
        self._home = settle(driver)
        return Hello(ray.get_runtime_context().get_node_id(), socket.gethostname(), self._home is not None)

    def run(self, attempt: int, task: Task, luggage: Luggage | None) -> None:
        """Runs a trial. All that is to be said of it is said by `news`."""
        self._talk.begin(attempt)
        import_keras(task)
        self._talk.say(Begun())

        def tell(number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
            self._talk.say(Epoch(number, epoch, dict(metrics)))
            return self._talk.answer() if task.ask else None

        away = None if self._home is None else Away(task, self._home)
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
        forget_model()
        self._talk.say(Ended(ended, back, memory_mb()))

    @ray.method(concurrency_group="io")  # type: ignore[untyped-decorator]
    def news(self, attempt: int, heard: int, answer: str | None) -> Sequence[Any]:
        """See `Talk.news`."""
        return self._talk.news(attempt, heard, answer)
