"""An embedding has a row for every number in the data, and batches of one size are that size, or a sentence says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_steps import ROWS, loss_of_a_step

from kexp.errors import ConfigError, KexpError

WORDS = np.arange(ROWS * 6).reshape(ROWS, 6) % 9


def embedding(size: int, before: str = "") -> str:
    return f"[{before}{{name: Embedding, input_dim: {size}, output_dim: 3}}, Flatten]"


def test_an_embedding_of_as_many_rows_as_there_are_numbers_trains() -> None:
    assert np.isfinite(loss_of_a_step(embedding(9), WORDS))


@pytest.mark.parametrize(
    ("layers", "x", "said"),
    [
        (
            embedding(8),
            WORDS,
            "model.layers[0].input_dim: must be at least 9, as the highest number in the rows is 8, got 8",
        ),
        (
            embedding(8, "{name: Input, shape: [6], dtype: int32}, "),
            WORDS,
            "model.layers[1].input_dim: must be at least 9",
        ),
        (embedding(5, "{name: Reshape, target_shape: [6]}, "), WORDS, "model.layers[1].input_dim: must be at least 9"),
        (embedding(9), WORDS - 1, "data: rows must hold whole numbers of 0 or more for an Embedding, got -1"),
        (
            embedding(9, "{name: Input, shape: [6], dtype: string}, "),
            WORDS,
            "model.layers[0].dtype: must be a type of numbers, as the data's rows are numbers, got string",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(layers: str, x: Any, said: str) -> None:
    with pytest.raises(KexpError) as raised:
        loss_of_a_step(layers, x)
    assert said in str(raised.value)


def test_a_stateful_layer_has_batches_of_one_size() -> None:
    x = np.zeros((ROWS, 6, 2), np.float32)
    layers = "[{name: Input, batch_shape: [%d, 6, 2]}, {name: GRU, units: 3, stateful: true}]"
    with pytest.raises(
        ConfigError, match=r"^trainer\.batch_size: must be 3, the rows that the model's Input takes, got 4"
    ):
        loss_of_a_step(layers % 3, x)
    with pytest.raises(ConfigError, match=r"must leave train rows in batches of 4 alone, .* got 6 rows"):
        loss_of_a_step(layers % 4, x)
    parts = ("data.test_split=0.34", "trainer.validation_split=0.5")
    assert np.isfinite(loss_of_a_step(layers % 4, x, None, *parts))
