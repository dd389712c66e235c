from __future__ import annotations

from pathlib import Path

import pytest
from finished_runs import Kexp

from kexp.tracking import StoreSettings, find_run, metric_history, open_run


@pytest.fixture
def waiting(workplace: Path) -> str:
    """A run whose store forgot that it has the rows; gives its id."""
    folder = workplace / "outputs" / "one"
    tracker = open_run(StoreSettings(), name="one", folder=folder)
    tracker.log_metrics({"loss": 0.5}, step=1)
    tracker.log_metrics({"loss": 0.25}, step=2)
    tracker.end("FINISHED")
    (folder / "outbox" / "cursor.json").unlink()
    return tracker.run_id


def test_sync_delivers_what_waits_below_outputs_and_none_twice(
    waiting: str, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("sync") == 0
    told = capsys.readouterr().out
    assert told.startswith("outputs/one: ")
    assert waiting in told
    points = metric_history(StoreSettings(), find_run(StoreSettings(), "latest").run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(1, 0.5), (2, 0.25)]
    assert kexp_command("sync") == 0
    assert capsys.readouterr().out == "nothing waits in outputs\n"


def test_sync_goes_on_past_a_store_that_is_away_and_exits_1(
    waiting: str, workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    away = workplace / "outputs" / "away" / "outbox"
    away.mkdir(parents=True)
    header = '{"run": {"uri": "http://127.0.0.1:9", "run_id": "f", "experiment_id": "1", "name": "a"}}\n'
    (away / "rows.jsonl").write_text(header + '{"tags": {"a": "b"}}\n')
    assert kexp_command("sync", "outputs") == 1
    told = capsys.readouterr()
    assert "cannot reach the MLflow server at http://127.0.0.1:9" in told.err
    assert waiting in told.out


def test_sync_refuses_a_folder_that_is_not_there(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kexp_command("sync", "nowhere") == 2
    assert capsys.readouterr().err == "kexp: FOLDER: there is no such folder, got 'nowhere'\n"
    assert kexp_command("sync") == 0
    assert capsys.readouterr().out == "nothing waits in outputs or multirun\n"
