from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kexp.data import arrays
from kexp.errors import DataError


def test_arrays_takes_whole_numbers_for_classes_and_names_them(random: np.random.Generator) -> None:
    y = random.permutation(np.arange(30) % 3) * 5 - 5
    data = arrays(random.random((30, 4)), y)
    assert (data.spec.task, data.spec.classes, data.spec.outputs) == ("classification", ("-5", "0", "5"), 3)
    assert data.targets.dtype == np.int64
    assert np.array_equal(data.targets, (y + 5) // 5)


@pytest.mark.parametrize("dtype", [object, str, bytes])
def test_arrays_indexes_names_in_sorted_order(dtype: type) -> None:
    data = arrays(np.zeros((4, 1)), np.array(["pear", "apple", "pear", "fig"], dtype=dtype))
    assert data.spec.classes == ("apple", "fig", "pear")
    assert data.targets.tolist() == [2, 0, 2, 1]


def test_arrays_takes_the_order_of_names_from_classes() -> None:
    data = arrays(np.zeros((3, 1)), ["b", "a", "b"], classes=["b", "a"])
    assert data.targets.tolist() == [0, 1, 0]


def test_arrays_takes_booleans_and_columns_for_classes() -> None:
    assert arrays(np.zeros((2, 1)), [True, False]).spec.classes == ("False", "True")
    assert arrays(np.zeros((2, 1)), [[0], [1]]).spec.task == "classification"


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint8, bool])
def test_arrays_takes_one_hot_rows_for_classes(dtype: Any, random: np.random.Generator) -> None:
    y = random.permutation(np.arange(20) % 4)
    data = arrays(np.zeros((20, 1)), np.eye(4, dtype=dtype)[y])
    assert data.spec.task == "classification"
    assert np.array_equal(data.targets, y)


def test_arrays_takes_other_numbers_for_a_regression(random: np.random.Generator) -> None:
    y = random.normal(size=12)
    data = arrays(random.random((12, 2)), y)
    assert (data.spec.task, data.spec.outputs, data.spec.classes) == ("regression", 1, None)
    assert np.array_equal(data.targets, y.astype(np.float32)[:, None])
    assert arrays(np.zeros((2, 1)), [[1, 1], [0, 3]]).spec.outputs == 2


def test_arrays_obeys_the_task_given() -> None:
    assert arrays(np.zeros((3, 1)), [1, 2, 3], task="regression").spec.outputs == 1
    assert arrays(np.zeros((3, 1)), [1.0, 2.0, 1.0], task="classification").spec.classes == ("1", "2")


def test_arrays_keeps_image_shapes() -> None:
    assert arrays(np.zeros((2, 12)), [0, 1], image_shape=(2, 6)).spec.image_shape == (2, 6, 1)
    assert arrays(np.zeros((2, 4, 3, 2)), [0, 1]).spec.image_shape == (4, 3, 2)
    assert arrays(np.zeros((2, 12)), [0, 1]).spec.image_shape is None


def test_digest_changes_with_each_value_and_the_order_and_nothing_else(random: np.random.Generator) -> None:
    x, y = random.random((40, 3)).astype(np.float32), random.permutation(np.arange(40) % 2)
    first = arrays(x, y).digest
    assert len(first) == 64
    assert arrays(np.asfortranarray(x), y.astype(np.int8)).digest == first
    other = x.copy()
    other[17, 1] = np.nextafter(other[17, 1], np.float32(2))
    assert arrays(other, y).digest != first
    assert arrays(x[::-1], y[::-1]).digest != first
    assert arrays(x, 1 - y).digest != first
    rows = np.arange(40)
    assert arrays(x, y, splits={"train": rows[:20], "test": rows[20:]}).digest != first


def test_digest_is_the_same_however_rows_are_cut_into_chunks(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = random.random((100, 3)), random.random(100)
    first = arrays(x, y).digest
    monkeypatch.setattr("kexp.data.source.model.CHUNK_ROWS", 7)
    assert arrays(x, y).digest == first


NAN = np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, np.inf], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.zeros((3, 1)), [0, 1], {}, "data: x and y must have as many rows, got 3 and 2"),
        (
            NAN,
            [0, 1, 0, 1],
            {},
            "data: features must be finite, got NaN or infinity in 2 of 4 rows, first in feature 0",
        ),
        (
            NAN,
            [0, 1, 0, 1],
            {"feature_names": ["age", "bmi"]},
            "data: features must be finite, got NaN or infinity in 2 of 4 rows, first in feature 'age'",
        ),
        (np.full((2, 1), 1e300), [0, 1], {}, "data: features must be finite, got NaN or infinity in 2 of 2 rows"),
        (np.zeros((2, 1)), [0.5, np.nan], {}, "data: targets must be finite, got NaN or infinity in row 1"),
        (np.zeros((2, 1)), ["a", None], {}, "data: targets must not be missing, got 1, first in row 1"),
        (np.zeros((3, 1)), ["a"] * 3, {}, "needs at least 2 classes, got the single class 'a' in 3 rows"),
        (np.zeros((0, 1)), np.zeros(0, dtype=int), {}, "data: has no rows"),
        (np.zeros((2, 0)), [0, 1], {}, "data: has no features"),
        ([["a"], ["b"]], [0, 1], {}, "data: features must be numbers"),
        (
            np.zeros((2, 1)),
            [0.5, 1.0],
            {"task": "classification"},
            "class targets must be whole numbers or names, got 0.5",
        ),
        (np.zeros((2, 1)), ["a", "b"], {"task": "regression"}, "targets of a regression must be real numbers"),
        (np.zeros((2, 1)), [0, 5], {"classes": ["a", "b"]}, "data.classes: names 2 classes, got class index 5"),
        (np.zeros((2, 1)), ["a", "bb"], {"classes": ["a", "b"]}, "there is no class 'bb'; did you mean 'b'?"),
        (np.zeros((2, 1)), [0, 1], {"task": "clasification"}, "did you mean 'classification'?"),
        (np.zeros((2, 6)), [0, 1], {"image_shape": (2, 2)}, "data.image_shape: must be (height, width, channels) of 6"),
        (np.zeros((2, 1)), [0, 1], {"splits": {"train": [0], "test": [0]}}, "row 0 is repeated"),
        (np.zeros((2, 1)), [0, 1], {"splits": {"train": [0], "test": [2]}}, "must hold rows in [0, 2), got 2 to 2"),
        (np.zeros((2, 1)), [0, 1], {"splits": {"test": [0]}}, "given splits must hold training rows, got test"),
    ],
)
def test_arrays_refuses_in_one_sentence(x: Any, y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as raised:
        arrays(x, y, **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
