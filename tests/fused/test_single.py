"""`trainer=compiled`: one experiment through the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made import BRIEF, SMALL, assert_same_as_fit, trials

import kexp
from kexp.errors import ConfigError, TrainingError
from kexp.experiment import prepare
from kexp.fused import run_trials

PLAIN = [each for each in SMALL if not each.startswith("backend")]
ALONE = ["trainer=compiled", *PLAIN, *BRIEF, "trainer.verbose=0", "seed=4"]


def test_one_experiment_equals_its_lane_to_the_last_bit(tmp_path: Path) -> None:
    result = kexp.run(ALONE, folder=tmp_path / "run")
    lanes = {
        lane.trial.key: lane
        for lane in run_trials(trials(*[(*BRIEF, "trainer.engine=compiled", f"seed={seed}") for seed in range(6)]))
    }
    assert result.experiment.backend == "jax"
    assert result.history.epochs == lanes[4].history.epochs
    for ours, theirs in zip(result.model.get_weights(), lanes[4].weights, strict=True):
        assert np.array_equal(ours, theirs)
    tested = {key.removeprefix("test_"): value for key, value in result.metrics.items() if key.startswith("test_")}
    assert tested == lanes[4].test
    assert_same_as_fit(lanes[4])
    assert (tmp_path / "run" / "saved" / "model.h5").exists()


def test_the_number_of_lanes_is_the_trial_s_own_and_decides_the_bits(tmp_path: Path) -> None:
    narrow = "fused.max_lanes=2"
    results = run_trials(trials(*[(*BRIEF, narrow, f"seed={seed}") for seed in (4, 5, 6)], (*BRIEF, "seed=4")))
    lanes = {lane.trial.key: lane for lane in results}
    assert [lanes[key].width for key in range(4)] == [2, 2, 2, 4]
    alone = kexp.run([*ALONE, narrow], folder=tmp_path / "narrow")
    for ours, theirs in zip(alone.model.get_weights(), lanes[0].weights, strict=True):
        assert np.array_equal(ours, theirs)
    wide = kexp.run(ALONE, folder=tmp_path / "wide")
    strict = kexp.run([*ALONE, "fused.strict=true", "fused.threads=1"], folder=tmp_path / "strict")
    assert wide.fingerprint == strict.fingerprint != alone.fingerprint


@pytest.mark.parametrize("engine", ["fit", "compiled"])
def test_a_batch_larger_than_the_rows_is_one_of_all_rows(tmp_path: Path, engine: str) -> None:
    common = [*PLAIN, "backend=jax", f"trainer.engine={engine}", "trainer.epochs=3", "trainer.verbose=0", "save=none"]
    more = kexp.run([*common, "trainer.batch_size=100000"], folder=tmp_path / "more")
    rows = prepare(more.experiment).batch_size
    assert 0 < rows < 100000
    all_ = kexp.run([*common, f"trainer.batch_size={rows}"], folder=tmp_path / "all")
    assert more.history.epochs == all_.history.epochs


def test_listeners_hear_each_epoch_and_a_diverged_training_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kexp.run([*ALONE, "trainer.verbose=2"], folder=tmp_path / "told")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    with pytest.raises(TrainingError, match="the loss became"):
        kexp.run([*ALONE, "optimizer=sgd", "optimizer.learning_rate=1e30"], folder=tmp_path / "diverged")


def test_what_cannot_be_a_lane_is_refused_by_name(tmp_path: Path) -> None:
    kept = "+callbacks.kept={name: model_checkpoint, filepath: best.keras}"
    with pytest.raises(ConfigError, match=r"compiled cannot run this experiment; callbacks\.kept: ModelCheckpoint"):
        kexp.run([*ALONE, kept], folder=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"backend: must be jax with trainer\.engine=compiled, got 'tensorflow'"):
        kexp.run([*ALONE, "backend=tensorflow"], folder=tmp_path / "run")
