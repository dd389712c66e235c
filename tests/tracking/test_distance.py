"""A server at a distance: few requests, several at once, and each run once, whatever becomes of an answer."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distant import Distant, distant
from finished_runs import Kexp
from servers import Server

from kexp.sweeps.compare_sweeps import compare
from kexp.sweeps.record.recorder import Recorder
from kexp.tracking import (
    DatasetRecord,
    RunRecord,
    StoreSettings,
    list_artifacts,
    log_finished_runs,
    open_run,
    prepare_store,
    search,
)
from kexp.tracking.delivery.sync import deliver
from kexp.tracking.reading.histories import HistoryCache, history_of, read_histories
from kexp.tracking.store.client import client_for
from kexp.tracking.store.heartbeat import HEARTBEAT
from kexp.tracking.store.model_registry import Registration

METRICS = ("loss", "val_loss", "accuracy")


@pytest.fixture
def far(server: Server) -> Iterator[Distant]:
    with distant(server.address, delay_s=0.05) as proxy:
        yield proxy


def trials(count: int, prefix: str) -> list[RunRecord]:
    return [
        RunRecord(
            name=f"{prefix}-{number}",
            status="FINISHED",
            start_ms=1000,
            end_ms=2000,
            params={"seed": number, "optimizer.name": "adam"},
            metrics=[(name, number + step / 10, step, 1000 + step) for step in range(1, 6) for name in METRICS],
            datasets=[DatasetRecord("iris", "d", "train"), DatasetRecord("iris", "d", "test")],
            texts={"config.yaml": f"seed: {number}\n", "overrides.txt": f"seed={number}\n"},
        )
        for number in range(count)
    ]


def test_a_trial_takes_six_requests_and_trials_are_sent_side_by_side(far: Distant) -> None:
    settings, records = StoreSettings(uri=far.address, experiment="few"), trials(16, "few")
    log_finished_runs(settings, records[:1])  # the experiment is made, and MLflow imported
    far.requests.clear()
    log_finished_runs(settings, records[1:], fresh={record.run_id for record in records})
    assert len(far.requests) <= 6 * 15
    assert far.at_once >= 8
    assert {view.name: view.metrics for view in search(settings)} == {
        record.name: dict.fromkeys(METRICS, number + 0.5) for number, record in enumerate(records)
    }
    assert all(list_artifacts(settings, view.run_id) == ["config.yaml", "overrides.txt"] for view in search(settings))


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("runs/create", "cut"),
        ("runs/log-batch", "cut"),
        ("runs/log-inputs", "cut"),
        ("artifacts/", "cut"),
        ("runs/update", "cut"),
        ("runs/create", 503),
        ("runs/create", 429),
    ],
)
def test_each_run_is_there_once_when_an_answer_is_lost_or_refused_for_now(
    far: Distant, endpoint: str, fault: str | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    settings = StoreSettings(uri=far.address, experiment=f"lost-{endpoint}-{fault}")
    left = [2]

    def fail(method: str, path: str) -> int | str | None:
        if endpoint in path and left[0]:
            left[0] -= 1
            return fault
        return None

    far.fault = fail
    records = trials(3, "lost")
    log_finished_runs(settings, records, fresh={record.run_id for record in records})
    assert not left[0]
    views = list(search(settings))
    assert sorted(view.name for view in views) == ["lost-0", "lost-1", "lost-2"]
    assert {view.status for view in views} == {"FINISHED"}
    histories = read_histories(settings, [view.run_id for view in views])
    by_name = {record.name: history_of(record) for record in records}
    assert {view.name: histories[view.run_id] for view in views} == by_name


def test_a_run_in_progress_is_made_once_when_the_answer_to_its_making_is_lost(far: Distant, tmp_path: Path) -> None:
    left = [1]

    def fail(method: str, path: str) -> str | None:
        if path.endswith("runs/create") and left[0]:
            left[0] -= 1
            return "cut"
        return None

    far.fault = fail
    settings = StoreSettings(uri=far.address, experiment="made-once")
    run = open_run(settings, name="once", folder=tmp_path / "run")
    run.log_metrics({"loss": 0.5}, step=1)
    run.end("FINISHED")
    assert (left, run.notice) == ([0], "")
    (view,) = search(settings)
    assert (view.run_id, view.name, view.status, view.metrics) == (run.run_id, "once", "FINISHED", {"loss": 0.5})


MODEL_ASKS = (
    "runs/create",
    "logged-models",
    "artifact",
    "runs/outputs",
    "runs/log-batch",
    "logged-models/",
    "model-versions/create",
    "runs/update",
)


@pytest.mark.parametrize("lost", ["none", *MODEL_ASKS])
def test_a_run_and_its_model_are_there_once_by_few_requests(
    far: Distant, lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.setattr("kexp.tracking.delivery.delivery_thread._LAST_RETRY_S", 0.1)
    settings = StoreSettings(uri=far.address, experiment=f"model-{lost.replace('/', '-')}", flush_interval_s=0.05)
    prepare_store(settings)
    far.requests.clear()
    left = [1]

    def fail(method: str, path: str) -> int | str | None:
        if left[0] and method != "GET" and (path.endswith(lost) or (lost.endswith(("/", "artifact")) and lost in path)):
            left[0] -= 1
            return "cut"
        return None

    far.fault = fail
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    x = np.zeros((2, 4), "float32")
    run = open_run(settings, name="with a model", folder=tmp_path / "run")
    run.log_metrics({"loss": 0.5, "val_loss": 0.25}, step=1)
    registered = Registration("registered") if lost == "model-versions/create" else None
    run.log_keras_model(model, x, np.asarray(model(x)), register=registered)
    run.end("FINISHED")
    assert run.notice == ""
    assert left[0] == (lost == "none")
    counted = far.counts()
    far.fault = lambda method, path: None
    client = client_for(far.address)
    (view,) = search(settings)
    (logged,) = client.search_logged_models([prepare_store(settings)])
    assert (view.status, view.model_ids) == ("FINISHED", (logged.model_id,))
    assert logged.status.value == "READY"
    assert {(each.key, each.value) for each in logged.metrics} == {("loss", 0.5), ("val_loss", 0.25)}
    if registered is not None:
        (version,) = client.search_model_versions("name = 'registered'")
        assert (version.run_id, version.source) == (run.run_id, f"models:/{logged.model_id}")
    if lost == "none":
        assert far.at_once >= 4, "the model's files are sent side by side"
        asked = [each for each in counted if each.startswith("GET") or "search" in each]
        assert asked == [], "what the run computed or made itself is not asked for"


def test_metrics_and_the_end_do_not_wait_for_artifacts_that_cannot_be_brought(far: Distant, tmp_path: Path) -> None:
    settings = StoreSettings(uri=far.address, experiment="no-artifacts", flush_interval_s=0.05, end_timeout_s=0.5)
    prepare_store(settings)
    far.fault = lambda method, path: 503 if "mlflow-artifacts" in path else None
    run = open_run(settings, name="told", folder=tmp_path / "run")
    run.log_text("seed: 1", "config.yaml")
    run.log_metrics({"loss": 0.5}, step=1)
    run.end("FINISHED")
    assert run.notice.startswith(
        "The tracking store is away (its artifacts cannot be written: it answers with status 503): 3 rows wait in "
    )
    (view,) = search(settings)
    assert (view.status, view.metrics) == ("FINISHED", {"loss": 0.5})
    far.fault = lambda method, path: None
    delivered = deliver(tmp_path / "run")
    assert delivered is not None
    assert (delivered.rows, delivered.refused) == (3, ())
    assert list_artifacts(settings, view.run_id) == ["config.yaml"]
    assert next(search(settings)).metrics == {"loss": 0.5}


@pytest.mark.parametrize("fault", [503, "hang"])
def test_a_run_shows_that_it_lives_while_its_artifacts_cannot_be_brought(
    fault: int | str, far: Distant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    settings = StoreSettings(far.address, f"lives-{fault}", flush_interval_s=0.05, heartbeat_interval_s=0.3)
    prepare_store(settings)
    run = open_run(settings, name="lives", folder=tmp_path / "run")
    began = beat = int(next(search(settings)).tags[HEARTBEAT])
    far.fault = lambda method, path: fault if "mlflow-artifacts" in path else None
    run.log_text("seed: 1", "config.yaml")
    deadline = time.monotonic() + 20
    for step in range(1, 10_000):
        run.log_metrics({"loss": 1 / step}, step=step)
        beat = int(next(search(settings)).tags[HEARTBEAT])
        if beat > began + 1 or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert beat > began + 1
    far.fault = lambda method, path: None
    far.let_go()
    run.end("FINISHED")
    (view,) = search(settings)
    assert (run.notice, view.status, list_artifacts(settings, view.run_id)) == ("", "FINISHED", ["config.yaml"])


def test_what_an_older_server_does_not_know_is_named_and_stops_nothing_else(far: Distant, tmp_path: Path) -> None:
    settings = StoreSettings(uri=far.address, experiment="older-server", flush_interval_s=0.05)
    prepare_store(settings)
    missing = ("runs/log-inputs", "mlflow/logged-models")
    far.fault = lambda method, path: 404 if path.endswith(missing) else None
    run = open_run(settings, name="older", folder=tmp_path / "run")
    run.log_dataset(name="iris", digest="d", context="train")
    run.log_metrics({"loss": 0.5}, step=1)
    run.end("FINISHED")
    reason = "it knows no {} (404), and so is an older MLflow than kexp takes"
    refused = "The tracking store refused 1 row, kept in {}: " + reason
    assert run.notice == refused.format(tmp_path / "run" / "outbox", "runs/log-inputs")
    assert run.undelivered == 0
    import keras

    model, x = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), np.zeros((2, 4), "float32")
    run = open_run(settings, name="with a model", folder=tmp_path / "modelled")
    run.log_keras_model(model, x, np.asarray(model(x)))
    run.end("FINISHED")
    assert run.notice == refused.format(tmp_path / "modelled" / "outbox", "logged-models")
    assert run.undelivered == 1, "a model that is nowhere is not as asked"
    assert {view.status for view in search(settings)} == {"FINISHED"}


@pytest.mark.parametrize("then", ["it comes back", "Ctrl-C"])
def test_the_end_of_a_run_tells_what_is_still_to_be_sent(
    far: Distant, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kexp.tracking.delivery.progress._PRINT_INTERVAL_S", 0.1)
    settings, said = StoreSettings(uri=far.address, experiment=f"waits, {then}", flush_interval_s=0.05), list[str]()

    def say(line: str) -> None:
        said.append(line)
        if "it is away" in line and then == "Ctrl-C":
            signal.raise_signal(signal.SIGINT)
        elif "it is away" in line:
            far.fault = lambda method, path: None

    run = open_run(settings, name="waits", folder=tmp_path / "run", print_line=say)
    far.fault = lambda method, path: 503
    run.log_metrics({"loss": 0.5}, step=1)
    run.end("FINISHED")
    assert any(
        re.fullmatch(
            r"store    \[-+\] 2 of 2 rows are still to be sent; it is away \(it answers with status 503\) and is "
            r"waited for \d\d s more \(Ctrl-C: leave them\)",
            line,
        )
        for line in said
    ), said
    far.fault = lambda method, path: None
    if then == "Ctrl-C":
        assert run.notice.startswith("You did not wait for the tracking store: 2 rows wait in ")
        assert run.undelivered == 2
        assert deliver(tmp_path / "run") is not None
    else:
        assert (run.notice, run.undelivered) == ("", 0)
    (view,) = search(settings)
    assert (view.status, view.metrics) == ("FINISHED", {"loss": 0.5})


def test_histories_are_read_in_bulk_once_and_are_those_that_were_sent(far: Distant, tmp_path: Path) -> None:
    settings, records = StoreSettings(uri=far.address, experiment="bulk"), trials(12, "bulk")
    odd = RunRecord(
        "odd", "FINISHED", 1, 2, metrics=[("a b/c", math.inf, 1, 1), ("a b/c", math.nan, 2, 2), ("a b/c", 3.0, 3, 3)]
    )
    run_ids = log_finished_runs(settings, [*records, odd])
    far.requests.clear()
    kept = HistoryCache(tmp_path)
    found = read_histories(settings, run_ids, kept)
    assert [found[run_id] for run_id in run_ids[:-1]] == [history_of(record) for record in records]
    (name,) = found[run_ids[-1]]
    values = [value for _, value in found[run_ids[-1]][name]]
    assert (name, values[0], values[2]) == ("a b/c", math.inf, 3.0)
    assert math.isnan(values[1])
    assert len(far.requests) <= 1 + len(METRICS) + 1 + 1  # the experiment, the runs, and each metric once
    far.requests.clear()
    again = read_histories(settings, run_ids[:-1], kept)
    assert again == {run_id: found[run_id] for run_id in run_ids[:-1]}
    assert not far.requests


def test_a_sweep_is_compared_again_without_asking_for_histories_again(far: Distant, tmp_path: Path) -> None:
    settings = StoreSettings(uri=far.address, experiment="compared")
    tags = {"kexp.sweep.name": "compared", "kexp.sweep.objective": "val_loss", "kexp.folder": str(tmp_path)}
    sweep = log_finished_runs(settings, [RunRecord("compared", "FINISHED", 1, 2, tags=tags)])[0]
    restored = {"callbacks.early_stopping.restore_best_weights": True, "callbacks.early_stopping.monitor": "val_loss"}
    records = trials(4, "compared")
    mine = [replace(each, parent_run_id=sweep, params={**each.params, **restored}) for each in records]
    run_ids = log_finished_runs(settings, mine)
    kept = HistoryCache(tmp_path)
    kept.add(run_ids[0], history_of(mine[0]))  # the folder is one that histories are kept in
    asked = []
    for _ in range(2):
        far.requests.clear()
        compared = compare("compared", uri=settings.uri, experiment=settings.experiment)
        asked.append(sum("get-history" in each for each in far.counts()))
        values = [value for row in compared.rows for value in row.values.values()]
        assert sorted(values) == [number + 0.1 for number in range(4)], "of the epoch whose weights were kept"
    assert asked[0] > 0
    assert asked[1] == 0


def test_a_sweep_is_compared_again_by_four_questions_at_once_and_without_mlflow(
    far: Distant, workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--uri", far.address, "--experiment", "again"]
    settings, folder = StoreSettings(uri=far.address, experiment="again"), workplace / "multirun" / "again"
    tags = {"kexp.sweep.name": "again", "kexp.sweep.objective": "val_loss", "kexp.folder": str(folder)}
    sweep = log_finished_runs(settings, [RunRecord("again", "FINISHED", 1, 2, tags=tags)])[0]
    records = [replace(each, parent_run_id=sweep) for each in trials(6, "again")]
    run_ids = log_finished_runs(settings, records[:5])
    folder.mkdir(parents=True)
    HistoryCache(folder).add(run_ids[0], history_of(records[0]))  # the folder is one of a sweep

    def said() -> str:
        assert kexp_command("compare", "again", *where) == 0
        return capsys.readouterr().out

    first = said()
    far.requests.clear()
    far.at_once, far.delay_s = 0, 0.5  # so long that a busy machine has asked all of them before the first answer
    program = (
        f"import sys; from kexp.commands.compare import main; main({['again', *where]}); print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == first + "False\n"
    assert far.counts() == {"POST runs/search": 3, "GET experiments/get-by-name": 1}
    assert far.at_once == 4
    far.delay_s = 0
    assert said() == first
    client_for(far.address).delete_run(run_ids[4])
    assert said() != first, "a trial that was deleted is gone"
    client_for(far.address).restore_run(run_ids[4])
    assert said() == first
    log_finished_runs(settings, records[5:])
    assert said() != first, "a trial that came later is there"


def test_runs_are_read_without_mlflow_as_with_it(far: Distant) -> None:
    settings = StoreSettings(uri=far.address, experiment="both ways")
    odd = [("a b/c", math.inf, 1, 1), ("d", math.nan, 1, 1), ("e", 1e-300, 1, 1), ("f", -0.0, 1, 1)]
    tags = {"quote": "it's", "ü": "é\n", "empty": ""}
    records = [
        RunRecord("odd", "FAILED", 1, 2, metrics=odd, tags=tags, params={"x": "", "ü": "ü"}),
        *trials(3, "plain"),
    ]
    log_finished_runs(settings, records)
    program = f"import sys; from kexp.tracking import *; print([*search({settings})], 'mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{[*search(settings)]} False\n"


def test_an_older_server_is_asked_for_histories_one_by_one(far: Distant) -> None:
    settings, records = StoreSettings(uri=far.address, experiment="older"), trials(3, "older")
    run_ids = log_finished_runs(settings, records)
    far.fault = lambda method, path: 404 if "get-history-bulk" in path else None
    found = read_histories(settings, run_ids)
    assert [found[run_id] for run_id in run_ids] == [history_of(record) for record in records]


def test_a_server_that_cannot_take_so_much_at_once_is_asked_for_less(
    far: Distant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kexp.tracking.delivery.server_runs._slower", {})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings, notices = StoreSettings(uri=far.address, experiment="overwhelmed"), list[str]()
    sweep = log_finished_runs(settings, [RunRecord("sweep", "FINISHED", 1, 2)])[0]
    records = [replace(record, parent_run_id=sweep) for record in trials(40, "overwhelmed")]
    far.delay_s = 0.02
    far.fault = lambda method, path: 503 if far._now > 3 else None
    recorder = Recorder(settings, folder=tmp_path, resume_command="", run_id=sweep, notices=notices)
    for record in records:
        recorder.put(record)
    recorder.close()
    far.fault = lambda method, path: None
    assert notices == []
    found = list(search(settings, parent_run_id=sweep))
    assert sorted(view.name for view in found) == sorted(record.name for record in records)
    assert {view.status for view in found} == {"FINISHED"}


def test_ctrl_c_at_the_end_leaves_what_is_not_sent_for_sync(
    far: Distant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kexp.tracking.delivery.progress._PRINT_INTERVAL_S", 0.1)
    settings, said, notices = StoreSettings(uri=far.address, experiment="left"), [], list[str]()
    sweep = log_finished_runs(settings, [RunRecord("sweep", "FINISHED", 1, 2)])[0]
    far.delay_s = 0.3
    recorder = Recorder(
        settings, folder=tmp_path, run_id=sweep, notices=notices, resume_command="kexp resume x", interval_s=60
    )
    for record in trials(64, "left"):
        recorder.put(replace(record, parent_run_id=sweep))

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 10:
            signal.raise_signal(signal.SIGINT)

    recorder.close(say)
    assert said[0] == f"store    [{'-' * 20}] 64 of 64 trials and models are still to be sent (Ctrl-C: leave them)"
    (notice,) = notices
    assert notice.startswith("You did not wait for the tracking store: 32 of the sweep's trials wait in ")
    assert "kexp sync" in notice
    far.delay_s = 0
    delivered = deliver(tmp_path)
    assert delivered is not None
    assert delivered.trials == 32
    there = [view.name for view in search(settings, parent_run_id=sweep)]
    assert sorted(there) == sorted(f"left-{number}" for number in range(64))


def test_a_sweep_far_from_its_store_saves_its_models_and_reads_back_nothing_that_it_computed(
    server: Server, tmp_path: Path
) -> None:
    with distant(server.address, delay_s=0.2) as far:
        overrides = "data=iris trainer.epochs=2 seed=range(4) save.keep=top:2 save.formats=[weights]".split()
        command = [sys.executable, "-m", "kexp", "-m", *overrides, f"tracking.uri={far.address}"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        began = time.monotonic()
        done = subprocess.run(
            [*command, "tracking.experiment=far-sweep", "hydra/launcher=fused"],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - began < 300
        assert "away" not in done.stderr
        counts = far.counts()
        assert not any("get-history" in endpoint for endpoint in counts)
        assert counts["POST runs/create"] == 5
        settings = StoreSettings(uri=server.address, experiment="far-sweep")
        saved = [view for view in search(settings) if view.parent_run_id and view.model_ids]
        assert len(saved) == 2
        for view in saved:
            assert "saved/model.weights.h5" in list_artifacts(settings, view.run_id)
