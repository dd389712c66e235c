"""A run whose rows a process of their own delivers: the same record, the same guarantees, and no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Server

from kexp.tracking import StoreSettings, find_run, list_artifacts, metric_history, search, sync

BEGIN = """
import sys
from pathlib import Path
from kexp.tracking import StoreSettings, open_run, run_status, warm_up, warm_up_for_the_end

uri, folder = sys.argv[1], Path(sys.argv[2])
settings = StoreSettings(uri=uri, flush_interval_s=0.05, end_timeout_s=10)
warm_up()
warm_up(settings)
"""
WAITS = """
with run_status(open_run(settings, name=folder.name, folder=folder)) as run:
    warm_up_for_the_end(models=True, figures=True)
    run.log_params({"seed": 1})
    for epoch in range(1, 21):
        run.log_metrics({"loss": 1 / epoch}, step=epoch)
    print("running", flush=True)
    sys.stdin.readline()
    for epoch in range(21, 41):
        run.log_metrics({"loss": 1 / epoch}, step=epoch)
    run.log_text("text", "text.txt")
    run.log_figure("learning_curves", history={"loss": [1.0, 0.5], "val_loss": [1.1, 0.6]})
assert "mlflow" not in sys.modules, "the run's own process needs none"
print(run.notice, flush=True)
"""
LOSSES = [1 / epoch for epoch in range(1, 41)]


def test_run_has_all_that_was_told(settings: StoreSettings, tmp_path: Path) -> None:
    with started(settings.uri or "", tmp_path / "run") as (process, helper):
        said, errors = process.communicate("go on\n", timeout=60)
    assert (process.returncode, said, errors) == (0, "\n", "")
    assert not is_alive(helper)
    view = next(search(settings))
    assert (view.status, view.params) == ("FINISHED", {"seed": "1"})
    assert view.tags["kexp.pid"] == str(process.pid), "whoever looks for dead runs asks for the run's own process"
    assert [point.value for point in metric_history(settings, view.run_id, "loss")] == LOSSES
    assert list_artifacts(settings, view.run_id) == ["figures/learning_curves.png", "text.txt"]
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
    with started(settings.uri or "", tmp_path / "run") as (process, helper):
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 10
        while is_alive(helper) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not is_alive(helper)
    view = next(search(settings))
    assert view.status == "RUNNING"
    sync(tmp_path)
    assert [point.value for point in metric_history(settings, view.run_id, "loss")] == LOSSES[:20]


def test_run_outlives_a_killed_helper_and_keeps_its_rows(settings: StoreSettings, tmp_path: Path) -> None:
    with started(settings.uri or "", tmp_path / "run") as (process, helper):
        os.kill(helper, signal.SIGKILL)
        said, errors = process.communicate("go on\n", timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "rows wait in" in said
    assert "kexp sync" in said
    (delivered,) = sync(tmp_path)
    assert delivered.refused == ()
    assert sync(tmp_path) == []
    view = find_run(settings, delivered.run_id)
    assert view.status == "FINISHED"
    assert [point.value for point in metric_history(settings, view.run_id, "loss")] == LOSSES
    assert list_artifacts(settings, view.run_id) == ["figures/learning_curves.png", "text.txt"]


def test_server_that_dies_in_mid_run_loses_and_doubles_nothing(server: Server, tmp_path: Path) -> None:
    with started(server.address, tmp_path / "helped") as (process, _):
        server.kill()
        said, errors = process.communicate("go on\n", timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert "rows wait in" in said
        figure = tmp_path / "helped" / "figures" / "learning_curves.png"
        assert figure.is_file(), "figures are for the person here, store or no store"
    server.start()
    (delivered,) = sync(tmp_path)
    settings = StoreSettings(uri=server.address)
    view = find_run(settings, delivered.run_id)
    assert (view.status, delivered.refused) == ("FINISHED", ())
    assert [point.value for point in metric_history(settings, view.run_id, "loss")] == LOSSES


def test_unwritable_store_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    program = "try:\n    open_run(settings, name=None, folder=folder)\nexcept Exception as error:\n    print(error)"
    uri = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    done = subprocess.run(command(BEGIN + program, uri, tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout == f"tracking.uri: cannot write to {tmp_path / 'file'}: File exists\n"
    assert done.stderr == ""


def test_helper_left_by_a_run_that_came_to_nothing_works_nowhere_else(tmp_path: Path) -> None:
    """The default store is a file in the working directory: a helper knows the one that it was started in."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    program = """
import os
os.chdir(folder / "first")
warm_up()  # what ends here, before a run is opened, was for this folder
os.chdir(folder / "second")
warm_up()
open_run(StoreSettings(), name=None, folder=Path("run")).end("FINISHED")
open_run(StoreSettings(), name=None, folder=Path("again")).end("FINISHED")  # helped by none
assert "mlflow" in sys.modules
"""
    imports = BEGIN.partition("warm_up()\n")[0]
    subprocess.run(command(imports + program, "", tmp_path), check=True, timeout=120)
    assert not (tmp_path / "first" / "mlflow.db").exists()
    views = list(search(StoreSettings(uri=f"sqlite:///{tmp_path / 'second' / 'mlflow.db'}")))
    assert [view.status for view in views] == ["FINISHED", "FINISHED"]


@contextmanager
def started(uri: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run in progress in a process of its own, and the id of its helper."""
    process = subprocess.Popen(
        command(BEGIN + WAITS, uri, folder),
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


def command(program: str, uri: str, folder: Path) -> Sequence[str]:
    return [sys.executable, "-c", program, uri, str(folder)]


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
