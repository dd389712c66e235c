"""A real MLflow server: runs go through it, survive its end, and `kexp ui` starts and ends it cleanly."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from servers import Server, free_port

from kexp.errors import ConfigError, StoreError
from kexp.tracking import (
    RunRecord,
    StoreSettings,
    fetch_artifact,
    find_run,
    list_artifacts,
    log_finished_runs,
    metric_history,
    open_run,
    search,
    sync,
)
from kexp.tracking.server import serve


def test_run_on_a_server_has_all_that_was_told(server: Server, tmp_path: Path) -> None:
    settings = StoreSettings(uri=server.address, experiment="live", flush_interval_s=0.05)
    run = open_run(settings, name="remote", folder=tmp_path / "run")
    run.log_params({"seed": 1})
    for epoch in range(1, 21):
        run.log_metrics({"loss": 1 / epoch}, step=epoch)
    run.log_text("seed: 1\n", "config.yaml")
    run.end("FINISHED")
    view = find_run(settings, run.run_id[:12])
    assert (view.status, view.params) == ("FINISHED", {"seed": "1"})
    assert [point.value for point in metric_history(settings, run.run_id, "loss")] == [1 / e for e in range(1, 21)]
    assert fetch_artifact(settings, run.run_id, "config.yaml", tmp_path / "got").read_text() == "seed: 1\n"


def test_server_that_dies_in_mid_run_loses_and_doubles_nothing(server: Server, tmp_path: Path) -> None:
    values = [random.random() for _ in range(300)]
    settings = StoreSettings(uri=server.address, experiment="dying", flush_interval_s=0.02, end_timeout_s=1)
    run = open_run(settings, name="survivor", folder=tmp_path / "run")
    run.log_params({"seed": 1})
    for epoch, value in enumerate(values, start=1):
        run.log_metrics({"loss": value, "double": 2 * value}, step=epoch)
        if epoch == 100:
            time.sleep(0.3)  # some were delivered, some not, one call may be under way
        if epoch == 150:
            server.kill()
    run.log_text("seed: 1\n", "config.yaml")
    began = time.monotonic()
    run.end("FINISHED")
    assert time.monotonic() - began < 30
    assert "rows wait in" in run.notice
    assert "kexp sync" in run.notice
    with pytest.raises(StoreError, match="cannot reach"):
        sync(tmp_path)

    server.start()
    (delivered,) = sync(tmp_path)
    assert delivered.refused == ()
    assert sync(tmp_path) == []
    for name, factor in (("loss", 1), ("double", 2)):
        points = metric_history(settings, run.run_id, name)
        expected = [(epoch, factor * value) for epoch, value in enumerate(values, start=1)]
        assert [(point.step, point.value) for point in points] == expected
    view = find_run(settings, run.run_id)
    assert (view.status, view.params) == ("FINISHED", {"seed": "1"})
    assert list_artifacts(settings, run.run_id) == ["config.yaml"]


def test_finished_runs_on_a_server_are_written_once(server: Server) -> None:
    settings = StoreSettings(uri=server.address, experiment="sweep")
    points = [(f"m{index}", index / 7, step, 1000 + step) for index in range(4) for step in range(1, 301)]
    params = {f"p{index}": index for index in range(150)}
    records = [RunRecord(f"t{index}", "FINISHED", 1000, 2000, params, points) for index in range(3)]
    run_ids = log_finished_runs(settings, records)
    assert log_finished_runs(settings, records) == run_ids
    views = list(search(settings))
    assert {view.run_id for view in views} == set(run_ids)
    assert all(len(view.params) == 150 for view in views)
    history = metric_history(settings, run_ids[0], "m3")
    assert [(point.step, point.value) for point in history] == [(step, 3 / 7) for step in range(1, 301)]
    assert (views[0].start_ms, views[0].end_ms, views[0].status) == (1000, 2000, "FINISHED")


def test_ui_answers_and_ends_with_all_its_processes(settings: StoreSettings, tmp_path: Path) -> None:
    imports = "from kexp.tracking import StoreSettings; from kexp.tracking.server import serve"
    program = f"{imports}; serve(StoreSettings(uri={settings.uri!r}), {free_port()})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
    )
    assert process.stdout is not None
    said = process.stdout.readline().decode()
    address = said.split()[4]
    with urllib.request.urlopen(address, timeout=10) as page:
        assert page.status == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")
    with pytest.raises(OSError):
        urllib.request.urlopen(address, timeout=2)


def test_ui_on_a_taken_port_is_told(settings: StoreSettings, server: Server) -> None:
    with pytest.raises(ConfigError, match="port: something else listens"):
        serve(settings, server.port)


def test_ui_of_a_remote_store_says_its_address() -> None:
    said: list[str] = []
    serve(StoreSettings(uri="http://me:secret@host:5000"), print_line=said.append)
    assert said == ["The runs are at http://me:***@host:5000."]
