from __future__ import annotations

import numpy as np
import pytest

from kexp.data import arrays, split
from kexp.errors import DataError


def _part(y: object, **options: object) -> object:
    return split(arrays(np.arange(len(y))[:, None], y, **options), test=0, validation=0).train  # type: ignore[arg-type]


def test_part_encodes_classes_without_loss(random: np.random.Generator) -> None:
    y = random.permutation(np.arange(30) % 3)
    part = _part(y)
    eye = np.eye(3, dtype=np.float32)[y]
    for form, expected in {
        "class_index": y,
        "one_hot": eye,
        "binary": eye,
        "dense": eye,
        "signed": 2 * eye - 1,
    }.items():
        found = part.encode(form).arrays()[1]
        assert found.dtype == (np.int64 if form == "class_index" else np.float32)
        assert np.array_equal(found, expected), form


def test_part_encodes_two_classes_as_one_column(random: np.random.Generator) -> None:
    y = random.permutation(np.arange(10) % 2)
    part = _part(y)
    assert np.array_equal(part.encode("binary").arrays()[1], y[:, None].astype(np.float32))
    assert np.array_equal(part.encode("signed").arrays()[1], y[:, None] * 2.0 - 1)
    assert part.encode("one_hot").arrays()[1].shape == (10, 2)


def test_part_gives_a_regression_as_it_is(random: np.random.Generator) -> None:
    y = random.random((8, 3))
    assert np.array_equal(_part(y).encode("dense").arrays()[1], y.astype(np.float32))
    assert np.array_equal(_part(y).encode("binary").arrays()[1], y.astype(np.float32))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("class_index", "needs classes as targets, but the data is a regression with 1 output"),
        ("one_hot", "needs classes as targets, but the data is a regression with 1 output"),
        ("binary", "needs targets between 0 and 1, but the data is a regression with 1 output from -3 to 4"),
        ("signed", "needs targets between -1 and 1, but the data is a regression with 1 output from -3 to 4"),
        ("non_negative", "needs targets of 0 or more, but the data is a regression with 1 output from -3 to 4"),
        ("onehot", "there is no target form 'onehot'; did you mean 'one_hot'?"),
    ],
)
def test_part_refuses_targets_that_a_regression_cannot_give(form: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        _part(np.array([-3.0, 4.0, 0.5])).encode(form)
    assert str(raised.value) == message


def test_part_batches_are_positions_within_the_part(random: np.random.Generator) -> None:
    data = arrays(np.arange(20)[:, None], np.arange(20) % 2)
    part = split(data, test=0.5, validation=0).train
    rows = random.permutation(len(part))
    assert np.array_equal(part.batch(rows)[0][:, 0], part.rows[rows])
    assert np.array_equal(part.arrays()[0][:, 0], part.rows)
