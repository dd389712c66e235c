"""The process of the helper, which executes the requests of the run's process one after the other."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import warnings
from collections.abc import Callable, Collection, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kexp.errors import KexpError
from kexp.system.quick_imports import without_collections
from kexp.tracking.delivery.outbox import Header, Outbox
from kexp.tracking.delivery.progress import DeliveryState
from kexp.tracking.delivery.run_delivery import RunDelivery
from kexp.tracking.run.recorded_run import start_run
from kexp.tracking.settings import StoreSettings
from kexp.tracking.store.client import load_mlflow
from kexp.tracking.store.prepare import prepare_store

__all__ = ["serve"]

_REPORT_S = 1.0  # between two reports on the state of a delivery


def serve(connection: Connection) -> None:
    """Serves the process at the other end of the connection, until it ends."""
    warnings.simplefilter("ignore")  # if warnings are errors, MLflow cannot be imported
    requests: queue.SimpleQueue[tuple[str, tuple[Any, ...]]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    # An import that fails, fails again and is reported when MLflow is needed.
    with contextlib.suppress(Exception), without_collections(freeze=True):
        load_mlflow()
    service = _Service(connection.send)
    while True:
        method, arguments = requests.get()
        answer: object
        try:
            answer = getattr(service, method)(*arguments)
        except KexpError as error:
            answer = error
        except Exception:  # the run's process tries it itself, and reports the error
            answer = None
        if method in ("start_run", "finish"):
            connection.send(answer)


def _listen(connection: Connection, requests: queue.SimpleQueue[tuple[str, tuple[Any, ...]]]) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            requests.put(connection.recv())
    os._exit(0)  # the other process has ended


class _Service:
    """A method for each request."""

    def __init__(self, report: Callable[[object], None]) -> None:
        self.writer: RunDelivery | None = None
        self._report = report

    def prepare(self, folder: str, environment: Mapping[str, str], settings: StoreSettings) -> None:
        _adopt_environment(folder, environment)
        prepare_store(settings)

    def start_run(
        self,
        folder: str,
        environment: Mapping[str, str],
        settings: StoreSettings,
        name: str | None,
        tags: Mapping[str, str],
        run_id: str | None,
    ) -> Header:
        _adopt_environment(folder, environment)
        return start_run(settings, name, tags, run_id)

    def deliver(self, header: Header, settings: StoreSettings, folder: Path, preload: Collection[str]) -> None:
        self.writer = RunDelivery(Outbox(folder), header, settings, preload)
        self.writer.start()

    def wake(self) -> None:
        assert self.writer is not None
        self.writer.wake()

    def finish(self, patience_s: float) -> DeliveryState:
        assert self.writer is not None
        self.writer.finish(patience_s)
        while not (state := self.writer.state(_REPORT_S)).over:
            self._report(state)
        return state


def _adopt_environment(folder: str, environment: Mapping[str, str]) -> None:
    """Takes over the run's working directory and environment, which locate artifacts and contain credentials."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
