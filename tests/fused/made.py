"""Trials for the tests: composed as the command line composes them, small enough to compile quickly."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexp import training
from kexp.build import build_callbacks
from kexp.config import compose, plain
from kexp.experiment import Prepared, build_compiled, feeds, prepare
from kexp.experiment.compiled import training_plan
from kexp.fused import LaneResult, Trial
from kexp.schema import check

DATA = ("data=random", "data.rows=150", "data.features=6", "data.classes=3")
SMALL = ("backend=jax", "tracking=none", *DATA)
BRIEF = ("model.hidden=[8]", "trainer.epochs=3", "trainer.batch_size=20")


def prepared(*overrides: str) -> Prepared:
    """A trial of three classes, 6 features, 96 training rows in batches of 20 and a last of 16; or of other data."""
    small = () if any(each.startswith("data=") for each in overrides) else DATA
    return prepared_from(*small, *overrides)


def prepared_from(*overrides: str) -> Prepared:
    """A trial of any data."""
    training.prepare_backend("jax")
    return prepare(check(plain(compose(["backend=jax", "tracking=none", *overrides]))))


def trials(*each: tuple[str, ...]) -> list[Trial]:
    return [Trial(number, prepared(*overrides)) for number, overrides in enumerate(each)]


def keras_fit(trial: Prepared) -> tuple[Any, Any, dict[str, float]]:
    """What a single run does: the model, its history and its test metrics."""
    model = build_compiled(trial)
    train, validation, test = feeds(trial)
    callbacks = build_callbacks(trial.experiment.callbacks)
    history = training.fit(model, train, validation, training_plan(trial.experiment), callbacks=callbacks)
    return model, history, {} if test is None else training.evaluate(model, test)


def assert_same_as_fit(result: LaneResult, rtol: float = 2e-5, atol: float = 2e-6) -> None:
    """A lane's history, test metrics and weights are `keras.fit`'s, to rounding."""
    model, history, tested = keras_fit(result.trial.prepared)
    assert result.status == "finished", result.reason
    assert [epoch for epoch, _ in result.history.epochs] == [epoch for epoch, _ in history.epochs]
    for (_, ours), (_, theirs) in zip(result.history.epochs, history.epochs, strict=True):
        assert set(ours) == set(theirs)
        np.testing.assert_allclose([ours[key] for key in theirs], list(theirs.values()), rtol=rtol, atol=atol)
    assert set(result.test) == set(tested)
    np.testing.assert_allclose([result.test[key] for key in tested], list(tested.values()), rtol=rtol, atol=atol)
    for ours, theirs in zip(result.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def assert_same_bits(one: LaneResult, other: LaneResult) -> None:
    """Two results are equal to the last bit: histories, tests, weights and optimizer."""
    np.testing.assert_equal(one.history.epochs, other.history.epochs)  # unlike ==, takes NaN for equal to NaN
    np.testing.assert_equal(one.test, other.test)
    assert one.state is not None and other.state is not None
    for name in ("trainable", "non_trainable", "optimizer"):
        for ours, theirs in zip(getattr(one.state, name), getattr(other.state, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
