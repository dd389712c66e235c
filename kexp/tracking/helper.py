"""A process beside the run's: it imports MLflow while the run's own imports Keras, and delivers the run's rows.

What the two share is the outbox on disk, which the run's process writes and the helper reads, and a pipe each way with
one JSON object a line. The helper ends with the pipe: it never outlives the process that started it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kexp.errors import StoreError
from kexp.tracking.client import load_mlflow
from kexp.tracking.outbox import Header
from kexp.tracking.settings import StoreSettings
from kexp.tracking.writer import Ending

__all__ = ["Helper", "claim", "warm_up", "warm_up_for_the_end"]

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from kexp.tracking.helper_process import main; main()"
)
_GONE = "the process that talks to it has ended"

_lock = threading.Lock()
_helpers: dict[str, Helper] = {}  # "waiting" is of no run yet; "claimed" is the first run's
_threads: dict[str, threading.Thread] = {}


class Helper:
    """The run's side of the process. Used by one run."""

    def __init__(self) -> None:
        self.started_in = _surroundings()
        # A process group of its own: Ctrl-C in the terminal is for the run, which then tells the helper what is left.
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        atexit.register(self.close)

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def prepare(self, settings: StoreSettings) -> None:
        """Has the store made ready. Errors show when the run is opened."""
        self._tell("prepare", settings=asdict(settings))

    def load(self, modules: list[str]) -> None:
        """Has modules imported that will be wanted."""
        self._tell("load", modules=modules)

    def start_run(
        self, settings: StoreSettings, name: str | None, tags: Mapping[str, str], run_id: str | None
    ) -> Header:
        """As `recorded.start_run`, there."""
        self._tell("start_run", settings=asdict(settings), name=name, tags=dict(tags), run_id=run_id)
        answer = self._answer(None)
        if "header" not in answer:
            raise StoreError(answer.get("error", f"tracking.uri: {_GONE}"))
        return Header(**answer["header"])

    def deliver(self, header: Header, settings: StoreSettings, folder: Path) -> None:
        """Has the rows in `folder` delivered from now on."""
        self._tell("deliver", header=asdict(header), settings=asdict(settings), folder=str(folder.absolute()))

    def wake(self) -> None:
        """Has it look for rows now."""
        self._tell("wake")

    def finish(self, timeout_s: float) -> Ending:
        """As `Writer.finish`, there; the process has ended then."""
        self._tell("finish", timeout_s=timeout_s)
        answer = self._answer(timeout_s + 5)
        self.close()
        if "failure" not in answer:
            return Ending(answer.get("error", _GONE))
        return Ending(answer["failure"], tuple(answer["refused"]))

    def close(self) -> None:
        """Ends the process, at once if it must be."""
        atexit.unregister(self.close)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, what: str, **more: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended: shows at the next answer, and nothing is lost
            self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
            self._process.stdin.flush()

    def _answer(self, timeout_s: float | None) -> dict[str, Any]:
        """The next answer; an empty one where none comes."""
        assert self._process.stdout is not None
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pipe, got = self._process.stdout.fileno(), b""
        while not got.endswith(b"\n"):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([pipe], [], [], left)[0]:
                return {"error": f"it took longer than {timeout_s:g} s"}
            more = os.read(pipe, 1 << 16)
            if not more:
                return {}
            got += more
        answer: dict[str, Any] = json.loads(got)
        return answer


def warm_up(settings: StoreSettings | None = None) -> None:
    """Begins what opening a run will take, meanwhile and elsewhere: MLflow's import, and with `settings` their store.

    In a process's first run a helper does it. One that has MLflow already, or makes more runs, does it in a thread.
    Errors show when the run is opened.
    """
    with _lock:
        waiting = _helpers.get("waiting")
        if settings is None:
            if waiting is not None and waiting.started_in != _surroundings():
                _helpers.pop("waiting").close()  # a run that came to nothing left it, in another folder perhaps
                waiting = None
            if waiting is None and "claimed" not in _helpers and "mlflow" not in sys.modules:
                with contextlib.suppress(OSError):  # no more processes are allowed
                    waiting = _helpers["waiting"] = Helper()
        if waiting is not None:
            if settings is not None:
                waiting.prepare(settings)
            return
    _warm_up_here(settings)


def warm_up_for_the_end(models: bool, figures: bool) -> None:
    """Begins to import what the end of a run needs, while there is training to do."""
    names = ["mlflow.pyfunc"] if models else []
    names += ["matplotlib.figure", "matplotlib.backends.backend_agg"] if figures else []
    claimed = _helpers.get("claimed")
    if claimed is not None and claimed.is_alive():
        claimed.load(names)
    else:
        threading.Thread(target=load_modules, args=(names,), name="kexp-warm-up-end", daemon=True).start()


def claim() -> Helper | None:
    """The helper that `warm_up` started, for one run; None where there is none."""
    with _lock:
        helper = _helpers.pop("waiting", None)
        if helper is not None:
            _helpers["claimed"] = helper
        return helper


def load_modules(names: list[str]) -> None:
    """Imports modules; what is wrong with one shows, with its reason, when it is used."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _warm_up_here(settings: StoreSettings | None) -> None:
    part = "import" if settings is None else "store"
    if part in _threads and _threads[part].is_alive():
        return

    def work() -> None:
        from kexp.tracking.store import prepare_store

        with contextlib.suppress(Exception):
            load_mlflow() if settings is None else prepare_store(settings)

    _threads[part] = threading.Thread(target=work, name=f"kexp-warm-up-{part}", daemon=True)
    _threads[part].start()


def _surroundings() -> tuple[dict[str, str], str]:
    return dict(os.environ), os.getcwd()
