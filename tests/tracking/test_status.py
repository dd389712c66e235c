"""A run's status tells how it ended, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kexp.tracking import (
    StoreSettings,
    Terminated,
    find_run,
    mark_failed,
    metric_history,
    open_run,
    prepare_store,
    run_status,
    search,
    stale_runs,
    sync,
)

PROGRAM = """
import sys, time
from pathlib import Path
from kexp.tracking import StoreSettings, open_run, run_status

uri, folder = sys.argv[1:]
settings = StoreSettings(uri=uri, flush_interval_s=0.05, heartbeat_interval_s=0.2)
with run_status(open_run(settings, name=Path(folder).name, folder=Path(folder))) as run:
    run.log_metrics({"loss": 1.0}, step=1)
    print("running", flush=True)
    time.sleep(60)
"""


def test_finished_only_after_the_last_line(settings: StoreSettings, tmp_path: Path) -> None:
    with run_status(open_run(settings, name=None, folder=tmp_path / "run")) as run:
        assert find_run(settings, run.run_id).status == "RUNNING"
    assert find_run(settings, run.run_id).status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("the loss\nis NaN"), "FAILED", "ValueError: the loss"),
        (SystemExit(0), "FAILED", "the process was told to exit with 0"),
        (SystemExit(3), "FAILED", "the process was told to exit with 3"),
        (KeyboardInterrupt(), "KILLED", "interrupted (Ctrl-C)"),
    ],
)
def test_exception_decides_the_status(
    error: BaseException, status: str, reason: str, settings: StoreSettings, tmp_path: Path
) -> None:
    with pytest.raises(type(error)), run_status(open_run(settings, name=None, folder=tmp_path / "run")) as run:
        raise error
    view = find_run(settings, run.run_id)
    assert (view.status, view.tags["kexp.reason"]) == (status, reason)


def test_sigterm_is_killed_and_the_handler_is_given_back(settings: StoreSettings, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as caught, run_status(open_run(settings, name=None, folder=tmp_path / "run")) as run:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert find_run(settings, run.run_id).status == "KILLED"


def test_processes_ended_by_signals_leave_the_truth(settings: StoreSettings, tmp_path: Path) -> None:
    """SIGINT and SIGTERM mark the run KILLED. SIGKILL leaves it RUNNING until it is found; its rows are not lost."""
    prepare_store(settings)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    processes = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        command = [sys.executable, str(program), settings.uri or "", str(tmp_path / number.name)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        processes[number] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    said = {}
    for number, process in processes.items():
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        process.send_signal(number)
        said[number] = process.communicate(timeout=60)[1]
    views = {view.name: view for view in search(settings)}
    assert processes[signal.SIGTERM].returncode == 143
    assert views["SIGINT"].status == "KILLED"
    assert views["SIGTERM"].status == "KILLED"
    assert said[signal.SIGTERM] == b""
    assert views["SIGKILL"].status == "RUNNING"

    assert [view.name for view in stale_runs(settings)] == ["SIGKILL"]
    mark_failed(settings, stale_runs(settings))
    dead = find_run(settings, views["SIGKILL"].run_id)
    assert (dead.status, stale_runs(settings)) == ("FAILED", [])
    assert "kexp.reason" in dead.tags
    sync(tmp_path)
    for view in views.values():
        assert [point.value for point in metric_history(settings, view.run_id, "loss")] == [1.0]


def test_run_in_progress_is_not_stale(settings: StoreSettings, tmp_path: Path) -> None:
    with run_status(open_run(settings, name=None, folder=tmp_path / "run")):
        assert stale_runs(settings) == []
        time.sleep(1.1)
        assert len(stale_runs(settings, older_than_s=1.0)) == 1, "the heartbeat is 30 s apart here"
