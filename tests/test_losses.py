"""Is it the categorical crossentropy?"""

from __future__ import annotations

import functools

import keras
import pytest

from kexp.losses import is_categorical_crossentropy


def categorical_crossentropy(y_true: float, y_pred: float) -> float:
    """A stranger's function of the same name."""
    return y_true - y_pred


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        "CategoricalCrossentropy",
        keras.losses.categorical_crossentropy,
        keras.losses.CategoricalCrossentropy,
        keras.losses.CategoricalCrossentropy(from_logits=True),
        functools.partial(keras.losses.categorical_crossentropy, label_smoothing=0.1),
        type("Mine", (keras.losses.CategoricalCrossentropy,), {}),
        keras.losses.serialize(keras.losses.CategoricalCrossentropy()),
        keras.losses.serialize(keras.losses.categorical_crossentropy),
        keras.losses.get("categorical_crossentropy"),
    ],
)
def test_categorical_crossentropy_is_known_in_every_form(loss: object) -> None:
    assert is_categorical_crossentropy(loss) is True


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "categorical_hinge",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.CategoricalFocalCrossentropy,
        keras.losses.MeanSquaredError(),
        keras.losses.serialize(keras.losses.MeanSquaredError()),
        categorical_crossentropy,
        None,
        3,
    ],
)
def test_other_losses_are_not_it(loss: object) -> None:
    assert is_categorical_crossentropy(loss) is False
