"""A fused sweep whose engine, or the whole of it, is killed: its lanes go on from their last checkpoints, exactly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kexp.tracking import StoreSettings, metric_history, search

pytestmark = pytest.mark.real_process

EPOCHS, TRIALS = 40, 10
SWEEP = [
    "hydra/launcher=fused",
    "model.hidden=[16]",
    "model.dropout=0.2",
    f"trainer.epochs={EPOCHS}",
    "trainer.checkpoint_epochs=2",
    "callbacks=[early_stopping,reduce_lr_on_plateau]",
    "callbacks.early_stopping.patience=30",
    "callbacks.early_stopping.restore_best_weights=true",
    "callbacks.reduce_lr_on_plateau.patience=2",
    "save=none",
    "tracking.figures=false",
    f"seed=range({TRIALS})",
]
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


def start(place: Path) -> subprocess.Popen[bytes]:
    place.mkdir(exist_ok=True)
    env = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with open(place / "stderr.txt", "ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "kexp", "-m", *SWEEP], cwd=place, stdout=errors, stderr=errors, env=env
        )


def finish(place: Path) -> dict[str, object]:
    """Runs the sweep to its end."""
    assert start(place).wait(300) == 0, (place / "stderr.txt").read_text()
    return found(place)


def found(place: Path) -> dict[str, object]:
    """All that must be equal, by seed, of a sweep that is over."""
    settings = StoreSettings(uri=f"sqlite:///{place / 'mlflow.db'}")
    views = [view for view in search(settings) if view.parent_run_id is not None]
    assert {view.status for view in views} == {"FINISHED"}
    assert len(views) == TRIALS
    assert not list(place.glob("multirun/*/checkpoints"))
    return {
        view.params["seed"]: (
            [[point.value for point in metric_history(settings, view.run_id, metric)] for metric in METRICS],
            {key: value for key, value in view.metrics.items() if key.startswith("test_")},
        )
        for view in views
    }


def resumed(place: Path) -> int:
    settings = StoreSettings(uri=f"sqlite:///{place / 'mlflow.db'}")
    return sum("kexp.resumed_from" in view.tags for view in search(settings))


def wait_for_checkpoints(place: Path, epoch: int, lanes: int) -> None:
    """Until so many lanes have a checkpoint of this epoch or a later one."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        newest = [max(folder.glob("epoch-*"), default=None) for folder in place.glob("multirun/*/checkpoints/*")]
        if sum(path is not None and path.name >= f"epoch-{epoch:08}" for path in newest) >= lanes:
            return
        time.sleep(0.005)
    raise AssertionError("no checkpoint was written")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    place = tmp_path_factory.mktemp("whole")
    trials = finish(place)
    assert resumed(place) == 0
    return trials


def kill_engine(sweep: subprocess.Popen[bytes]) -> None:
    """The sweep itself is left to live; it goes on with another engine."""
    for child in psutil.Process(sweep.pid).children(recursive=True):
        if "kexp.sweeps.launch.lanes.engine_process:serve" in child.cmdline():
            child.kill()
    assert sweep.wait(300) == 0


def kill_sweep(sweep: subprocess.Popen[bytes]) -> None:
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait(60)


@pytest.mark.slow
def test_lanes_of_an_engine_that_is_killed_go_on_in_the_next(tmp_path: Path, whole: dict[str, object]) -> None:
    sweep = start(tmp_path)
    wait_for_checkpoints(tmp_path, 20, 3)
    kill_engine(sweep)
    assert resumed(tmp_path) >= 3
    assert found(tmp_path) == whole


@pytest.mark.slow
def test_lanes_of_a_sweep_that_is_killed_go_on_with_the_same_command(tmp_path: Path, whole: dict[str, object]) -> None:
    sweep = start(tmp_path)
    wait_for_checkpoints(tmp_path, 4, 2)
    kill_sweep(sweep)
    assert finish(tmp_path) == whole
    assert resumed(tmp_path) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [2, 10, 30, 38])
def test_every_kill_of_a_fused_sweep_resumes_exactly(epoch: int, tmp_path: Path, whole: dict[str, object]) -> None:
    for kill in (kill_sweep, kill_engine):
        sweep = start(tmp_path)
        wait_for_checkpoints(tmp_path, epoch, 1)
        kill(sweep)
    assert finish(tmp_path) == whole
