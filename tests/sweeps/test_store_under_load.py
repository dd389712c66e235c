"""Many processes at one store, and a store that goes away in mid-sweep: nothing lost, nothing doubled."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kexp
from kexp.errors import LoadError
from kexp.tracking import StoreSettings, list_artifacts, metric_history, prepare_store, search
from kexp.tracking.server import running_server
from kexp.tracking.store.client import client_for

WORKERS, POINTS = 8, 1000
WORKER = """
import os, sys, time
from pathlib import Path
from kexp.tracking import RunRecord, StoreSettings, log_finished_runs, open_run
from kexp.tracking.store.client import load_mlflow


def work(number):
    run = open_run(StoreSettings(flush_interval_s=0.2), name=f"live-{number}", folder=Path(f"run-{number}"))
    points = []
    for step in range(1, 1001):
        values = {"a": number + 1 / step, "b": number - 1 / step}
        run.log_metrics(values, step=step, timestamp_ms=step)
        points += [(key, value, step, step) for key, value in values.items()]
        if step % 250 == 0:
            time.sleep(0.2)
    log_finished_runs(StoreSettings(), [RunRecord(f"whole-{number}", "FINISHED", 1, 2, metrics=points)])
    run.end("FINISHED")
    assert not run.notice, run.notice


load_mlflow()  # once, and not in each of them
children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        try:
            work(number)
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def test_eight_processes_with_two_thousand_metrics_each_lose_and_double_nothing(workplace: Path) -> None:
    """By both of kexp's writers at once: runs in progress, and runs that are over, as a sweep writes them."""
    prepare_store(StoreSettings())
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    views = {view.name: view for view in search(StoreSettings())}
    assert Counter(view.status for view in views.values()) == {"FINISHED": 2 * WORKERS}
    for number in range(WORKERS):
        for kind in ("live", "whole"):
            run_id = views[f"{kind}-{number}"].run_id
            for key, sign in (("a", 1), ("b", -1)):
                points = [(point.step, point.value) for point in metric_history(StoreSettings(), run_id, key)]
                assert points == [(step, number + sign / step) for step in range(1, POINTS + 1)]
    with contextlib.closing(sqlite3.connect("mlflow.db")) as store:
        assert store.execute("SELECT count(*) FROM metrics").fetchone() == (2 * WORKERS * 2 * POINTS,)


TRIALS, EPOCHS = 6, 3
SWEEP = [
    "backend=jax",
    "data=random",
    "data.rows=40",
    "model.hidden=[4]",
    f"trainer.epochs={EPOCHS}",
    "trainer.batch_size=16",
    "save=none",
    "tracking.figures=false",
    "hydra/launcher=serial",
    f"seed=range({TRIALS})",
]


def test_models_of_the_best_are_added_to_the_runs_that_a_server_has_made(workplace: Path) -> None:
    """A server gives ids of its own, which the sweep learns when its trials are written."""
    small = ["data=random", "data.rows=80", "model.hidden=[4]", "trainer.epochs=2", "save.formats=[h5]"]
    with contextlib.closing(Server(workplace)) as server:
        told = [f"tracking.uri={server.address}", "save.keep=top:2", *small]
        result = kexp.sweep({"seed": [1, 2, 3]}, told, launcher="serial")
        settings = StoreSettings(server.address)
        views = {view.run_id: view for view in search(settings, parent_run_id=result.run_id)}
        assert {trial.run_id for trial in result.trials} == set(views)
        best, second, last = sorted(result.trials, key=lambda trial: trial.metrics["val_loss"])
        curves, saved = "figures/learning_curves.png", "saved/model.h5"
        for trial, kept in ((best, {curves, saved}), (second, {saved}), (last, set())):
            assert {curves, saved} & set(list_artifacts(settings, trial.run_id)) == kept
        model = kexp.load_model(best.run_id, format="h5", tracking_uri=server.address)
        assert model.count_params() > 0
        with pytest.raises(LoadError, match=f"saved no model.*kexp reproduce {last.run_id[:8]} --save"):
            kexp.load_model(last.run_id, tracking_uri=server.address)
        logged = client_for(server.address).search_logged_models([prepare_store(settings)])
        assert {each.source_run_id for each in logged} == {best.run_id, second.run_id}
        for each in logged:
            metrics = views[each.source_run_id].metrics
            measured = {key: value for key, value in metrics.items() if not key.startswith("system/")}
            assert {metric.key: metric.value for metric in each.metrics} == pytest.approx(measured)


@pytest.mark.parametrize("seconds", [4, pytest.param(15, marks=pytest.mark.slow)])
def test_lock_on_the_database_in_mid_sweep_costs_nothing(workplace: Path, seconds: int) -> None:
    sweep = start(workplace)
    wait_until(lambda: over(workplace) >= 1, sweep)
    locking = "import sqlite3, sys, time; c = sqlite3.connect('mlflow.db', timeout=60); c.execute('BEGIN EXCLUSIVE')"
    subprocess.run([sys.executable, "-c", f"{locking}; time.sleep({seconds})"], check=True)
    assert sweep.wait(300) == 0, errors(workplace)
    check(StoreSettings())


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_server_that_is_killed_and_started_again_in_mid_sweep_costs_nothing(workplace: Path, seconds: int) -> None:
    server = Server(workplace)
    with contextlib.closing(server):
        sweep = start(workplace, MLFLOW_TRACKING_URI=server.address)
        wait_until(lambda: over(workplace) >= 1, sweep)
        server.kill()
        time.sleep(seconds)
        server.start()
        assert sweep.wait(300) == 0, errors(workplace)
        check(StoreSettings(server.address))


@pytest.mark.slow
def test_server_that_stays_away_has_everything_after_sync(workplace: Path) -> None:
    server = Server(workplace)
    with contextlib.closing(server):
        sweep = start(workplace, MLFLOW_TRACKING_URI=server.address)
        wait_until(lambda: over(workplace) >= 1, sweep)
        server.kill()
        assert sweep.wait(500) == 0, errors(workplace)
        assert "deliver them with `kexp sync multirun/" in errors(workplace)
        server.start()
        done = subprocess.run([sys.executable, "-m", "kexp", "sync"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        check(StoreSettings(server.address))


@pytest.mark.slow
def test_server_that_stays_away_has_everything_after_the_sweep_is_resumed(workplace: Path) -> None:
    server = Server(workplace)
    with contextlib.closing(server):
        sweep = start(workplace, MLFLOW_TRACKING_URI=server.address)
        wait_until(lambda: over(workplace) >= 2, sweep)
        server.kill()
        wait_until(lambda: over(workplace) >= 4 and any(workplace.glob("multirun/*/outbox/trials/*.jsonl")), sweep)
        sweep.kill()  # what is over waits on disk by then
        sweep.wait()
        server.start()
        ran = over(workplace)
        assert start(workplace, MLFLOW_TRACKING_URI=server.address).wait(300) == 0, errors(workplace)
        check(StoreSettings(server.address))
        assert over(workplace) - ran <= TRIALS - 3  # not all again


class Server:
    """A real `mlflow server`, whose process can be killed, at one address."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.uri, self.artifacts = f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts"
        prepare_store(StoreSettings(self.uri))
        self.start()

    def start(self) -> None:
        self._open = contextlib.ExitStack()
        running = running_server(self.uri, self.port, artifacts=self.artifacts)
        self.address, self.process = self._open.enter_context(running)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self._open.close()

    def close(self) -> None:
        self._open.close()


def start(place: Path, **environment: str) -> subprocess.Popen[bytes]:
    with open(place / "stderr.txt", "ab") as told:
        command = [sys.executable, "-m", "kexp", "-m", *SWEEP]
        return subprocess.Popen(
            command, cwd=place, stdout=subprocess.DEVNULL, stderr=told, env={**os.environ, **environment}
        )


def wait_until(true: Callable[[], Any], process: subprocess.Popen[bytes], timeout_s: float = 200) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def over(place: Path) -> int:
    """How many trials the sweep has said to be over."""
    return errors(place).count("FINISHED  epoch")


def errors(place: Path) -> str:
    return (place / "stderr.txt").read_text()


def check(store: StoreSettings) -> None:
    views = list(search(store))
    assert Counter(view.status for view in views) == {"FINISHED": TRIALS + 1}
    trials = [view for view in views if view.parent_run_id is not None]
    assert sorted(int(view.params["seed"]) for view in trials) == list(range(TRIALS))
    for view in trials:
        for metric in ("loss", "val_loss"):
            assert [point.step for point in metric_history(store, view.run_id, metric)] == [*range(1, EPOCHS + 1)]
    (parent,) = [view for view in views if view.parent_run_id is None]
    assert parent.tags["kexp.sweep.finished"] == str(TRIALS) or parent.tags["kexp.sweep.done"]
