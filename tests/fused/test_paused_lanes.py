"""Lanes that are paused between two epochs and resume later, and numbers that change while a lane trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import made
import numpy as np
import pytest

from kexp import fused, training
from kexp.errors import ConfigError
from kexp.experiment import build_compiled, feeds
from kexp.experiment.compiled import training_plan
from kexp.fused import LaneResult, Trial

STATEFUL = (
    *made.BRIEF,
    "trainer.epochs=6",
    "model.dropout=0.2",
    "model.batch_normalization=true",
    "callbacks=[early_stopping,reduce_lr_on_plateau]",
    "callbacks.early_stopping.patience=4",
    "callbacks.reduce_lr_on_plateau.patience=1",
    "callbacks.reduce_lr_on_plateau.min_delta=0.05",
)


def run(trials: list[Trial], **how: Any) -> dict[Any, LaneResult]:
    found = {}
    for result in fused.run_trials(trials, **how):
        assert isinstance(result, LaneResult), result
        assert result.status != "failed", result.reason
        found[result.trial.key] = result
    return found


def test_paused_lanes_resume_to_the_bits_of_lanes_that_were_not_paused() -> None:
    trials = made.trials(
        *[(*STATEFUL, f"seed={seed}", f"optimizer.learning_rate={0.02 + seed / 50}") for seed in range(6)]
    )
    session = fused.Session()
    whole = run(trials, session=session)
    first = run([replace(trial, pause_at=2) for trial in trials], session=session)
    assert {result.status for result in first.values()} == {"paused"}
    again = [
        replace(first[key].trial, pause_at=4, resume_from=first[key].paused) for key in (4, 0, 5)
    ]  # in other slots
    second = run(again, session=session)
    last = run(
        [replace(each.trial, pause_at=None, resume_from=each.paused) for each in second.values()], session=session
    )
    assert sorted(last) == [0, 4, 5]
    for key, result in last.items():
        made.assert_same_bits(result, whole[key])
    rates = [metrics["learning_rate"] for _, metrics in whole[0].history.epochs]
    assert rates[0] != rates[-1]  # else the callbacks' state would not have mattered


def test_copy_of_a_paused_lane_has_its_past_and_its_own_numbers_from_then_on() -> None:
    base = (
        *made.BRIEF,
        "trainer.engine=compiled",
        "trainer.epochs=5",
        "model.kernel_regularizer={name: l2, l2: 0.001}",
    )
    changes = "trainer.changes={optimizer.learning_rate:{2:0.02},model.kernel_regularizer.l2:{2:0.01,4:0.005}}"
    donor, copy = made.trials(
        (*base, "optimizer.learning_rate=0.005"), (*base, "optimizer.learning_rate=0.005", changes)
    )
    session = fused.Session()
    paused = run([replace(donor, pause_at=2)], session=session)[0].paused
    assert paused is not None
    found = run([replace(donor, resume_from=paused), replace(copy, resume_from=paused)], session=session)
    kept, copied = found[0].history.epochs, found[1].history.epochs
    assert [metrics["val_loss"] for _, metrics in kept[:2]] == [metrics["val_loss"] for _, metrics in copied[:2]]
    assert kept[2][1]["loss"] != copied[2][1]["loss"]
    told = [(metrics["optimizer.learning_rate"], metrics["model.kernel_regularizer.l2"]) for _, metrics in copied]
    assert told == [(0.005, 0.001), (0.005, 0.001), (0.02, 0.01), (0.02, 0.01), (0.02, 0.005)]
    made.assert_same_bits(fused.train_one(copy.prepared), found[1])  # its config alone says all of it

    model = build_compiled(copy.prepared)
    train, validation, _ = feeds(copy.prepared)
    plan = training_plan(copy.prepared.experiment)
    losses = []
    for start, end, rate, l2 in ((0, 2, 0.005, 0.001), (2, 4, 0.02, 0.01), (4, 5, 0.02, 0.005)):
        model.optimizer.learning_rate = rate
        for layer in model.layers:
            if getattr(layer, "kernel_regularizer", None) is not None:
                layer.kernel_regularizer.l2 = l2
        model.train_function = model.test_function = None  # traced anew, with the number that it has now
        history = training.fit(model, train, validation, replace(plan, initial_epoch=start, epochs=end))
        losses += [(metrics["loss"], metrics["val_loss"]) for _, metrics in history.epochs]
    np.testing.assert_allclose([(m["loss"], m["val_loss"]) for _, m in copied], losses, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ("optimizer.learning_rat:{2:0.1}", "did you mean 'optimizer.learning_rate'"),
        ("optimizer.learning_rate:{3:0.1}", "trainer.changes.optimizer.learning_rate: must name epochs"),
        ("optimizer.learning_rate:{1:-1}", "trainer.changes.optimizer.learning_rate.1: must be greater than 0"),
        ("model.hidden:{1:3}", "trainer.changes.model.hidden: "),
        ("model.kernel_initializer.stddev:{1:0.3}", "it is read at the beginning alone"),
    ],
)
def test_change_that_cannot_be_is_refused_in_a_sentence(changes: str, sentence: str) -> None:
    initial = "model.kernel_initializer={name: random_normal, stddev: 0.05}"
    (trial,) = made.trials((*made.BRIEF, "trainer.engine=compiled", initial, f"trainer.changes={{{changes}}}"))
    with pytest.raises(ConfigError) as refused:
        fused.train_one(trial.prepared)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
