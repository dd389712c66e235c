"""A lane's callbacks have a Keras model with the lane's state: what they see and set is what they would in `fit`."""

from __future__ import annotations

from pathlib import Path

import made
import pytest

from kexp import fused
from kexp.fused import Fallback, LaneResult

BRIEF = (*made.BRIEF, "optimizer.learning_rate=0.01")
AS_IN_FIT = [
    "WeightNorm",
    "WarmRestarts",
    "AveragedWeights",
    "Snapshots",
    "Confusion",
    "OwnRule",
    "KeptKernel",
    "Described",
    "Patient",
]


def one(*overrides: str) -> LaneResult | Fallback:
    (result,) = fused.run_trials(made.trials((*BRIEF, *overrides)), threads=1)
    return result


@pytest.mark.parametrize("name", AS_IN_FIT)
def test_callback_sees_and_sets_what_it_does_in_fit(name: str, workplace: Path) -> None:
    result = one(f"callbacks=[own_callbacks:{name}]")
    assert isinstance(result, LaneResult)
    made.assert_same_as_fit(result)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Freezing", "a callback changes dense_1.trainable of the model"),
        ("SwapsOptimizer", "a callback changes adam.weight_decay of the model"),
        ("LastResults", "LastResults reads the result of the metric loss, which is in its logs"),
        ("Settings", "a callback changes Keras' epsilon, which other trials share"),
        ("Wrong", "ValueError: wrong in epoch 1"),
        ("Leaves", "SystemExit: 4"),
    ],
)
def test_lane_fails_rather_than_go_on_otherwise_than_fit(name: str, reason: str) -> None:
    import keras

    before = keras.config.epsilon()
    result = one(f"callbacks=[own_callbacks:{name}]")
    assert isinstance(result, LaneResult)
    assert (result.status, result.reason) == ("failed", reason)
    assert keras.config.epsilon() == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("GradientNorm", "GradientNorm works with TensorFlow, and a lane's model is on JAX"),
        ("Batches", "Batches wants to be called within epochs (on_train_batch_end)"),
        ("printing", "LambdaCallback wants to be called within epochs (on_train_batch_end)"),
    ],
)
def test_callback_that_no_lane_can_have_is_found_before_it_runs(name: str, reason: str) -> None:
    result = one(f"callbacks=[own_callbacks:{name}]")
    assert isinstance(result, Fallback)
    assert result.reason == f"callbacks.{name}: {reason}"
