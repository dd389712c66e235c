"""The catalogue's metrics against their formulae."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kexp.build import build_metrics
from kexp.schema import component_node

Array = Any


def measured(name: str, batches: list[tuple[Array, Array]], **parameters: Any) -> float:
    (metric,) = build_metrics({"mine": component_node("metrics", {"name": name, **parameters}, "metrics.mine")})
    for y, p in batches:
        metric.update_state(y, p)
    assert metric.name == "mine"
    return float(metric.result())


@pytest.fixture
def batches() -> list[tuple[Array, Array]]:
    """Class indices and shares of 7 classes, in two batches of different size."""
    rng = np.random.default_rng()
    return [(rng.integers(7, size=rows), rng.dirichlet(np.ones(7), size=rows).astype(np.float32)) for rows in (11, 5)]


def one_hot(batches: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    return [(np.eye(7, dtype=np.float32)[y], p) for y, p in batches]


def test_categorical_accuracies_count_the_largest_share(batches: list[tuple[Array, Array]]) -> None:
    expected = np.concatenate([p.argmax(-1) == y for y, p in batches]).mean()
    assert measured("sparse_categorical_accuracy", batches) == pytest.approx(expected)
    assert measured("categorical_accuracy", one_hot(batches)) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_accuracies_count_the_k_largest_shares(k: int, batches: list[tuple[Array, Array]]) -> None:
    hits = [(np.argsort(-p, axis=-1)[:, :k] == y[:, None]).any(-1) for y, p in batches]
    expected = np.concatenate(hits).mean()
    assert measured("sparse_top_k_categorical_accuracy", batches, k=k) == pytest.approx(expected)
    assert measured("top_k_categorical_accuracy", one_hot(batches), k=k) == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_binary_accuracy_cuts_at_the_threshold(threshold: float) -> None:
    rng = np.random.default_rng()
    y, p = rng.integers(2, size=(9, 1)), rng.uniform(size=(9, 1)).astype(np.float32)
    expected = ((p > threshold) == (y == 1)).mean()
    assert measured("binary_accuracy", [(y, p)], threshold=threshold) == pytest.approx(expected)


@pytest.mark.parametrize("form", ["class_index", "one_hot", "column"])
def test_accuracy_is_chosen_by_targets_and_output(form: str) -> None:
    rng = np.random.default_rng()
    p = rng.dirichlet(np.ones(4), size=12).astype(np.float32)
    index = rng.integers(4, size=12)
    loss, y, expected = {
        "class_index": ("sparse_categorical_crossentropy", index, p.argmax(-1) == index),
        "one_hot": ("categorical_crossentropy", np.eye(4, dtype=np.float32)[index], p.argmax(-1) == index),
        "column": ("binary_crossentropy", (index % 2)[:, None], (p[:, :1] > 0.5) == (index % 2)[:, None]),
    }[form]
    x = p[:, :1] if form == "column" else p
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Activation("linear")])
    model.compile(
        loss=loss, metrics=build_metrics({"accuracy": component_node("metrics", "accuracy", "m")}), run_eagerly=True
    )
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] == pytest.approx(expected.mean())
