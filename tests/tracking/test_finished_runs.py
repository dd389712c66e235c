"""Whole runs written at once are the runs that MLflow's own client would have written."""

from __future__ import annotations

import math
import random
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kexp.errors import StoreError
from kexp.tracking import (
    DatasetRecord,
    RunRecord,
    StoreSettings,
    fetch_artifact,
    find_run,
    list_artifacts,
    log_finished_runs,
    metric_history,
    open_run,
    search,
)
from kexp.tracking.delivery.server_runs import send_runs
from kexp.tracking.store.client import client_for
from kexp.tracking.store.prepare import prepare_store


def record(name: str, **changes: Any) -> RunRecord:
    rng = random.Random()
    points = [(f"m{index}", rng.random(), step, 1000 + step) for step in range(1, 21) for index in range(4)]
    whole = RunRecord(
        name=name,
        status="FINISHED",
        start_ms=1000,
        end_ms=3000,
        params={f"p{index}": rng.random() for index in range(10)},
        metrics=points,
        tags={f"t{index}": rng.random() for index in range(5)},
    )
    return replace(whole, **changes)


def test_bulk_writes_what_the_client_would(settings: StoreSettings, tmp_path: Path) -> None:
    """Every column of every table that a run touches, but for the ids, compared with MLflow's own writing."""
    whole = record(
        "trial",
        status="KILLED",
        parent_run_id="a" * 32,
        metrics=[
            ("loss", 0.5, 1, 1000),
            ("loss", math.nan, 2, 1001),
            ("loss", 0.25, 3, 999),
            ("loss", 0.25, 3, 999),
            ("up", math.inf, 1, 1000),
            ("late", 1.0, 2, 1000),
            ("late", 9.0, 1, 5000),
        ],
        params={"model.layers": "x" * 7000, "seed": 1, "a%b": None},
        datasets=[DatasetRecord("digits", "d", "train", schema={"x": [64]}), DatasetRecord("digits", "d", "test")],
        texts={"config.yaml": "seed: 1\n"},
    )
    ours = log_finished_runs(settings, [whole])[0]
    written: dict[str, str] = {}
    again = replace(whole, run_id="b" * 32)
    send_runs(client_for(settings.uri or ""), prepare_store(settings), [again], (), written)
    theirs = written[again.run_id]

    with sqlite3.connect(tmp_path / "mlflow.db") as database:

        def rows(query: str, run_id: str) -> list[tuple[Any, ...]]:
            cleaned = []
            for row in database.execute(query, (run_id,)):
                cleaned.append(tuple(v.replace(run_id, "RUN") if isinstance(v, str) else v for v in row))
            return sorted(cleaned, key=repr)

        for table in ("runs", "params", "metrics", "latest_metrics"):
            query = f"select * from {table} where run_uuid = ?"
            assert rows(query, ours) == rows(query, theirs), table
        query = "select key, value from tags where run_uuid = ? and key != 'kexp.record'"
        assert rows(query, ours) == rows(query, theirs)
        query = """
            select i.source_type, i.source_id, i.destination_type, i.destination_id, i.step, t.name, t.value
            from inputs i join input_tags t on t.input_uuid = i.input_uuid where i.destination_id = ?
        """
        assert rows(query, ours) == rows(query, theirs)
        assert len(rows(query, ours)) == 2
    assert (
        list_artifacts(settings, ours) == list_artifacts(settings, theirs) == ["config.yaml", "params/model.layers.txt"]
    )
    assert fetch_artifact(settings, ours, "config.yaml", tmp_path / "got").read_text() == "seed: 1\n"
    view = find_run(settings, ours)
    assert view.metrics["loss"] == 0.25
    assert view.metrics["late"] == 1.0
    assert view.metrics["up"] == math.inf


def test_many_runs_are_all_there_exactly(settings: StoreSettings) -> None:
    sweep = log_finished_runs(settings, [record("sweep")])[0]
    records = [record(f"trial {index}", parent_run_id=sweep, start_ms=1000 + index) for index in range(250)]
    began = time.monotonic()
    run_ids = log_finished_runs(settings, records)
    print(f"{1000 * (time.monotonic() - began) / len(records):.1f} ms a run")
    views = {view.run_id: view for view in search(settings, parent_run_id=sweep)}
    assert list(views) == list(reversed(run_ids))
    for trial in records:
        view = views[trial.run_id]
        assert view.name == trial.name
        assert {key: float(value) for key, value in view.params.items()} == trial.params
        assert view.metrics == {key: value for key, value, step, _ in trial.metrics if step == 20}
        assert float(view.tags["t4"]) == trial.tags["t4"]
    one = records[137]
    for index in range(4):
        name = f"m{index}"
        found = [(point.step, point.value) for point in metric_history(settings, one.run_id, name)]
        assert found == [(step, value) for key, value, step, _ in one.metrics if key == name]


def test_records_written_again_are_written_once(settings: StoreSettings) -> None:
    records = [record(f"trial {index}") for index in range(5)]
    assert log_finished_runs(settings, records[:3]) == [trial.run_id for trial in records[:3]]
    log_finished_runs(settings, records)
    assert sorted(view.run_id for view in search(settings)) == sorted(trial.run_id for trial in records)
    assert len(metric_history(settings, records[0].run_id, "m0")) == 20


def test_lock_of_another_process_only_delays(settings: StoreSettings, tmp_path: Path) -> None:
    prepare_store(settings)
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    threading.Timer(2.0, lambda: holder.execute("COMMIT")).start()
    run_id = log_finished_runs(settings, [record("trial")])[0]
    holder.close()
    assert len(metric_history(settings, run_id, "m0")) == 20


def test_runs_in_bulk_stand_beside_runs_in_progress(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name="live", folder=tmp_path / "run")
    for epoch in range(1, 31):
        run.log_metrics({"loss": float(epoch)}, step=epoch)
        log_finished_runs(settings, [record(f"trial {epoch}", parent_run_id=run.run_id)])
    run.end("FINISHED")
    assert run.notice == ""
    assert len(metric_history(settings, run.run_id, "loss")) == 30
    assert len(list(search(settings, parent_run_id=run.run_id))) == 30


def test_artifact_path_out_of_the_run_is_refused(settings: StoreSettings, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no artifact path"):
        log_finished_runs(settings, [record("trial", texts={"../../escape.txt": "text"})])
    assert list(tmp_path.iterdir()) == []
