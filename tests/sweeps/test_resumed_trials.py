"""Trials that were interrupted in a sweep, and went on in another, are those of a sweep that nothing happened to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from kexp.sweeps.compare.results import read_histories
from kexp.tracking import RunView, StoreSettings, fetch_artifact, search

DRIVER = Path(__file__).with_name("killed.py")
WHOLE = [
    "data.test_split=0.5",
    "model.hidden=[16]",
    "model.dropout=0.2",
    "schedule=cosine_decay",
    "callbacks=[early_stopping]",
    "callbacks.early_stopping.patience=2",
    "callbacks.early_stopping.restore_best_weights=true",
    "trainer.epochs=6",
    "trainer.checkpoint_epochs=1",
    "save.formats=[weights]",
    "save.keep=all",
    "hydra/launcher=processes",
    "save.model=false",
    "tracking.figures=false",
    "hydra.launcher.n_workers=2",
]
Array = tuple[str, tuple[int, ...], bytes]


@dataclass(frozen=True)
class Ended:
    """All of a trial that must be equal."""

    points: dict[str, list[tuple[int, float]]]
    last: dict[str, float]
    weights: dict[str, Array]


def run(place: Path, *program: str) -> tuple[int, str]:
    """Runs a Python program in a folder; its exit code and what it said."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, *program],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        start_new_session=True,  # Ctrl-C is sent to all of a group
    )
    return done.returncode, done.stderr


def trials(place: Path) -> tuple[StoreSettings, list[RunView]]:
    store = StoreSettings(uri=f"sqlite:///{place / 'mlflow.db'}")
    return store, [view for view in search(store) if view.parent_run_id is not None]


def ended(place: Path) -> dict[str, Ended]:
    """The trials of a folder's sweep, each once, by fingerprint."""
    store, views = trials(place)
    assert {view.status for view in views} == {"FINISHED"}
    found = {}
    for view in views:
        histories = read_histories(store, [view.run_id])[view.run_id]
        points = {key: list(history) for key, history in histories.items() if not key.startswith("system/")}
        metrics = {key: value for key, value in view.metrics.items() if not key.startswith("system/")}
        file = fetch_artifact(store, view.run_id, "saved/model.weights.h5", place / "fetched" / view.run_id)
        found[view.tags["kexp.fingerprint"]] = Ended(points, metrics, arrays(file))
    assert len(found) == len(views)
    return found


def arrays(file: Path) -> dict[str, Array]:
    found: dict[str, Array] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            value = np.asarray(node)
            found[name] = (str(value.dtype), value.shape, value.tobytes())

    with h5py.File(file) as opened:
        opened.visititems(visit)
    assert found
    return found


def uninterrupted(place: Path, sweep: Sequence[str]) -> dict[str, Ended]:
    place.mkdir()
    code, said = run(place, "-m", "kexp", "-m", *sweep)
    assert code == 0, said
    return ended(place)


def wait_for_the_killed(place: Path) -> None:
    """Until no worker of a killed sweep is left: one that is writing a checkpoint ends after it."""
    deadline = time.monotonic() + 30
    while any(process.info["cwd"] == str(place) for process in psutil.process_iter(["cwd"])):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def damage_the_newest(place: Path) -> dict[str, str]:
    """Cuts the newest checkpoint of each trial; what is to be said of it, by the fingerprint's beginning."""
    expected = {}
    for folder in place.glob("multirun/*/checkpoints/*"):
        newest, *older = sorted(folder.glob("*.checkpoint"), reverse=True)
        newest.write_bytes(newest.read_bytes()[:-100])
        expected[folder.name] = "resumes from the previous one" if older else "training starts from the beginning"
    return expected


def test_killed_sweep_ends_as_one_that_was_not_although_checkpoints_are_damaged(tmp_path: Path) -> None:
    sweep = [*WHOLE, "backend=tensorflow", "data.feed=tfdata", "optimizer=adam,rmsprop"]
    place = tmp_path / "killed"
    place.mkdir()
    code, said = run(place, str(DRIVER), "epoch", "7", "SIGKILL", "-m", *sweep)
    assert code == -9, said
    wait_for_the_killed(place)
    expected = damage_the_newest(place)
    assert expected
    code, said = run(place, "-m", "kexp", "resume", "latest")
    assert code == 0, said
    assert ended(place) == uninterrupted(tmp_path / "whole", sweep)
    notices = {view.tags["kexp.fingerprint"][:32]: view.tags.get("kexp.notices", "") for view in trials(place)[1]}
    for trial, sentence in expected.items():
        assert "is damaged" in notices[trial] and sentence in notices[trial]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_every_interruption_of_every_optimizer_and_feed_leaves_the_same_bits(backend: str, tmp_path: Path) -> None:
    """Three interruptions of the sweep, and one of its workers, which the sweep itself goes on from."""
    sweep = [*WHOLE, f"backend={backend}", "optimizer=sgd,adam,rmsprop", "data.feed=numpy,tfdata"]
    place = tmp_path / "killed"
    place.mkdir()
    for nth, name in ((3, "SIGKILL"), (5, "SIGINT"), (7, "SIGTERM")):
        code, said = run(place, str(DRIVER), "epoch", str(nth), name, "-m", *sweep)
        assert code in (-9, 130, 143), said
    code, said = run(place, str(DRIVER), "workers", "4", "SIGKILL", "-m", *sweep)
    assert code == 0 and "struck at workers" in said, said
    assert ended(place) == uninterrupted(tmp_path / "whole", sweep)
    assert any("kexp.resumed_from" in view.tags for view in trials(place)[1])
