"""The helper's own side: commands from the pipe, one after the other, until it is closed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kexp.errors import KexpError, first_line
from kexp.tracking.client import load_mlflow
from kexp.tracking.helper import load_modules
from kexp.tracking.outbox import Header, Outbox
from kexp.tracking.recorded import start_run
from kexp.tracking.settings import StoreSettings
from kexp.tracking.store import prepare_store
from kexp.tracking.writer import Writer

__all__ = ["main"]

Answer = dict[str, Any] | None


def main() -> None:
    """Serves the process at the other end of standard input and output."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the run's process decides when all is told
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is for nobody
    commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    with contextlib.suppress(Exception):
        load_mlflow()
    served = _Served()
    while True:
        command = commands.get()
        what = command.pop("do")
        handle: Callable[..., Answer] = getattr(served, what)
        try:
            answer = handle(**command)
        except Exception as error:
            told = str(error) if isinstance(error, KexpError) else f"{type(error).__name__}: {first_line(error)}"
            answer = {"error": told}
        if what in ("start_run", "finish"):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _listen(commands: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        commands.put(json.loads(line))
    os._exit(0)  # the other process has ended, or needs this one no more


class _Served:
    """A method for each command."""

    def __init__(self) -> None:
        self.writer: Writer | None = None

    def prepare(self, settings: dict[str, Any]) -> Answer:
        prepare_store(StoreSettings(**settings))
        return None

    def load(self, modules: list[str]) -> Answer:
        threading.Thread(target=load_modules, args=(modules,), daemon=True).start()
        return None

    def start_run(self, settings: dict[str, Any], name: str | None, tags: dict[str, str], run_id: str | None) -> Answer:
        return {"header": asdict(start_run(StoreSettings(**settings), name, tags, run_id))}

    def deliver(self, header: dict[str, Any], settings: dict[str, Any], folder: str) -> Answer:
        self.writer = Writer(Outbox(Path(folder)), Header(**header), StoreSettings(**settings))
        self.writer.start()
        return None

    def wake(self) -> Answer:
        if self.writer is not None:
            self.writer.wake()
        return None

    def finish(self, timeout_s: float) -> Answer:
        assert self.writer is not None
        return asdict(self.writer.finish(timeout_s))
