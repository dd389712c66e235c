from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from distributions import installed
from finished_runs import Kexp

from kexp.tracking import StoreSettings, find_run, open_run
from kexp.tracking.settings import resolve_uri
from kexp.tracking.store.client import client_for
from kexp.tracking.store.heartbeat import heartbeat_tags


@pytest.fixture
def dead_process() -> int:
    """The id of a process that is gone."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_doctor_finds_all_well_where_it_is(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("doctor") == 0
    told = capsys.readouterr().out
    assert told.endswith("no problems found\n")
    assert "none yet at sqlite:///" in told
    assert not list(workplace.iterdir())


def test_doctor_finds_and_mends_dead_runs_and_stray_files(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str], dead_process: int
) -> None:
    tracker = open_run(StoreSettings(), name="killed", folder=workplace / "outputs" / "one")
    tracker.end("FINISHED")
    client = client_for(resolve_uri(StoreSettings()))
    client.update_run(tracker.run_id, status="RUNNING")
    for key, value in {**heartbeat_tags(), "kexp.pid": str(dead_process)}.items():
        client.set_tag(tracker.run_id, key, value)
    stray = workplace / "outputs" / "one" / "saved" / f".tmp-{dead_process}-0123abcd-model.h5"
    stray.parent.mkdir()
    stray.write_text("half")

    assert kexp_command("doctor") == 1
    told = capsys.readouterr().out
    assert f"WRONG: {tracker.run_id} (killed) says RUNNING, but its process is gone" in told
    assert f"WRONG: {stray.relative_to(workplace)} was left behind" in told
    assert "2 problems found; `kexp doctor --fix` fixes 2" in told
    assert find_run(StoreSettings(), tracker.run_id).status == "RUNNING"

    assert kexp_command("doctor", "--fix") == 0
    assert "no problems left: 2 fixed" in capsys.readouterr().out
    ended = find_run(StoreSettings(), tracker.run_id)
    assert (ended.status, ended.tags["kexp.reason"]) == ("FAILED", "its process ended without a word")
    assert not stray.exists()
    assert kexp_command("doctor") == 0


def test_doctor_names_broken_and_clashing_plugins_and_their_packages(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"kexp.optimizer": {"shaky": "shaky_module:make", "adam": "fine_module:make"}}
    modules = {"shaky_module": "import no_such_module\n", "fine_module": "def make(rate: float = 0.1): ...\n"}
    with installed(workplace / "site", "kexp-shaky", modules, broken):
        assert kexp_command("doctor") == 1
    told = capsys.readouterr().out
    assert "optimizer=shaky: shaky_module:make of kexp-shaky 1.0 cannot be imported: ModuleNotFoundError" in told
    assert "optimizer=adam of kexp" in told
    assert "also claimed by kexp-shaky 1.0" in told


def test_doctor_tells_of_waiting_rows(workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]) -> None:
    folder = workplace / "multirun" / "one"
    tracker = open_run(StoreSettings(), name="one", folder=folder)
    tracker.end("FINISHED")
    (folder / "outbox" / "cursor.json").unlink()
    assert kexp_command("doctor") == 1
    assert "WRONG: multirun/one has rows that wait; deliver them: kexp sync multirun/one" in capsys.readouterr().out


def test_doctor_says_what_a_store_is_that_is_no_database(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "mlflow.db").write_text("no database at all, but long enough to be taken for one by its size\n" * 40)
    assert kexp_command("doctor") == 1
    assert "cannot be read as a database" in capsys.readouterr().out
