from __future__ import annotations

import numpy as np
import pytest

from kexp.data import arrays, class_weights, split
from kexp.errors import ConfigError


def _part(y: object) -> object:
    return split(arrays(np.zeros((len(y), 1)), y), test=0, validation=0).train  # type: ignore[arg-type]


def test_balanced_weights_make_classes_weigh_the_same(random: np.random.Generator) -> None:
    counts = random.integers(1, 50, size=4)
    weights = class_weights(_part(np.repeat(np.arange(4), counts)), "balanced")
    assert weights is not None
    expected = counts.sum() / (4 * counts)
    assert np.allclose([weights[index] for index in range(4)], expected)


def test_weights_go_by_name_or_index_and_are_one_where_left_out() -> None:
    part = _part(["cat", "dog", "emu"])
    assert class_weights(part, {"dog": 2, 2: 3.5}) == {0: 1.0, 1: 2.0, 2: 3.5}
    assert class_weights(part, None) is None


@pytest.mark.parametrize(
    ("y", "spec", "message"),
    [
        (["a", "b"], {"c": 1}, "trainer.class_weight: there is no class 'c'; there are: a, b"),
        (["a", "b"], {"a": -1}, "trainer.class_weight.a: must be a number of at least 0, got -1"),
        (["a", "b"], "balance", "trainer.class_weight: must be null, balanced or weights by class, got 'balance'"),
        ([0.5, 1.5], "balanced", "trainer.class_weight: needs classes as targets, but the data is a regression"),
    ],
)
def test_class_weights_refuses_in_one_sentence(y: object, spec: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        class_weights(_part(y), spec)  # type: ignore[arg-type]
    assert str(raised.value) == message
