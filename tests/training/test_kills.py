"""Trainings killed by signals, at points from the first step to the last save, and resumed in a new process."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

OPTIMIZERS, FEEDS = ("sgd", "adam", "rmsprop"), ("numpy", "tfdata")


def ended_as_whole(trial: ModuleType, backend: str, folder: Path, cases: list[str]) -> list[str]:
    """Runs the cases; gives those that were killed, resumed, and ended as if nothing had happened."""
    command = [sys.executable, str(trial.__file__), backend, str(folder), *cases]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    for outcome in outcomes:
        optimizer, kind, point = outcome["case"].split(":")
        index = list(trial.POINTS).index(point)
        assert outcome["signal"] == trial.SIGNALS[index % len(trial.SIGNALS)], outcome
        whole, resumed = (
            np.load(folder / f"{name}.npz") for name in (f"{optimizer}-{kind}", f"{optimizer}-{kind}-{point}")
        )
        assert set(whole.files) == set(resumed.files)
        for key in set(whole.files) - {"seen"}:
            assert whole[key].dtype == resumed[key].dtype
            assert whole[key].tobytes() == resumed[key].tobytes(), (outcome, key)
        epoch, moment = trial.POINTS[point]
        saved = epoch if moment == "saved" else max(0, epoch - 1)
        assert json.loads(str(resumed["seen"])) == {"resumed_from": saved, "notices": []}
        epochs, *_, stopped = json.loads(str(whole["text"]))
        assert stopped == f"EarlyStopping on val_loss after epoch {trial.EPOCHS} of {trial.EPOCHS + 2}"
        told = [json.loads(line) for line in (folder / f"{optimizer}-{kind}-{point}" / "told").read_text().splitlines()]
        assert sorted({epoch for epoch, _ in told}) == [epoch for epoch, _ in epochs], "no point is lost"
        assert all(each in epochs for each in told), "a point told twice is the same point"
        assert not list((folder / f"{optimizer}-{kind}-{point}" / "checkpoints").glob(".tmp-*"))
    return [outcome["case"] for outcome in outcomes]


def test_resume_after_a_kill_equals_an_uninterrupted_training_on_tensorflow(trial: ModuleType, tmp_path: Path) -> None:
    cases = ["adam:numpy:middle-mid", "sgd:tfdata:middle-save", "rmsprop:numpy-weights:middle-end"]
    assert ended_as_whole(trial, "tensorflow", tmp_path, cases) == cases


@pytest.mark.slow
def test_resume_after_a_kill_equals_an_uninterrupted_training_on_jax(trial: ModuleType, tmp_path: Path) -> None:
    cases = ["adam:numpy:middle-save"]
    assert ended_as_whole(trial, "jax", tmp_path, cases) == cases


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_resume_is_exact_at_every_kill_point(trial: ModuleType, backend: str, optimizer: str, tmp_path: Path) -> None:
    cases = [":".join(case) for case in itertools.product([optimizer], FEEDS, trial.POINTS)]
    assert ended_as_whole(trial, backend, tmp_path, cases) == cases
