from __future__ import annotations

import numpy as np
import pytest

from kexp.errors import LoadError
from kexp.stored.predictions import NamedOutputs


def reading(classes: tuple[str, ...] | None, activation: str, *, from_logits: bool = False) -> NamedOutputs:
    return NamedOutputs(classes, (), activation, from_logits)


def test_classes_are_read_off_probabilities() -> None:
    outputs = np.random.default_rng().dirichlet(np.ones(3), size=20)
    columns = reading(("a", "b", "c"), "softmax").columns(outputs)
    assert list(columns) == ["class", "p_a", "p_b", "p_c"]
    assert columns["class"].tolist() == ["abc"[index] for index in outputs.argmax(axis=1)]
    np.testing.assert_array_equal(columns["p_b"], outputs[:, 1])


def test_one_sigmoid_output_tells_two_classes_apart() -> None:
    outputs = np.random.default_rng().random((20, 1))
    columns = reading(("no", "yes"), "sigmoid").columns(outputs)
    assert columns["class"].tolist() == ["yes" if p > 0.5 else "no" for p in outputs[:, 0]]
    np.testing.assert_allclose(columns["p_no"] + columns["p_yes"], 1)
    np.testing.assert_array_equal(columns["p_yes"], outputs[:, 0])


def test_one_signed_output_is_cut_at_zero_and_is_a_score() -> None:
    outputs = np.random.default_rng().uniform(-1, 1, (20, 1))
    columns = reading(("no", "yes"), "tanh").columns(outputs)
    assert list(columns) == ["class", "score_no", "score_yes"]
    assert columns["class"].tolist() == ["yes" if score > 0 else "no" for score in outputs[:, 0]]


def test_logits_become_probabilities() -> None:
    logits = np.random.default_rng().normal(0, 30, (20, 4))
    columns = reading(("a", "b", "c", "d"), "linear", from_logits=True).columns(logits)
    exact = np.exp(logits - logits.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.stack([columns[f"p_{name}"] for name in "abcd"], axis=1), exact)


def test_a_regression_has_a_column_a_target() -> None:
    outputs = np.random.default_rng().normal(size=(5, 2))
    assert list(reading(None, "linear").columns(outputs[:, :1])) == ["prediction"]
    assert list(reading(None, "linear").columns(outputs)) == ["prediction_0", "prediction_1"]
    named = NamedOutputs(None, ("height", "width"), "linear", False).columns(outputs)
    np.testing.assert_array_equal(named["width"], outputs[:, 1])


def test_outputs_of_another_width_than_the_classes_are_refused() -> None:
    with pytest.raises(LoadError, match=r"outputs of shape \(4,\) do not tell 3 classes apart"):
        reading(("a", "b", "c"), "softmax").columns(np.zeros((2, 4)))
