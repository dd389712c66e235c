"""A sweep that gets a signal at a named point: `python killed.py POINT NTH SIGNAL ARGUMENT ...` is `kexp ARGUMENT ...`.

The signal comes when the point is reached for the NTH time, and a line of standard error says so before it does.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

# Point -> (module, name in it, whether the signal comes before what is called there or after it).
POINTS = {
    "planned": ("kexp.sweeps.sweeper", "open_session", "before"),
    "opening": ("kexp.sweeps.execution.sweep_run", "open_run", "before"),
    "opened": ("kexp.sweeps.execution.sweep_run", "open_run", "after"),
    "started": ("kexp.sweeps.execution.trial_events", "TrialEvents.on_start", "after"),
    "decided": ("kexp.sweeps.population.decisions", "Decisions.add", "after"),
    "epoch": ("kexp.sweeps.execution.trial_events", "TrialEvents.on_epoch", "after"),
    "workers": ("kexp.sweeps.execution.trial_events", "TrialEvents.on_epoch", "after"),  # not the sweep
    "over": ("kexp.sweeps.execution.trial_events", "TrialEvents.ended", "before"),
    "handed": ("kexp.sweeps.record.recorder", "Recorder.put", "after"),
    "writing": ("kexp.sweeps.record.recorder", "deliver_records", "before"),
    "written": ("kexp.tracking.delivery.finished_runs", "log_finished_runs", "after"),
    "replacing": ("kexp.tracking.delivery.finished_runs", "delete_runs", "before"),
    "summary": ("kexp.sweeps.execution.session", "summarise", "before"),
    "report": ("kexp.sweeps.execution.closing", "Report._write_files", "before"),
    "reported": ("kexp.sweeps.execution.closing", "Report._write_files", "after"),
}

BY_RECORDER = ("writing", "written", "replacing")


def workers() -> list[psutil.Process]:
    """The processes that run trials."""
    return [each for each in psutil.Process().children() if "kexp.sweeps.launch.worker_process:work" in each.cmdline()]


def strike_at(point: str, nth: int, number: signal.Signals) -> None:
    """Sends this process `number` at the `nth` call there; Ctrl-C goes to all processes of a terminal."""
    module, name, when = POINTS[point]
    owner: Any = importlib.import_module(module)
    *path, name = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    called: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def strike(moment: str) -> None:
        if moment == when and calls == nth:
            print(f"struck at {point}", file=sys.stderr, flush=True)
            if point == "workers":
                for worker in workers():
                    worker.send_signal(number)
            else:
                (os.killpg if number is signal.SIGINT else os.kill)(os.getpid(), number)

    @functools.wraps(called)
    def striking(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        strike("before")
        returned = called(*arguments, **keywords)
        strike("after")
        return returned

    setattr(owner, name, striking)


def wait_for_writes(most: int) -> None:
    """Waits after each of the first `most` trials until as many batches of records are written.

    Without this, all trials of a small sweep are over before MLflow is imported, and one batch holds them all.
    """
    from kexp.sweeps.execution.trial_events import TrialEvents
    from kexp.sweeps.record import recorder

    deliver_records, ended = recorder.deliver_records, TrialEvents.ended
    written = over = 0

    @functools.wraps(deliver_records)
    def delivering(*arguments: Any, **keywords: Any) -> Any:
        nonlocal written
        returned = deliver_records(*arguments, **keywords)
        written += 1
        return returned

    @functools.wraps(ended)
    def ending(events: TrialEvents, trial: Any, outcome: Any) -> bool:
        nonlocal over
        goes_on = ended(events, trial, outcome)
        over += outcome.state == "FINISHED"
        deadline = time.monotonic() + 60
        while written < min(over, most) and time.monotonic() < deadline:
            time.sleep(0.01)
        return goes_on

    recorder.deliver_records, TrialEvents.ended = delivering, ending  # type: ignore[method-assign]


if __name__ == "__main__":
    from kexp.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1] in BY_RECORDER:
        wait_for_writes(3)
    strike_at(sys.argv[1], int(sys.argv[2]), signal.Signals[sys.argv[3]])
    main(sys.argv[4:])
