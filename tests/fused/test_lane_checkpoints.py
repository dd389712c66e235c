"""Lanes that are killed and resumed end with the bits of lanes that nothing happened to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import made
import numpy as np
import pytest

from kexp import experiment, fused
from kexp.config import compose, plain
from kexp.errors import ConfigError
from kexp.fused import LaneResult, Trial
from kexp.schema import check
from kexp.training import Checkpointing

EPOCHS = 6
CALLBACKS = (
    "callbacks=[early_stopping,reduce_lr_on_plateau]",
    "callbacks.early_stopping.patience=4",
    "callbacks.early_stopping.restore_best_weights=true",
    "callbacks.reduce_lr_on_plateau.patience=1",
    "callbacks.reduce_lr_on_plateau.min_delta=0.05",
)
RICH = (
    "model.hidden=[8]",
    "trainer.batch_size=20",
    f"trainer.epochs={EPOCHS}",
    "model.dropout=0.3",
    "model.batch_normalization=true",
    "trainer.class_weight=balanced",
)
KINDS = {
    "callbacks": (*RICH, *CALLBACKS, "optimizer.learning_rate=0.02"),
    "schedule": (*RICH, "optimizer.schedule={name: cosine_decay}", "optimizer.use_ema=true"),
}


def trials(kind: str, folder: Path) -> list[Trial]:
    """Five trials: one more than a program has lanes, so that one begins when another has ended."""
    made_of = made.trials(*[(*KINDS[kind], f"seed={seed}") for seed in range(5)])
    return [
        Trial(each.key, each.prepared, Checkpointing(folder / str(each.key), each.prepared.fingerprint, every_epochs=1))
        for each in made_of
    ]


def run(these: Sequence[Trial]) -> dict[int, LaneResult]:
    results = [result for result in fused.run_trials(these, threads=1) if isinstance(result, LaneResult)]
    assert all(result.status == "finished" for result in results), [result.reason for result in results]
    return {result.trial.key: result for result in results}


# A program that runs the trials, and is killed after so many epochs of lanes have been told.
KILLED = """
import os, signal, sys
from pathlib import Path

sys.path[:0] = {path!r}
import test_lane_checkpoints as tests
from kexp import fused

told = 0

def tell(trial, epoch, metrics):
    global told
    told += 1
    if told == {after}:
        os.kill(os.getpid(), signal.SIGKILL)

list(fused.run_trials(tests.trials({kind!r}, Path({folder!r})), on_epoch=tell, threads=1))
"""


def kill(kind: str, folder: Path, after: int) -> None:
    here = Path(__file__).parent
    code = KILLED.format(path=[str(here), str(here.parent)], after=after, kind=kind, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == -9, done.stderr


@cache
def whole(kind: str) -> dict[int, LaneResult]:
    """What nothing happened to."""
    return run([Trial(each.key, each.prepared) for each in trials(kind, Path())])


def killed_and_resumed(kind: str, after: int, folder: Path) -> list[LaneResult]:
    """What comes out of lanes that are killed after so many epochs and go on: what comes out of whole ones."""
    kill(kind, folder, after)
    results = run(trials(kind, folder))
    for key, result in results.items():
        expected = whole(kind)[key]
        made.assert_same_bits(result, expected)
        assert result.history.stopped == expected.history.stopped
        assert result.history.best_epoch == expected.history.best_epoch
    return list(results.values())


def test_killed_lanes_end_as_lanes_that_nothing_happened_to(tmp_path: Path) -> None:
    """With dropout, batch normalisation, class weights and callbacks."""
    results = killed_and_resumed("callbacks", 14, tmp_path)
    assert any(result.history.resumed_from for result in results)
    assert not any(result.history.notices for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("after", [5, 8, 9, 16, 19, 22, 24])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_lanes_resume_exactly_at_every_point(kind: str, after: int, tmp_path: Path) -> None:
    """The same, and with a schedule and averaged weights."""
    results = killed_and_resumed(kind, after, tmp_path)
    assert any(result.history.resumed_from for result in results)
    assert not any(result.history.notices for result in results)


def stopped(trial: Trial, after: int) -> None:
    """A checkpoint of each epoch until then, as a lane that is pruned leaves them."""
    (result,) = fused.run_trials([trial], on_epoch=lambda _, epoch, __: "enough" if epoch == after else None)
    assert isinstance(result, LaneResult)
    assert result.status == "pruned"


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path: Path) -> None:
    trial = trials("callbacks", tmp_path)[0]
    stopped(trial, 4)
    newest = tmp_path / "0" / "epoch-00000003.checkpoint"
    newest.write_bytes(newest.read_bytes()[:-7])
    (result,) = fused.run_trials([trial])
    assert isinstance(result, LaneResult)
    made.assert_same_bits(result, whole("callbacks")[0])
    assert result.history.resumed_from == 2
    (notice,) = result.history.notices
    assert "epoch-00000003.checkpoint is damaged" in notice
    assert "resumes from the previous one, after epoch 2" in notice


def test_a_lane_starts_anew_in_a_program_of_another_width_and_says_so(tmp_path: Path) -> None:
    trial = trials("callbacks", tmp_path)[0]
    stopped(trial, 4)
    (result,) = fused.run_trials([trial], width=2)
    assert isinstance(result, LaneResult)
    assert result.history.resumed_from == 0
    made.assert_same_bits(result, fused.train_one(trial.prepared, width=2))
    assert result.history.notices == [
        "the checkpoint does not fit: it was taken in a program of 4 lanes (scan), "
        "this is a program of 2 lanes (scan); "
        "training starts from the beginning"
    ]


def test_lanes_that_end_before_a_checkpoint_is_due_write_none(tmp_path: Path) -> None:
    trial = trials("callbacks", tmp_path)[0]
    seconds = Checkpointing(tmp_path / "late", trial.prepared.fingerprint, every_epochs=None, every_seconds=600.0)
    list(fused.run_trials([Trial(0, trial.prepared, seconds)]))
    assert not (tmp_path / "late").exists()


def alone(command: Sequence[str], folder: Path, killed_in: int = 0) -> experiment.Result:
    """One experiment, interrupted in an epoch."""

    def interrupt(epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == killed_in:
            raise KeyboardInterrupt

    return experiment.run(check(plain(compose([*made.SMALL, *command]))), folder, listeners=[interrupt])


def test_one_experiment_resumes_by_the_same_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["trainer=compiled", *KINDS["callbacks"], "trainer.checkpoint=true", "trainer.checkpoint_epochs=1"]
    expected = alone([*command, "trainer.verbose=0"], tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        alone([*command, "trainer.verbose=0"], tmp_path / "run", killed_in=5)
    result = alone([*command, "trainer.verbose=2"], tmp_path / "run")
    assert result.history.resumed_from == 4
    assert result.history.epochs == expected.history.epochs
    assert result.metrics == expected.metrics
    for ours, theirs in zip(result.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["5/6", "6/6"]
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_a_checkpoint_of_the_ordinary_loop_is_not_taken_for_one_of_a_lane(tmp_path: Path) -> None:
    command = [*RICH, "trainer.checkpoint=true", "trainer.checkpoint_epochs=1", "trainer.verbose=0", "save=none"]
    with pytest.raises(KeyboardInterrupt):
        alone(command, tmp_path, killed_in=3)
    assert list((tmp_path / "checkpoint").iterdir())
    with pytest.raises(ConfigError, match="holds a checkpoint of another experiment"):
        alone([*command, "trainer=compiled"], tmp_path)
