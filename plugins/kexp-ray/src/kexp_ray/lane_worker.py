"""An actor that runs batches of trials as lanes of compiled programs."""

from __future__ import annotations

import os
import shutil
import socket
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from kexp.sweeps.launch.lanes import Batch, LaneEngine, Verified
from kexp.sweeps.launch.trial_run import logged
from kexp.sweeps.trials import Outcome
from kexp_ray.files import Away, Luggage
from kexp_ray.node import Driver, Hello, memory_mb, settle, take_share
from kexp_ray.talk import Talk
from kexp_ray.worker import Ended

__all__ = ["BatchEnded", "LaneWorker"]


@dataclass(frozen=True)
class BatchEnded:
    """There is no more to be said of a batch.

    Attributes:
        log: what was printed meanwhile, where the driver does not see it.
        memory_mb: the process's resident memory.
    """

    log: bytes
    memory_mb: float


class LaneWorker:
    """An actor. `run` takes a batch's time; `news` is called meanwhile, in a concurrency group of its own.

    Args:
        threads: how many programs run at once.
        gpus: its share of GPUs.
    """

    def __init__(self, threads: int, gpus: float) -> None:
        take_share(threads, gpus)
        self._threads = None if gpus else threads
        self._talk = Talk()
        self._home: Path | None = None
        self._away: dict[int, Away] = {}
        self._engine: LaneEngine | None = None

    def hello(self, driver: Driver) -> Hello:
        """Makes itself at home, imports JAX, and says what it has room for."""
        self._home = settle(driver)
        from kexp.training import own_process, prepare_backend

        own_process()
        prepare_backend("jax")
        from kexp import fused

        lanes = fused.default_width() * (self._threads or fused.default_threads())
        node = ray.get_runtime_context().get_node_id()
        return Hello(node, socket.gethostname(), self._home is not None, lanes)

    def run(self, attempt: int, batch: Batch, luggage: Mapping[int, Luggage]) -> None:
        """Runs a batch. All that is to be said of it is said by `news`."""
        self._talk.begin(attempt)
        batch = replace(batch, threads=batch.threads or self._threads)
        if self._home is not None:
            batch = self._arrive(self._home, batch, luggage)
        log = Path(batch.log)
        try:
            with logged(log):
                try:
                    self._engine = self._engine or LaneEngine(self)
                    self._engine.run(batch)
                except BaseException:
                    traceback.print_exc()
                    raise
            told = log.read_bytes() if self._home is not None else b""
            if self._home is not None:
                shutil.rmtree(self._home, ignore_errors=True)
        except BaseException:  # an engine that has failed is not used again: the process ends, and is replaced
            os._exit(1)
        self._talk.say(BatchEnded(told, memory_mb()))

    def verify(self) -> Verified:
        """See `LaneEngine.verify`."""
        return Verified(0, ()) if self._engine is None else self._engine.verify()

    @ray.method(concurrency_group="io")  # type: ignore[untyped-decorator]
    def news(self, attempt: int, heard: int, answer: str | None) -> Sequence[Any]:
        """See `Talk.news`."""
        return self._talk.news(attempt, heard, answer)

    def send(self, message: Any) -> None:
        """What the engine has to say; with the end of a trial, its files go along."""
        if isinstance(message, Outcome):
            away = self._away.pop(message.number, None)
            outcome, luggage = (message, None) if away is None else away.leave(message)
            message = Ended(outcome, luggage, 0.0)
        self._talk.say(message)

    def recv(self) -> str | None:
        """What the driver answers to an epoch."""
        return self._talk.answer()

    def _arrive(self, home: Path, batch: Batch, luggage: Mapping[int, Luggage]) -> Batch:
        """The batch in a folder of the node's own."""
        shutil.rmtree(home, ignore_errors=True)
        self._away = {task.number: Away(task, home / str(task.number)) for task in batch.tasks}
        for number, away in self._away.items():
            away.arrive(luggage.get(number, Luggage()))
        return replace(batch, tasks=[away.task for away in self._away.values()], log=str(home / "fused.log"))
