"""Graphs of layers and classes with a call of their own, as lanes: what Keras' fit makes of them."""

from __future__ import annotations

from pathlib import Path

import made
import numpy as np
import pytest

import kexp
from kexp import fused

IRIS = ("data=iris", "trainer.epochs=2")
MODELS = ("two_ways", "Residual", "stacked", "Weighed", "by_lambda", "ready", "shared_and_nested")


@pytest.mark.parametrize("name", MODELS)
def test_any_model_is_a_lane_and_ends_as_keras_fit_does(name: str) -> None:
    # The gradient of a bias before batch normalization is rounding alone, and Adam makes whole steps of it.
    optimizer = "sgd" if name == "Weighed" else "adam"
    chosen = [
        (*IRIS, f"model=own_models:{name}", f"seed={seed}", f"optimizer={optimizer}", f"optimizer.learning_rate={rate}")
        for seed, rate in ((1, 0.01), (2, 0.02))
    ]
    results = list(fused.run_trials(made.trials(*chosen)))
    assert len(results) == 2
    for result in results:
        made.assert_same_as_fit(result)


def test_a_training_step_of_ones_own_is_no_lane_and_the_reason_names_it() -> None:
    (result,) = fused.run_trials(made.trials((*IRIS, "model=own_models:Scaled")))
    assert "Scaled has a train_step of its own" in result.reason


def test_a_rate_that_the_models_own_optimizer_follows_is_a_lanes_number() -> None:
    chosen = [(*IRIS, "model=own_models:compiled", f"seed={seed}", f"model.rate={0.02 * seed}") for seed in (1, 2)]
    trials = made.trials(*chosen)
    planned = fused.plan(trials)
    assert [len(group.trials) for group in planned.groups] == [2]
    for result in fused.run_trials(trials, planned=planned):
        made.assert_same_as_fit(result)


@pytest.mark.parametrize("changed", [(), ("data.classes=4", "model.trainable=none"), ("trainer.initial_epoch=1",)])
def test_lanes_begin_with_the_weights_of_a_run(
    changed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    saving = ("save.formats=[keras]", "save.model=false", "tracking.figures=false", "trainer.verbose=0")
    first = kexp.run(["backend=jax", *made.DATA, *made.BRIEF, *saving, "trainer.epochs=1"], folder="outputs/first")
    begun = (*made.DATA, "model=saved", f"model.run={first.run_id}", "trainer.epochs=3", "trainer.batch_size=20")
    chosen = [(*begun, f"seed={seed}", f"optimizer.learning_rate={0.01 * seed}", *changed) for seed in (1, 2)]
    trials = made.trials(*chosen)
    planned = fused.plan(trials)
    assert [len(group.trials) for group in planned.groups] == [2]
    for result in fused.run_trials(trials, planned=planned):
        made.assert_same_as_fit(result)
        if "model.trainable=none" in changed:
            for ours, theirs in zip(result.weights[:-2], first.model.get_weights()[:-2], strict=True):
                np.testing.assert_array_equal(ours, theirs)
