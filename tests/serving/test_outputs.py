"""What outputs are called, and the form in which rows with outputs at several positions are answered."""

from __future__ import annotations

import numpy as np

from kexp.serving.outputs import Outputs


def test_a_class_at_each_position_is_answered_by_arrays() -> None:
    scores = np.random.default_rng().dirichlet(np.ones(3), size=(5, 4, 2))
    outputs = Outputs(("a", "b", "c"), (), "softmax", False, "classification", (4, 2))
    found = outputs.arrays(scores)
    assert found is not None
    assert list(found) == ["class", "probabilities"]
    assert found["class"].tolist() == np.array(["a", "b", "c"])[scores.argmax(axis=-1)].tolist()
    np.testing.assert_array_equal(found["probabilities"], scores)


def test_numbers_at_a_few_positions_are_columns_and_at_many_an_array() -> None:
    few, many = np.zeros((3, 4, 2)), np.zeros((3, 40, 40, 1))
    outputs = Outputs(None, (), "linear", False, "regression", (4,))
    assert outputs.arrays(few) is None
    assert list(outputs.columns(few)) == [f"prediction_{place}" for place in range(8)]
    found = outputs.arrays(many)
    assert found is not None
    assert list(found) == ["prediction"]
    np.testing.assert_array_equal(found["prediction"], many)


def test_numbers_have_their_targets_names_and_what_is_kept_is_read_back() -> None:
    outputs = Outputs(None, ("price", "rent"), "linear", False, "regression")
    assert outputs.names(2) == ["price", "rent"]
    assert Outputs(None, ("price",), "linear", False, "regression").names(1) == ["price"]
    assert Outputs(None, (), "linear", False, "regression").names(1) == ["prediction"]
    assert Outputs.of_json(outputs.as_json()) == outputs
