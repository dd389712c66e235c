from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from kexp.data import arrays, split
from kexp.data.sources.builtin import diabetes, digits, iris, wine
from kexp.errors import DataError


def _rows(splits: object) -> list[np.ndarray]:
    parts = [getattr(splits, name) for name in ("train", "validation", "test")]
    return [part.rows for part in parts if part is not None]


@pytest.mark.parametrize("made", [digits, iris, wine, diabetes])
def test_split_gives_each_row_to_one_part_in_the_fractions_asked_for(made: object) -> None:
    data = made()  # type: ignore[operator]
    splits = split(data, test=0.25, validation=0.1, seed=3)
    assert np.array_equal(np.sort(np.concatenate(_rows(splits))), np.arange(len(data)))
    assert splits.test is not None and splits.validation is not None
    assert len(splits.test) == int(len(data) * 0.25 + 0.5)
    assert len(splits.validation) == int((len(data) - len(splits.test)) * 0.1 + 0.5)


def test_split_is_a_function_of_its_seed() -> None:
    data, again = iris(), iris()
    first, other = split(data, seed=5), split(data, seed=6)
    assert not np.array_equal(first.train.rows, other.train.rows)
    for splits in (split(data, seed=5), split(again, seed=5)):
        for mine, rows in zip(_rows(splits), _rows(first), strict=True):
            assert np.array_equal(mine, rows)
    assert len(split(data, seed=5, test=0.5).train) < len(first.train)


def test_split_keeps_no_data_in_memory() -> None:
    data = iris()
    split(data)
    left = weakref.ref(data)
    del data
    gc.collect()
    assert left() is None


def test_split_keeps_class_proportions(random: np.random.Generator) -> None:
    y = random.permutation(np.repeat([0, 1, 2], [900, 90, 10]))
    splits = split(arrays(np.zeros((1000, 1)), y), test=0.2, validation=0.25)
    assert splits.test is not None and splits.validation is not None
    assert np.bincount(splits.test.labels).tolist() == [180, 18, 2]
    assert np.bincount(splits.validation.labels).tolist() == [180, 18, 2]
    assert np.bincount(splits.train.labels).tolist() == [540, 54, 6]


@pytest.mark.parametrize("seed", range(5))
def test_split_has_every_class_in_every_part_where_it_has_three_rows(seed: int, random: np.random.Generator) -> None:
    y = random.permutation(np.repeat(np.arange(6), [200, 50, 7, 4, 3, 3]))
    splits = split(arrays(np.zeros((len(y), 1)), y), test=0.1, validation=0.1, seed=seed)
    for part in (splits.train, splits.validation, splits.test):
        assert part is not None
        assert np.bincount(part.labels, minlength=6).min() >= 1


def test_split_leaves_a_class_of_one_row_to_training() -> None:
    y = np.array([0] * 20 + [1] * 20 + [2])
    assert 40 in split(arrays(np.zeros((41, 1)), y)).train.rows


def test_split_of_nothing_gives_no_part() -> None:
    splits = split(iris(), test=0, validation=0)
    assert splits.validation is None and splits.test is None
    assert len(splits.train) == 150


def test_given_splits_win() -> None:
    x, y = np.zeros((10, 1)), np.arange(10) % 2
    given = {"train": np.arange(6), "test": np.array([8, 9])}
    splits = split(arrays(x, y, splits=given), test=0.5, validation=0.5)
    assert splits.test is not None and splits.validation is not None
    assert splits.test.rows.tolist() == [8, 9]
    assert np.array_equal(np.sort(np.concatenate([splits.train.rows, splits.validation.rows])), np.arange(6))
    whole = split(arrays(x, y, splits={**given, "validation": np.array([6, 7])}), validation=0.5)
    assert whole.train.rows.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("test", "validation", "message"),
    [
        (0.99, 0.2, "data.test_split: leaves no training rows, got 0.99 of 20"),
        (0.01, 0.2, "data.test_split: leaves no test rows, got 0.01 of 20"),
        (0.2, 0.99, "trainer.validation_split: leaves no training rows, got 0.99 of 16"),
        (0.2, 0.01, "trainer.validation_split: leaves no validation rows, got 0.01 of 16"),
        (1.0, 0.2, "data.test_split: must be at least 0 and below 1, got 1.0"),
        (0.2, -0.5, "trainer.validation_split: must be at least 0 and below 1, got -0.5"),
    ],
)
def test_split_refuses_what_leaves_nothing(test: float, validation: float, message: str) -> None:
    for y in (np.arange(20) % 2, np.linspace(0, 1, 20)):
        with pytest.raises(DataError, match=f"^{message}$".replace(".", r"\.")):
            split(arrays(np.zeros((20, 1)), y), test=test, validation=validation)


def test_split_refuses_given_training_rows_of_one_class() -> None:
    data = arrays(np.zeros((4, 1)), [0, 0, 1, 1], splits={"train": [0, 1], "test": [2, 3]})
    with pytest.raises(DataError, match="leaves a single class to train on"):
        split(data, validation=0)
