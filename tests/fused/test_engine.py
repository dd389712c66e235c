"""Trials as lanes: the same result as Keras' fit, and the same bits whatever is around a lane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import made
import numpy as np
import pytest

from kexp import fused
from kexp.fused import Fallback, LaneResult, Trial

RICH = (
    *made.BRIEF,
    "model.dropout=0.2",
    "model.batch_normalization=true",
    "model.kernel_regularizer={name: l2, l2: 0.001}",
    "trainer.class_weight=balanced",
    "optimizer.weight_decay=0.001",
    "optimizer.epsilon=0.001",  # a bias before a normalisation has a gradient of rounding alone, which is to stay small
)


def run(trials: list[Trial], **how: Any) -> dict[Any, LaneResult]:
    found = {}
    for result in fused.run_trials(trials, **how):
        assert isinstance(result, LaneResult), result.reason
        found[result.trial.key] = result
    return found


@pytest.fixture(scope="module")
def rich() -> dict[Any, LaneResult]:
    """Seven lanes of dropout, batch normalisation, L2, class weights and weight decay, every one with other numbers."""
    each = [
        (
            *RICH,
            f"seed={seed}",
            f"optimizer.learning_rate={0.001 * (seed + 1)}",
            f"model.dropout={0.1 + seed / 20}",
            f"optimizer.beta_1={0.8 + seed / 100}",
            f"model.kernel_regularizer.l2={0.001 / (seed + 1)}",
            f"trainer.epochs={2 + seed % 3}",
        )
        for seed in range(7)
    ]
    trials = made.trials(*each)
    planned = fused.plan(trials)
    assert [len(group.trials) for group in planned.groups] == [7]
    assert not planned.groups[0].structure.constants
    return run(trials, planned=planned, threads=2)


@pytest.mark.parametrize("key", [0, 5])
def test_lane_ends_as_keras_fit_does(rich: dict[Any, LaneResult], key: int) -> None:
    made.assert_same_as_fit(rich[key])


def test_lane_alone_gives_the_bits_it_gives_among_others(rich: dict[Any, LaneResult]) -> None:
    made.assert_same_bits(fused.train_one(rich[6].trial.prepared), rich[6])


def test_lane_gives_the_same_bits_with_other_neighbours_in_another_place_while_they_are_pruned(
    rich: dict[Any, LaneResult],
) -> None:
    order = [5, 2, 6, 1, 0]

    def prune(trial: Trial, epoch: int, metrics: Mapping[str, float]) -> str | None:
        return "the sweeper has seen enough" if trial.key in (5, 1) and epoch == 1 else None

    again = run([rich[key].trial for key in order], on_epoch=prune, threads=1)
    assert (again[5].status, again[5].reason, len(again[5].history)) == ("pruned", "the sweeper has seen enough", 1)
    for key in (2, 6, 0):
        made.assert_same_bits(again[key], rich[key])


def test_initial_weights_are_those_of_a_single_run() -> None:
    from kexp.experiment import build_compiled

    trials = made.trials(
        *[(*made.BRIEF, "optimizer=sgd", "optimizer.learning_rate=1e-30", f"seed={s}") for s in (3, 4)]
    )
    for result in run(trials).values():
        for ours, theirs in zip(result.weights, build_compiled(result.trial.prepared).get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-25)  # the rate moves what is zero alone


def test_model_of_a_lane_is_the_model_that_a_single_run_ends_with(rich: dict[Any, LaneResult]) -> None:
    model = rich[1].build_model()
    for ours, theirs in zip(model.get_weights(), rich[1].weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(model.optimizer.iterations.value) == 5 * len(rich[1].history)


def test_early_stopping_differs_by_lane_and_restores_what_keras_restores() -> None:
    stopping = (*made.BRIEF, "callbacks=[early_stopping]", "trainer.epochs=8", "optimizer.learning_rate=0.05")
    trials = made.trials(
        (*stopping, "callbacks.early_stopping.patience=1", "callbacks.early_stopping.restore_best_weights=true"),
        (*stopping, "callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=0.01", "seed=1"),
    )
    results = run(trials)
    assert any(len(result.history) < 8 for result in results.values())
    for result in results.values():
        made.assert_same_as_fit(result, rtol=2e-4, atol=2e-5)
        assert ("EarlyStopping" in result.reason) == (len(result.history) < 8)


def test_diverging_lane_ends_alone_with_the_reason() -> None:
    bad = ("optimizer=sgd", "optimizer.learning_rate=1e30", "loss=mean_squared_error", "activation=linear")
    good = ("optimizer=sgd", "optimizer.learning_rate=0.01", "loss=mean_squared_error", "activation=linear")
    results = run(made.trials((*made.BRIEF, *bad), (*made.BRIEF, *good)))
    assert results[0].status == "diverged"
    assert "the loss became" in results[0].reason
    assert results[1].status == "finished"
    assert len(results[1].history) == 3


def test_callback_that_watches_batches_falls_back_with_a_sentence() -> None:
    trial = made.trials((*made.BRIEF, "callbacks=[model_checkpoint]", "callbacks.model_checkpoint.filepath=x.keras"))
    (only,) = fused.run_trials(trial)
    assert isinstance(only, Fallback)
    assert "callbacks.model_checkpoint" in only.reason


@pytest.mark.parametrize("reference", ["weighted", "labels", "tags", "forecast", "autoencoder"])
def test_lanes_of_any_targets_and_weights_equal_fit(reference: str) -> None:
    small = ("model.hidden=[6]", "trainer.epochs=2", "trainer.batch_size=32")
    each = [(f"data=brought:{reference}", *small, f"seed={seed}", "data.split_seed=0") for seed in (1, 2)]
    trials = [Trial(number, made.prepared_from(*overrides)) for number, overrides in enumerate(each)]
    results = list(fused.run_trials(trials))
    for result in results:
        assert isinstance(result, LaneResult), result
        made.assert_same_as_fit(result)
