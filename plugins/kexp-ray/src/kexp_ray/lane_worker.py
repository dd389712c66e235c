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

from kexp.launching import Batch, LaneEngine, Outcome, Verified, import_engine, logged
from kexp_ray.files import Away, TrialFiles
from kexp_ray.mailbox import Mailbox
from kexp_ray.node import Driver, Hello, memory_mb, settle, take_share
from kexp_ray.worker import Ended

__all__ = ["BatchEnded", "LaneWorker"]


@dataclass(frozen=True)
class BatchEnded:
    """A batch has ended.

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
        self._mailbox = Mailbox()
        self._home: Path | None = None
        self._away: dict[int, Away] = {}
        self._engine: LaneEngine | None = None

    def hello(self, driver: Driver) -> Hello:
        """Makes itself at home, imports JAX, and says what it has room for."""
        self._home = settle(driver)
        lanes = import_engine(self._threads)
        node = ray.get_runtime_context().get_node_id()
        return Hello(node, socket.gethostname(), self._home is not None, lanes)

    def run(self, attempt: int, batch: Batch, files: Mapping[int, TrialFiles]) -> None:
        """Runs a batch. What becomes of it, `news` hands on."""
        self._mailbox.begin(attempt)
        batch = replace(batch, threads=batch.threads or self._threads)
        if self._home is not None:
            batch = self._arrive(self._home, batch, files)
        log = Path(batch.log)
        try:
            with logged(log):
                try:
                    self._engine = self._engine or LaneEngine(self)
                    self._engine.run(batch)
                except BaseException:
                    traceback.print_exc()
                    raise
            printed = log.read_bytes() if self._home is not None else b""
            if self._home is not None:
                shutil.rmtree(self._home, ignore_errors=True)
        except BaseException:  # an engine that has failed is not used again: the process ends, and is replaced
            os._exit(1)
        self._mailbox.put(BatchEnded(printed, memory_mb()))

    def verify(self) -> Verified:
        """See `LaneEngine.verify`."""
        return Verified(0, ()) if self._engine is None else self._engine.verify()

    @ray.method(concurrency_group="io")  # type: ignore[untyped-decorator]
    def news(self, attempt: int, heard: int, answer: str | None) -> Sequence[Any]:
        """See `Mailbox.news`."""
        return self._mailbox.news(attempt, heard, answer)

    def send(self, message: Any) -> None:
        """Takes a report of the engine; with the end of a trial, its files go along."""
        if isinstance(message, Outcome):
            away = self._away.pop(message.number, None)
            outcome, files = (message, None) if away is None else away.leave(message)
            message = Ended(outcome, files, 0.0)
        self._mailbox.put(message)

    def recv(self) -> str | None:
        """What the driver answers to an epoch."""
        return self._mailbox.answer()

    def _arrive(self, home: Path, batch: Batch, files: Mapping[int, TrialFiles]) -> Batch:
        """The batch in a folder of the node's own."""
        shutil.rmtree(home, ignore_errors=True)
        self._away = {task.number: Away(task, home / str(task.number)) for task in batch.tasks}
        for number, away in self._away.items():
            away.arrive(files.get(number, TrialFiles()))
        return replace(batch, tasks=[away.task for away in self._away.values()], log=str(home / "fused.log"))
