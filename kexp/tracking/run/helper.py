"""The helper: a process that imports MLflow and delivers a run, while this process imports Keras and trains.

The run's process writes the outbox on disk, and the helper reads it. Short requests go through a connection. The helper
starts with the first run of a process, serves one run at a time, and ends with the process. If there is no helper, or
it was killed, the run's own process does the same work, which takes longer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kexp.system.child_process import ChildProcess
from kexp.tracking.delivery.outbox import Header
from kexp.tracking.delivery.progress import DeliveryState
from kexp.tracking.settings import StoreSettings, resolve_uri

__all__ = ["Helper", "claim", "start_helper"]

_NOTHING = object()
_lock = threading.Lock()
_started: list[Helper] = []  # one at most
os.register_at_fork(after_in_child=_started.clear)  # a forked process must not use its parent's helper


class Helper:
    """The helper, for the run's process. It has a method for each request of `helper_process`."""

    def __init__(self) -> None:
        self.busy = False
        self._state, self._silence_s, self._heard = DeliveryState(), 0.0, 0.0
        self._sending = threading.Lock()
        # Ctrl-C and SIGTERM are for the run's process, which then ends the delivery.
        self._process = ChildProcess("kexp.tracking.run.helper_process:serve", ignored=(signal.SIGINT, signal.SIGTERM))

    def is_alive(self) -> bool:
        """Returns whether the process runs."""
        return self._process.alive

    def prepare(self, settings: StoreSettings) -> None:
        """Prepares the store. Errors are reported when the run is opened."""
        self._request("prepare", *_process_environment(), _resolved(settings))

    def start_run(
        self, settings: StoreSettings, name: str | None, tags: Mapping[str, str], run_id: str | None
    ) -> Header | None:
        """Creates the run in the store; see `recorded_run.start_run`. Returns None if this process has to create it."""
        self._request("start_run", *_process_environment(), _resolved(settings), name, dict(tags), run_id)
        answer = self._receive(None)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Header) else None

    def deliver(self, header: Header, settings: StoreSettings, folder: Path, preload: Collection[str]) -> None:
        """Starts to deliver the rows in `folder`."""
        self._request("deliver", header, settings, folder.absolute(), tuple(preload))

    def wake(self) -> None:
        """Starts the next delivery now."""
        self._request("wake")

    def finish(self, patience_s: float) -> None:
        """Ends the delivery, see `DeliveryThread.finish`."""
        self._silence_s, self._heard = patience_s + 5, time.monotonic()
        self._state = DeliveryState()
        self._request("finish", patience_s)

    def state(self, wait_s: float) -> DeliveryState | None:
        """Returns the state of the delivery after `finish`, or None if the helper has ended."""
        answer = self._receive(wait_s)
        if isinstance(answer, DeliveryState):
            self._heard, self._state = time.monotonic(), answer
        elif answer is not _NOTHING:
            self.close()
            return None
        elif time.monotonic() - self._heard > self._silence_s:  # for example, it was stopped
            self.close()
            return DeliveryState(f"nothing was heard of it for {self._silence_s:g} s", over=True)
        if self._state.over:
            self.busy = False
            if self._state.failure:
                self.close()
        return self._state

    def close(self) -> None:
        """Kills the process. What it has not delivered stays on disk."""
        self._process.kill()

    def _request(self, method: str, *arguments: Any) -> None:
        with self._sending:
            self._process.send((method, arguments))

    def _receive(self, timeout_s: float | None) -> Any:
        """Returns the next answer, `_NOTHING` if there is none yet, or None if the helper has ended without one."""
        try:
            return self._process.receive(timeout_s)
        except TimeoutError:
            return _NOTHING
        except EOFError:
            return None
        except BaseException:  # for example Ctrl-C: the answer would be taken for that of the next request
            self.close()
            raise


def start_helper(settings: StoreSettings | None = None) -> None:
    """Starts the helper, which imports MLflow, and prepares the store of `settings` if they are given.

    Errors are reported when the run is opened. A process that has already imported MLflow starts no helper.
    """
    with _lock, contextlib.suppress(OSError):  # for example, no more processes are allowed
        if not (_started and _started[0].is_alive()):
            if "mlflow" in sys.modules or not sys.executable:
                return
            _started[:] = [Helper()]
        if settings is not None and not _started[0].busy:
            _started[0].prepare(settings)


def claim() -> Helper | None:
    """Reserves the helper for one run. Returns None if there is no helper, or it serves another run."""
    with _lock:
        for helper in _started:
            if helper.is_alive() and not helper.busy:
                helper.busy = True
                return helper
        return None


def _resolved(settings: StoreSettings) -> StoreSettings:
    """Returns the settings with their address: the helper does not know an address that was set in Python."""
    return replace(settings, uri=resolve_uri(settings))


def _process_environment() -> tuple[str, dict[str, str]]:
    """Returns the working directory and the environment, which may have changed since the helper started."""
    return os.getcwd(), dict(os.environ)
