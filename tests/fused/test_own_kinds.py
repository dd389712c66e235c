"""Custom parts as people write them, as lanes of one sweep: what Keras' fit makes of them."""

from __future__ import annotations

import made
import own_kind_rows as rows
import pytest

from kexp import fused


def _check(names: list[str]) -> None:
    results = list(fused.run_trials(made.trials(*(rows.overrides(name) for name in names))))
    reasons = {names[result.trial.key]: result.reason for result in results if result.reason}
    assert all(name in rows.NO_LANES and "within epochs" in reason for name, reason in reasons.items()), reasons
    for result in results:
        if not result.reason:
            made.assert_same_as_fit(result)


def test_they_are_lanes_that_end_as_keras_fit_does() -> None:
    _check(list(rows.QUICK))


@pytest.mark.slow
def test_a_bias_before_a_softmax_is_rounding_alone() -> None:
    """Plain Keras against itself, compiled and step by step: Adam moves the bias as rounding has it, SGD does not.

    All other weights end alike. What is compared elsewhere is to end within 2e-6.
    """
    import keras
    import numpy as np
    import own_kinds

    def spread(optimizer: str) -> float:
        ends = []
        for eagerly in (False, True):
            rng = np.random.default_rng(0)
            attention = own_kinds.AttentionPooling()
            model = keras.Sequential(
                [keras.Input((4,)), keras.layers.Dense(8), attention, keras.layers.Dense(3, "softmax")]
            )
            model.set_weights([rng.normal(size=weight.shape, scale=0.5) for weight in model.get_weights()])
            model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=eagerly)
            model.fit(rng.normal(size=(96, 4)), rng.integers(0, 3, 96), shuffle=False, verbose=0, epochs=20)
            ends.append(model.get_weights())
            bias = [weight is attention.score.bias for weight in model.weights].index(True)
        apart = [float(np.abs(one - other).max()) for one, other in zip(*ends, strict=True)]
        assert all(each < 1e-5 for place, each in enumerate(apart) if place != bias), apart
        return apart[bias]

    assert spread("adam") > 2e-6 > 100 * spread("sgd")


@pytest.mark.slow
def test_more_of_them_are_lanes_too() -> None:
    _check([*rows.HABITS, *rows.SLOW])
