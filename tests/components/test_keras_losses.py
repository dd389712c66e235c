"""The catalogue's losses against their formulae."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kexp.build import build_loss
from kexp.schema import component_node

ROWS, COLUMNS = 7, 5
Array = Any


def loss_of(name: str, y: Array, p: Array, **parameters: Any) -> float:
    return float(build_loss(component_node("loss", {"name": name, **parameters}, "loss"))(y, p))


def cross_entropy(y: Array, p: Array) -> Array:
    return -(y * np.log(p)).sum(-1)


def binary_cross_entropy(y: Array, p: Array) -> Array:
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1)


def kullback_leibler(y: Array, p: Array) -> Array:
    return (y * np.log(y / p)).sum(-1)


def huber(y: Array, p: Array, delta: float = 1.0) -> Array:
    error = np.abs(y - p)
    return np.where(error <= delta, error**2 / 2, delta * error - delta**2 / 2).mean(-1)


def cosine(y: Array, p: Array) -> Array:
    return -(y * p).sum(-1) / np.linalg.norm(y, axis=-1) / np.linalg.norm(p, axis=-1)


def draw(rng: np.random.Generator, kind: str) -> tuple[Array, Array]:
    """Targets and predictions of a kind, float32, shape (ROWS, COLUMNS)."""
    shape = (ROWS, COLUMNS)
    positive = rng.uniform(0.1, 3.0, shape), rng.uniform(0.1, 3.0, shape)
    shares = [values / values.sum(-1, keepdims=True) for values in positive]
    one_hot = np.eye(COLUMNS)[rng.integers(COLUMNS, size=ROWS)]
    made = {
        "numbers": (rng.normal(size=shape) * 2, rng.normal(size=shape) * 2),
        "positive": positive,
        "bits": (rng.integers(2, size=shape), rng.uniform(0.05, 0.95, shape)),
        "signs": (rng.integers(2, size=shape) * 2 - 1, rng.normal(size=shape)),
        "one_hot": (one_hot, shares[1]),
        "scores": (one_hot, rng.normal(size=shape)),
        "shares": tuple(shares),
    }[kind]
    return made[0].astype(np.float32), made[1].astype(np.float32)


FORMULAE: list[tuple[str, str, Callable[[Array, Array], Array]]] = [
    ("mean_squared_error", "numbers", lambda y, p: ((y - p) ** 2).mean(-1)),
    ("mean_absolute_error", "numbers", lambda y, p: np.abs(y - p).mean(-1)),
    ("mean_absolute_percentage_error", "positive", lambda y, p: 100 * np.abs((y - p) / y).mean(-1)),
    ("mean_squared_logarithmic_error", "positive", lambda y, p: ((np.log(1 + y) - np.log(1 + p)) ** 2).mean(-1)),
    ("binary_crossentropy", "bits", binary_cross_entropy),
    ("categorical_crossentropy", "one_hot", cross_entropy),
    ("hinge", "signs", lambda y, p: np.maximum(1 - y * p, 0).mean(-1)),
    ("hinge", "bits", lambda y, p: np.maximum(1 - (2 * y - 1) * p, 0).mean(-1)),
    ("squared_hinge", "signs", lambda y, p: (np.maximum(1 - y * p, 0) ** 2).mean(-1)),
    (
        "categorical_hinge",
        "scores",
        lambda y, p: np.maximum(0, 1 + np.where(y == 1, 0, p).max(-1) - (y * p).sum(-1)),
    ),
    ("logcosh", "numbers", lambda y, p: np.log(np.cosh(y - p)).mean(-1)),
    ("huber_loss", "numbers", huber),
    ("kullback_leibler_divergence", "shares", kullback_leibler),
    ("poisson", "positive", lambda y, p: (p - y * np.log(p)).mean(-1)),
    ("cosine_proximity", "numbers", cosine),
]


@pytest.mark.parametrize(("name", "kind", "formula"), FORMULAE, ids=[f"{name}-{kind}" for name, kind, _ in FORMULAE])
def test_loss_equals_its_formula(name: str, kind: str, formula: Callable[[Array, Array], Array]) -> None:
    y, p = draw(np.random.default_rng(), kind)
    assert loss_of(name, y, p) == pytest.approx(formula(y.astype(np.float64), p.astype(np.float64)).mean(), rel=2e-5)


def test_sparse_categorical_crossentropy_is_the_categorical_one_of_indices() -> None:
    y, p = draw(np.random.default_rng(), "one_hot")
    assert loss_of("sparse_categorical_crossentropy", y.argmax(-1), p) == pytest.approx(
        cross_entropy(y, p).mean(), rel=2e-5
    )


def test_crossentropies_take_logits() -> None:
    y, z = draw(np.random.default_rng(), "scores")
    softmax = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    expected = cross_entropy(y, softmax).mean()
    assert loss_of("categorical_crossentropy", y, z, from_logits=True) == pytest.approx(expected, rel=2e-5)
    assert loss_of("sparse_categorical_crossentropy", y.argmax(-1), z, from_logits=True) == pytest.approx(
        expected, rel=2e-5
    )
    assert loss_of("binary_crossentropy", y, z, from_logits=True) == pytest.approx(
        binary_cross_entropy(y, 1 / (1 + np.exp(-z))).mean(), rel=2e-5
    )


def test_label_smoothing_moves_targets_to_the_middle() -> None:
    smoothing = float(np.random.default_rng().uniform(0.05, 0.5))
    y, p = draw(np.random.default_rng(), "one_hot")
    assert loss_of("categorical_crossentropy", y, p, label_smoothing=smoothing) == pytest.approx(
        cross_entropy(y * (1 - smoothing) + smoothing / COLUMNS, p).mean(), rel=2e-5
    )
    y, p = draw(np.random.default_rng(), "bits")
    assert loss_of("binary_crossentropy", y, p, label_smoothing=smoothing) == pytest.approx(
        binary_cross_entropy(y * (1 - smoothing) + smoothing / 2, p).mean(), rel=2e-5
    )


def test_huber_loss_turns_linear_at_delta() -> None:
    delta = float(np.random.default_rng().uniform(0.3, 2.0))
    y, p = draw(np.random.default_rng(), "numbers")
    assert loss_of("huber", y, p, delta=delta) == pytest.approx(huber(y, p, delta).mean(), rel=2e-5)


def test_certainty_of_the_wrong_class_stays_finite() -> None:
    y, p = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[1, 2, 0]]
    for name in ("binary_crossentropy", "categorical_crossentropy", "kullback_leibler_divergence", "poisson"):
        assert np.isfinite(loss_of(name, y, p)), name
    assert np.isfinite(loss_of("sparse_categorical_crossentropy", np.arange(3), p))
