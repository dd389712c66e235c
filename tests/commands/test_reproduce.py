from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from finished_runs import Finished, Kexp

from kexp.tracking import StoreSettings, find_run


def test_reproduce_finds_a_run_equal_and_saves_the_repetition(
    there: Finished,
    kexp_command: Kexp,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = f"sqlite:///{shutil.copy(there.folder / 'mlflow.db', tmp_path)}"
    monkeypatch.chdir(tmp_path)
    assert kexp_command("reproduce", there.digits.run_id, "--save", "--tracking-uri", uri) == 0
    told = capsys.readouterr().out
    assert "equal     2 epochs of loss, accuracy, val_loss, val_accuracy, test_" in told
    again = find_run(StoreSettings(uri=uri), "latest")
    assert again.run_id in told
    assert again.tags["kexp.reproduces"] == there.digits.run_id
    assert again.status == "FINISHED"
    assert again.metrics["test_loss"] == there.digits.metrics["test_loss"]


def test_reproduce_names_the_first_difference_and_exits_1(
    there: Finished,
    kexp_command: Kexp,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Path(shutil.copy(there.folder / "mlflow.db", tmp_path))
    with sqlite3.connect(store) as database:
        database.execute(
            "UPDATE metrics SET value = 0.25 WHERE key = 'val_accuracy' AND step = 2 AND run_uuid = ?",
            (there.table.run_id,),
        )
    database.close()
    monkeypatch.chdir(there.folder)
    count = len(list(there.folder.iterdir()))
    assert kexp_command("reproduce", there.table.run_id, "--tracking-uri", f"sqlite:///{store}") == 1
    told = capsys.readouterr().out
    now = there.table.history.epochs[1][1]["val_accuracy"]
    assert f"first     epoch 2, val_accuracy: 0.25 then, {now!r} now" in told
    assert "different 1 value of" in told
    assert len(list(there.folder.iterdir())) == count  # nothing left behind
