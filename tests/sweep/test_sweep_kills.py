"""A sweep is killed for real, resumed until it is done, and nothing is lost, doubled or left RUNNING."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from kexp.tracking import StoreSettings, metric_history, search

SMALL = [
    "backend=jax",
    "data=random",
    "data.rows=40",
    "model.hidden=[4]",
    "trainer.epochs=4",
    "trainer.batch_size=16",
    "trainer.checkpoint_epochs=1",
    "save=none",
    "tracking.figures=false",
    "hydra.launcher.n_workers=2",
]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# What is waited for before the kill; a number is so many trials over, "report" the writing of the end.
POINTS = ("planned", "to run", 0.2, 0.5, 0.9, "last")


def start(place: Path, trials: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kexp", "-m", *SMALL, f"seed=range({trials})"]
    with open(place / "stderr.txt", "ab") as errors:
        return subprocess.Popen(
            command,
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
        )


def wait_for(place: Path, point: object, trials: int, process: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Returns at the point, or when the sweep is over before it."""
    wanted = {"planned": 0, "to run": 1, "last": trials}.get(str(point))
    if wanted is None:
        wanted = 1 + round(float(str(point)) * trials)
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        text = (place / "stderr.txt").read_bytes() if (place / "stderr.txt").exists() else b""
        seen = text.count(b"to run") if point in ("planned", "to run") else text.count(b"FINISHED  epoch")
        if (wanted == 0 and list(place.glob("mlflow.db"))) or (wanted and seen >= wanted):
            break
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.5))


def kill_and_resume(place: Path, point: object, number: signal.Signals, trials: int, chance: random.Random) -> None:
    process = start(place, trials)
    wait_for(place, point, trials, process, chance)
    if process.poll() is None:
        # Ctrl-C goes to all processes of a terminal; the others to the sweep alone.
        (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
    code = process.wait(120)
    if number is not signal.SIGKILL and code not in (0, -number):
        assert code in (130, 143), (place / "stderr.txt").read_text()
        settings = StoreSettings(uri=f"sqlite:///{place / 'mlflow.db'}", artifact_location=str(place / "mlruns"))
        if "to go on: kexp resume" in (place / "stderr.txt").read_text():
            assert not list(search(settings, status="RUNNING"))
    assert start(place, trials).wait(400) == 0, (place / "stderr.txt").read_text()
    check(place, trials)


def check(place: Path, trials: int) -> None:
    settings = StoreSettings(uri=f"sqlite:///{place / 'mlflow.db'}")
    everything = list(search(settings))
    parents = [view for view in everything if view.parent_run_id is None]
    children = [view for view in everything if view.parent_run_id is not None]
    assert Counter(view.status for view in everything) == {"FINISHED": trials + 1}
    assert len(parents) == 1
    assert sorted(int(view.params["seed"]) for view in children) == list(range(trials))
    for view in children:
        for metric in ("loss", "val_loss"):
            assert [point.step for point in metric_history(settings, view.run_id, metric)] == [1, 2, 3, 4]
    (folder,) = (place / "multirun").glob("[!.]*")
    assert (folder / "report.html").is_file()
    assert not (folder / "checkpoints").exists()


def test_interrupted_sweep_is_resumed_whole(tmp_path: Path) -> None:
    chance = random.Random(11)
    kill_and_resume(tmp_path, 0.2, signal.SIGINT, 4, chance)


def test_killed_sweep_is_resumed_whole(tmp_path: Path) -> None:
    chance = random.Random(12)
    kill_and_resume(tmp_path, 0.2, signal.SIGKILL, 4, chance)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_sixty_kills(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    kill_and_resume(tmp_path, POINTS[seed % len(POINTS)], SIGNALS[seed // len(POINTS) % 3], 20, chance)
