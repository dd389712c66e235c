"""A run whose rows a process of their own delivers: the same record, the same guarantees, and no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import Server

from kexp.tracking import StoreSettings, find_run, list_artifacts, metric_history, search, sync
from kexp.tracking.store.client import client_for

pytestmark = pytest.mark.real_process

BEGIN = """
import os, sys, time
from pathlib import Path
from kexp.tracking import StoreSettings, open_run, run_status, start_helper

uri, folder, end_timeout_s = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
settings = StoreSettings(uri=uri, flush_interval_s=0.05, end_timeout_s=end_timeout_s)
start_helper()
start_helper(settings)
"""
WAITS = """
with run_status(open_run(settings, name=folder.name, folder=folder, preload=["model", "figure"])) as run:
    run.log_params({"seed": 1})
    for epoch in range(1, 21):
        run.log_metrics({"loss": 1 / epoch}, step=epoch)
    print("running", flush=True)
    if sys.stdin.readline() == "fork\\n":
        os.fork()
        time.sleep(60)  # both processes, so that the run does not end before it is killed
        os._exit(0)
    for epoch in range(21, 41):
        run.log_metrics({"loss": 1 / epoch}, step=epoch)
    run.log_text("text", "text.txt")
    run.log_figure("learning_curves", history={"loss": [1.0, 0.5], "val_loss": [1.1, 0.6]})
print("mlflow" in sys.modules, run.notice, flush=True)
"""
LOSSES = [1 / epoch for epoch in range(1, 41)]


def test_run_has_all_that_was_told(settings: StoreSettings, tmp_path: Path) -> None:
    with started(settings.uri or "", tmp_path / "run") as (process, helper):
        tags = next(search(settings)).tags
        assert tags["kexp.pid"] == str(process.pid), "whoever looks for dead runs asks for the run's own process"
        said, errors = process.communicate("go on\n", timeout=60)
    assert (process.returncode, said, errors) == (0, "False \n", ""), "the run's own process needs no MLflow"
    assert not is_alive(helper)
    view = next(search(settings))
    assert_whole(settings, view.run_id)
    assert not {"kexp.pid", "kexp.host", "kexp.heartbeat"} & view.tags.keys(), "it is over"
    assert (tmp_path / "run" / "figures" / "learning_curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_signal_to_all_processes_is_told_by_the_run(
    number: signal.Signals, code: int, settings: StoreSettings, tmp_path: Path
) -> None:
    """As a terminal's Ctrl-C and a scheduler's SIGTERM come: the helper gets them too, and has work to do yet."""
    with started(settings.uri or "", tmp_path / "run") as (process, helper):
        os.kill(helper, number)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code
    assert not is_alive(helper)
    view = next(search(settings))
    assert view.status == "KILLED"
    assert [point.value for point in metric_history(settings, view.run_id, "loss")] == LOSSES[:20]


def test_helper_ends_with_a_killed_run_whose_rows_can_be_delivered(settings: StoreSettings, tmp_path: Path) -> None:
    """Even where a process that the run has forked lives on, and keeps its connections open."""
    with started(settings.uri or "", tmp_path / "run") as (process, helper):
        assert process.stdin is not None
        process.stdin.write("fork\n")
        process.stdin.flush()
        wait_until(lambda: len(children(process.pid)) == 2)
        (forked,) = set(children(process.pid)) - {helper}
        process.kill()
        process.wait()
        wait_until(lambda: not is_alive(helper))
        assert is_alive(forked)
        os.kill(forked, signal.SIGKILL)
    view = next(search(settings))
    assert view.status == "RUNNING"
    sync(tmp_path)
    assert [point.value for point in metric_history(settings, view.run_id, "loss")][:20] == LOSSES[:20]


def test_run_does_itself_what_a_killed_helper_has_left(settings: StoreSettings, tmp_path: Path) -> None:
    with started(settings.uri or "", tmp_path / "run") as (process, helper):
        os.kill(helper, signal.SIGKILL)
        said, errors = process.communicate("go on\n", timeout=60)
    assert (process.returncode, said, errors) == (0, "True \n", "")
    assert_whole(settings, next(search(settings)).run_id)
    assert sync(tmp_path) == []


def test_what_a_stuck_helper_has_left_waits_on_disk(settings: StoreSettings, tmp_path: Path) -> None:
    with started(settings.uri or "", tmp_path / "run", end_timeout_s=0.5) as (process, helper):
        os.kill(helper, signal.SIGSTOP)
        said, errors = process.communicate("go on\n", timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "nothing was heard of it for 5.5 s" in said
    assert f"rows wait in {tmp_path / 'run'}; deliver them with `kexp sync" in said
    assert not is_alive(helper), "it must not deliver beside kexp sync"
    (delivered,) = sync(tmp_path)
    assert delivered.refused == ()
    assert sync(tmp_path) == []
    assert_whole(settings, delivered.run_id)


def test_server_that_dies_in_mid_run_loses_and_doubles_nothing(server: Server, tmp_path: Path) -> None:
    with started(server.address, tmp_path / "helped", end_timeout_s=1) as (process, _):
        server.kill()
        said, errors = process.communicate("go on\n", timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert "rows wait in" in said
        figure = tmp_path / "helped" / "figures" / "learning_curves.png"
        assert figure.is_file(), "figures are for the person here, store or no store"
    server.start()
    (delivered,) = sync(tmp_path)
    assert delivered.refused == ()
    assert_whole(StoreSettings(uri=server.address), delivered.run_id)


def test_unwritable_store_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    program = "try:\n    open_run(settings, name=None, folder=folder)\nexcept Exception as error:\n    print(error)"
    uri = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    done = subprocess.run(command(BEGIN + program, uri, tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout == f"tracking.uri: cannot write to {tmp_path / 'file'}: File exists\n"
    assert done.stderr == ""


def test_one_helper_serves_the_runs_of_a_process_wherever_they_are(tmp_path: Path) -> None:
    """As in a notebook. The default store is a file in the working directory, which may be another by then."""
    program = """
from kexp.tracking.run.helper import claim
for name in ("first", "second"):
    (folder / name).mkdir()
    os.chdir(folder / name)
    start_helper()
    open_run(StoreSettings(), name=name, folder=Path("run")).end("FINISHED")
assert "mlflow" not in sys.modules
helped = open_run(StoreSettings(), name="third", folder=Path("third"))
beside = open_run(StoreSettings(), name="fourth", folder=Path("fourth"))
for run in (helped, beside):
    run.log_figure("learning_curves", history={"loss": [1.0, 0.5]})
    run.end("FINISHED")
    assert run.notice == ""
assert "mlflow" in sys.modules, "a helper serves one run at a time"
if os.fork() == 0:
    os._exit(claim() is not None)
assert os.wait()[1] == 0, "a forked process has no helper"
"""
    subprocess.run(command(BEGIN.partition("start_helper()\n")[0] + program, "", tmp_path), check=True, timeout=120)
    for place, names in (("first", {"first"}), ("second", {"second", "third", "fourth"})):
        settings = StoreSettings(uri=f"sqlite:///{tmp_path / place / 'mlflow.db'}")
        views = list(search(settings))
        assert {view.name for view in views} == names
        assert {view.status for view in views} == {"FINISHED"}
        for view in views:
            drawn = view.name in ("third", "fourth")
            assert list_artifacts(settings, view.run_id) == ["figures/learning_curves.png"] * drawn
            assert Path(client_for(settings.uri or "").get_run(view.run_id).info.artifact_uri).is_relative_to(
                tmp_path / place
            )


def test_plain_script_is_run_once(settings: StoreSettings, tmp_path: Path) -> None:
    """One without `if __name__ == "__main__"`, which another way to start a process would run again."""
    script = tmp_path / "script.py"
    script.write_text(f"{BEGIN}\nprint('here', file=open(folder / 'said.txt', 'a'))\n{WAITS}")
    arguments = [sys.executable, str(script), settings.uri or "", str(tmp_path), "30"]
    subprocess.run(arguments, input="go on\n", check=True, timeout=60, capture_output=True, text=True)
    assert (tmp_path / "said.txt").read_text() == "here\n"
    assert_whole(settings, next(search(settings)).run_id)


def assert_whole(settings: StoreSettings, run_id: str) -> None:
    view = find_run(settings, run_id)
    assert (view.status, view.params) == ("FINISHED", {"seed": "1"})
    assert [point.value for point in metric_history(settings, run_id, "loss")] == LOSSES
    assert list_artifacts(settings, run_id) == ["figures/learning_curves.png", "text.txt"]


@contextmanager
def started(uri: str, folder: Path, end_timeout_s: float = 30) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run in progress in a process of its own, and the id of its helper."""
    process = subprocess.Popen(
        command(BEGIN + WAITS, uri, folder, end_timeout_s),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n", process.communicate()[1]
        (helper,) = children(process.pid)
        yield process, helper
    finally:
        process.kill()
        process.communicate()


def command(program: str, uri: str, folder: Path, end_timeout_s: float = 30) -> Sequence[str]:
    return [sys.executable, "-c", program, uri, str(folder), str(end_timeout_s)]


def wait_until(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
