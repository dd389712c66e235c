"""A run in progress on a real SQLite store: what was told is in MLflow at its end, exactly."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kexp.errors import ConfigError, StoreError
from kexp.tracking import (
    Header,
    StoreSettings,
    Tracker,
    add_to_run,
    fetch_artifact,
    find_run,
    list_artifacts,
    metric_history,
    null_run,
    open_run,
    prepare_store,
    resolve_uri,
    sync,
    waiting_folders,
)
from kexp.tracking.delivery.outbox import Outbox
from kexp.tracking.delivery.sync import deliver
from kexp.tracking.store.client import client_for


def test_run_has_all_that_was_told(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name="first", folder=tmp_path / "run", tags={"kexp.fingerprint": "abc"})
    losses = [1 / epoch for epoch in range(1, 41)]
    run.log_params({"optimizer.name": "adam", "optimizer.learning_rate": 1e-3, "seed": 7})
    for epoch, loss in enumerate(losses, start=1):
        run.log_metrics({"loss": loss, "val_loss": 2 * loss}, step=epoch)
    run.set_tags({"note": "good"})
    run.log_text("seed: 7\n", "config.yaml")
    (tmp_path / "outside.txt").write_text("outside")
    run.log_file(tmp_path / "outside.txt", "notes")
    (tmp_path / "run" / "saved").mkdir()
    (tmp_path / "run" / "saved" / "model.h5").write_bytes(b"weights")
    run.log_file(tmp_path / "run" / "saved" / "model.h5", "saved")
    run.end("FINISHED")

    view = find_run(settings, run.run_id)
    assert run.notice == ""
    assert (view.name, view.status) == ("first", "FINISHED")
    assert view.params == {"optimizer.name": "adam", "optimizer.learning_rate": "0.001", "seed": "7"}
    assert view.metrics == {"loss": losses[-1], "val_loss": 2 * losses[-1]}
    assert view.tags["note"] == "good"
    assert view.tags["kexp.fingerprint"] == "abc"
    assert view.duration_s is not None
    points = metric_history(settings, run.run_id, "loss")
    assert [(point.step, point.value) for point in points] == list(enumerate(losses, start=1))
    assert list_artifacts(settings, run.run_id) == ["config.yaml", "notes/outside.txt", "saved/model.h5"]
    fetched = fetch_artifact(settings, run.run_id, "saved/model.h5", tmp_path / "fetched")
    assert fetched.read_bytes() == b"weights"


def test_figure_of_a_run_in_a_relative_folder_is_drawn_and_recorded(
    settings: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `kexp` itself has them; what delivers the rows may be somewhere else by then."""
    monkeypatch.chdir(tmp_path)
    run = open_run(settings, name=None, folder=Path("run"), preload=["figure"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run.log_figure("learning_curves", history={"loss": [1.0, 0.5]})
    run.log_figure("confusion_matrix", {"y_true": np.arange(3), "y_pred": np.zeros(3, int)}, classes=["a", "b", "c"])
    run.end("FINISHED")
    assert run.notice == ""
    drawn = ["figures/confusion_matrix.png", "figures/learning_curves.png"]
    assert list_artifacts(settings, run.run_id) == drawn
    assert all((tmp_path / "run" / name).read_bytes().startswith(b"\x89PNG") for name in drawn)
    (tmp_path / "run" / "outbox" / "cursor.json").unlink()
    (tmp_path / "run" / drawn[0]).unlink()
    monkeypatch.chdir(tmp_path)
    assert [delivered.refused for delivered in sync(Path("run"))] == [()]
    assert (tmp_path / "run" / drawn[0]).is_file()


def test_figure_that_cannot_be_drawn_is_told_and_stops_no_other_row(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_figure("confusion_matrix", {"y_true": np.arange(3)}, classes=["a", "b", "c"])
    run.log_text("text", "text.txt")
    run.end("FINISHED")
    assert "refused 1 row," in run.notice
    assert "confusion_matrix.png: it could not be drawn: TypeError" in run.notice
    assert list_artifacts(settings, run.run_id) == ["text.txt"]
    assert find_run(settings, run.run_id).status == "FINISHED"


def test_rows_reach_the_store_while_the_run_goes_on(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_metrics({"loss": 0.5}, step=1)
    deadline = time.monotonic() + 20
    while "loss" not in find_run(settings, run.run_id).metrics and time.monotonic() < deadline:
        time.sleep(0.05)
    view = find_run(settings, run.run_id)
    run.end("FINISHED")
    assert view.metrics == {"loss": 0.5}
    assert view.status == "RUNNING"


def test_infinite_and_nan_metrics_come_back_as_they_were(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_metrics({"up": math.inf, "down": -math.inf, "none": math.nan}, step=1)
    run.end("FAILED", "TrainingError: the loss is\nnot a number")
    view = find_run(settings, run.run_id)
    assert view.metrics["up"] == math.inf
    assert view.metrics["down"] == -math.inf
    assert math.isnan(view.metrics["none"])
    assert view.tags["kexp.infinite"] == "up at step 1, down at step 1"
    assert view.tags["kexp.reason"] == "TrainingError: the loss is not a number"
    assert view.status == "FAILED"


def test_long_parameter_is_kept_whole_as_an_artifact(settings: StoreSettings, tmp_path: Path) -> None:
    long = json.dumps(list(range(4000)))
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_params({"model.layers": long})
    run.end("FINISHED")
    fetched = fetch_artifact(settings, run.run_id, "params/model.layers.txt", tmp_path / "fetched")
    assert fetched.read_text() == long
    assert "params/model.layers.txt" in find_run(settings, run.run_id).params["model.layers"]


def test_parameter_may_be_told_again_but_not_changed(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_params({"seed": 1, "other": True})
    run.log_params({"seed": 1})
    with pytest.raises(ConfigError, match="seed: a parameter of a run cannot change from '1', got '2'"):
        run.log_params({"seed": 2})
    run.end("FINISHED")
    assert find_run(settings, run.run_id).params == {"seed": "1", "other": "true"}


def test_more_than_one_call_can_take_is_split(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_params({f"p{index}": index for index in range(250)})
    run.set_tags({f"t{index}": index for index in range(150)})
    run.log_metrics({f"m{index}": index for index in range(2500)}, step=1)
    run.end("FINISHED")
    view = find_run(settings, run.run_id)
    assert len(view.params) == 250
    assert view.params["p249"] == "249"
    assert view.tags["t149"] == "149"
    assert view.metrics == {f"m{index}": float(index) for index in range(2500)}


def test_same_data_in_two_contexts_is_two_inputs(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    for context in ("train", "validation", "test"):
        run.log_dataset(name="digits", digest="d1", context=context, schema={"x": [64]}, profile={"rows": 10})
    run.end("FINISHED")
    inputs = client_for(settings.uri or "").get_run(run.run_id).inputs.dataset_inputs
    assert {(item.dataset.name, item.tags[0].value) for item in inputs} == {
        ("digits", "train"),
        ("digits (validation)", "validation"),
        ("digits (test)", "test"),
    }


def test_resumed_run_is_the_same_run(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name="one", folder=tmp_path / "run")
    run.log_metrics({"loss": 1.0}, step=1, timestamp_ms=1000)
    run.end("KILLED", "interrupted (Ctrl-C)")
    again = open_run(settings, name=None, folder=tmp_path / "run", run_id=run.run_id)
    again.log_metrics({"loss": 1.0}, step=1, timestamp_ms=1000)
    again.log_metrics({"loss": 0.5}, step=2)
    assert find_run(settings, run.run_id).status == "RUNNING"
    again.end("FINISHED")
    assert (again.run_id, again.name) == (run.run_id, "one")
    assert [point.value for point in metric_history(settings, run.run_id, "loss")] == [1.0, 0.5]
    assert find_run(settings, run.run_id).status == "FINISHED"


def header_of(settings: StoreSettings, run: Tracker) -> Header:
    return Header(resolve_uri(settings), run.run_id, prepare_store(settings), run.name)


def test_what_is_added_to_a_run_waits_and_leaves_its_status_and_times(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name="one", folder=tmp_path / "run")
    run.end("FAILED")
    before = find_run(settings, run.run_id)
    more = add_to_run(header_of(settings, run), folder=tmp_path / "more")
    more.log_text("later", "later.txt")
    more.end("FINISHED")
    assert (list_artifacts(settings, run.run_id), more.notice) == ([], "")
    delivered = deliver(tmp_path / "more")
    assert delivered is not None and delivered.refused == ()
    after = find_run(settings, run.run_id)
    assert (after.status, after.end_ms) == ("FAILED", before.end_ms)
    assert list_artifacts(settings, run.run_id) == ["later.txt"]


def test_what_is_added_again_takes_the_place_of_what_still_waits(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name="one", folder=tmp_path / "run")
    run.end("FINISHED")
    header, folder = header_of(settings, run), tmp_path / "more"
    for name in ("there", "cut short", "whole"):
        more = add_to_run(header, folder=folder)
        more.log_text(name, f"{name}.txt")
        more.end("FINISHED")
        if name == "there":
            deliver(folder)
    delivered = deliver(folder)
    assert delivered is not None and (delivered.rows, delivered.refused) == (1, ())
    assert list_artifacts(settings, run.run_id) == ["there.txt", "whole.txt"]


def test_what_is_added_is_kept_where_the_store_is_away(settings: StoreSettings, tmp_path: Path) -> None:
    away = StoreSettings(uri="http://127.0.0.1:9", end_timeout_s=1)
    more = add_to_run(Header(away.uri, "1" * 32, "0", "one"), folder=tmp_path / "more")
    more.set_tags({"a": 1})
    more.end("FINISHED")
    with pytest.raises(StoreError, match=r"cannot reach the MLflow server at http://127\.0\.0\.1:9"):
        deliver(tmp_path / "more")
    assert waiting_folders(tmp_path) == [tmp_path / "more"]


def test_trials_are_children_of_their_sweep(settings: StoreSettings, tmp_path: Path) -> None:
    sweep = open_run(settings, name="sweep", folder=tmp_path / "sweep")
    trial = open_run(settings, name="trial", folder=tmp_path / "trial", parent_run_id=sweep.run_id)
    trial.end("FINISHED")
    sweep.end("FINISHED")
    assert find_run(settings, trial.run_id).parent_run_id == sweep.run_id


def test_rows_from_many_threads_all_arrive(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")

    def work(number: int) -> None:
        for step in range(1, 51):
            run.log_metrics({f"m{number}": step * number}, step=step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.end("FINISHED")
    for number in range(4):
        values = [point.value for point in metric_history(settings, run.run_id, f"m{number}")]
        assert values == [step * number for step in range(1, 51)]


def test_database_locked_by_another_process_only_delays(settings: StoreSettings, tmp_path: Path) -> None:
    """The lock outlasts several of our own attempts; nothing blocks but the end, and nothing is lost."""
    run = open_run(settings, name=None, folder=tmp_path / "run")
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    threading.Timer(4.0, lambda: holder.execute("COMMIT")).start()
    began = time.monotonic()
    for epoch in range(1, 101):
        run.log_metrics({"loss": float(epoch)}, step=epoch)
    told = time.monotonic() - began
    run.end("FINISHED")
    holder.close()
    assert told < 2
    assert run.notice == ""
    assert [point.step for point in metric_history(settings, run.run_id, "loss")] == list(range(1, 101))
    assert find_run(settings, run.run_id).status == "FINISHED"


def test_lost_cursor_makes_no_point_twice(settings: StoreSettings, tmp_path: Path) -> None:
    """Everything is delivered a second time, as after a crash between delivery and noting it."""
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_params({"seed": 1})
    for epoch in range(1, 31):
        run.log_metrics({"loss": 1 / epoch, "nan": math.nan, "inf": math.inf}, step=epoch)
    run.log_text("text", "text.txt")
    run.log_dataset(name="digits", digest="d", context="train")
    run.end("FINISHED")
    (tmp_path / "run" / "outbox" / "cursor.json").unlink()
    (delivered,) = sync(tmp_path)
    assert (delivered.run_id, delivered.refused) == (run.run_id, ())
    for name in ("loss", "nan", "inf"):
        assert [point.step for point in metric_history(settings, run.run_id, name)] == list(range(1, 31))
    assert len(client_for(settings.uri or "").get_run(run.run_id).inputs.dataset_inputs) == 1
    assert sync(tmp_path) == []


def test_torn_last_line_costs_only_itself(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_metrics({"loss": 1.0}, step=1)
    run.end("KILLED")
    rows = tmp_path / "run" / "outbox" / "rows.jsonl"
    with rows.open("ab") as file:
        file.write(b'{"metrics": [["loss", 7.')
    again = open_run(settings, name=None, folder=tmp_path / "run", run_id=run.run_id)
    again.log_metrics({"loss": 0.5}, step=2)
    again.end("FINISHED")
    assert [point.value for point in metric_history(settings, run.run_id, "loss")] == [1.0, 0.5]


def test_refused_row_stops_no_other(settings: StoreSettings, tmp_path: Path) -> None:
    """A second process has logged another value for a parameter: MLflow refuses ours, and takes what came with it."""
    run = open_run(settings, name=None, folder=tmp_path / "run")
    client_for(settings.uri or "").log_param(run.run_id, "seed", "other")
    run.log_params({"seed": 1, "epochs": 5})
    run.log_metrics({"loss": 1.0}, step=1)
    run.end("FINISHED")
    view = find_run(settings, run.run_id)
    assert view.params == {"seed": "other", "epochs": "5"}
    assert view.metrics == {"loss": 1.0}
    assert view.status == "FINISHED"
    assert "refused 1 row," in run.notice
    refused = json.loads((tmp_path / "run" / "outbox" / "refused.jsonl").read_text())
    assert refused["row"] == {"params": {"seed": "1"}}


def test_row_of_another_version_is_named_and_stops_no_other(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.end("FINISHED")
    with (tmp_path / "run" / "outbox" / "rows.jsonl").open("a") as rows:
        rows.write('{"artefact": {"local": "saved"}}\n{"tags": {"came": "late"}}\n')
    (delivered,) = sync(tmp_path)
    reason = "rows of another version of kexp cannot be delivered: artefact"
    assert (delivered.rows, delivered.refused) == (2, (f"a row: {reason}",))
    assert find_run(settings, run.run_id).tags["came"] == "late"


def test_artifact_path_out_of_the_run_is_refused(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    for path in ("../escape.txt", "/etc/escape.txt", "a/../../escape.txt", "", "a\\..\\b"):
        with pytest.raises(StoreError, match="no artifact path"):
            run.log_text("text", path)
    run.end("FINISHED")
    assert not list(tmp_path.rglob("escape.txt"))


def test_outbox_is_for_its_owner_only(settings: StoreSettings, tmp_path: Path) -> None:
    """A tracking URI may carry a password."""
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.end("FINISHED")
    assert (tmp_path / "run" / "outbox" / "rows.jsonl").stat().st_mode & 0o077 == 0


def test_second_process_cannot_log_from_the_same_folder(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    with pytest.raises(StoreError, match="another process"):
        add_to_run(header_of(settings, run), folder=tmp_path / "run")
    assert sync(tmp_path) == []
    run.end("FINISHED")


def test_folder_with_another_runs_waiting_rows_is_refused(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.log_metrics({"loss": 1.0}, step=1)
    run.end("FINISHED")
    outbox = Outbox(tmp_path / "run")
    outbox.advance(replace(outbox.cursor(), delivered=0))
    with pytest.raises(StoreError, match="kexp sync"):
        open_run(settings, name=None, folder=tmp_path / "run")


def test_ended_run_takes_nothing_more(settings: StoreSettings, tmp_path: Path) -> None:
    run = open_run(settings, name=None, folder=tmp_path / "run")
    run.end("FINISHED")
    run.end("FAILED", "a second end is no end")
    with pytest.raises(StoreError, match="ended"):
        run.log_metrics({"loss": 1.0}, step=1)
    assert find_run(settings, run.run_id).status == "FINISHED"


def test_null_run_takes_everything_and_keeps_nothing(tmp_path: Path) -> None:
    run = null_run(name=None, folder=tmp_path / "run")
    run.log_params({"seed": 1})
    run.log_metrics({"loss": 1.0}, step=1)
    run.set_tags({"a": 1})
    run.log_text("text", "text.txt")
    run.log_dataset(name="digits", digest="d", context="train")
    run.end("FINISHED")
    assert len(run.run_id) == 32
    assert run.notice == ""
    assert list(tmp_path.iterdir()) == []
