from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kexp.data import arrays, split
from kexp.data.sources.npz_file import npz
from kexp.errors import DataError


def test_npz_equals_the_arrays(tmp_path: Path, random: np.random.Generator) -> None:
    x, y = random.random((30, 2, 3)), random.permutation(np.arange(30) % 2)
    np.savez(tmp_path / "a.npz", inputs=x, labels=y)
    data = npz(str(tmp_path / "a.npz"), x="inputs", y="labels")
    assert data.digest == arrays(x, y).digest
    assert data.spec.feature_shape == (2, 3)


def test_npz_takes_given_arrays_and_given_rows(tmp_path: Path, random: np.random.Generator) -> None:
    x, y = random.random((30, 2)), np.arange(30) % 2
    np.savez(
        tmp_path / "a.npz", x=x[:20], y=y[:20], x_test=x[20:], y_test=y[20:], some=np.arange(20), rest=np.arange(20, 30)
    )
    splits = split(npz(str(tmp_path / "a.npz"), x_test="x_test", y_test="y_test"), validation=0)
    assert splits.test is not None
    assert np.array_equal(splits.test.arrays()[0], x[20:].astype(np.float32))
    assert np.array_equal(splits.train.arrays()[0], x[:20].astype(np.float32))
    np.savez(tmp_path / "b.npz", x=x, y=y, some=np.arange(20), rest=np.arange(20, 30))
    rows = split(npz(str(tmp_path / "b.npz"), train_rows="some", test_rows="rest"), validation=0)
    assert rows.test is not None and rows.data.digest == splits.data.digest
    assert np.array_equal(rows.test.arrays()[0], splits.test.arrays()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "imputs"}, "data.x: there is no array 'imputs' in a.npz; did you mean 'inputs'?"),
        (
            {"x": "inputs", "y": "objects"},
            "data.y: array 'objects' has Python objects, which are not loaded for safety",
        ),
        ({"x": "inputs", "y": "short"}, "data.y: must have as many rows as data.x, got 3 and 4"),
        ({"x": "inputs", "y": "single"}, "data.y: array 'single' must have rows, got a single value"),
        ({"x": "inputs", "y": "nan"}, "data: targets must be finite, got NaN or infinity in row 2"),
        ({"x": "inputs", "y": "good", "x_test": "inputs"}, "data.y_test: must be set, because data.x_test is set"),
        (
            {"x": "inputs", "y": "good", "x_test": "wide", "y_test": "good"},
            "data.x_test: must have rows of shape (1,) as data.x has, got (2,)",
        ),
    ],
)
def test_npz_refuses_in_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        inputs=np.zeros((4, 1)),
        wide=np.zeros((4, 2)),
        good=[0, 1, 0, 1],
        short=[0, 1, 1],
        single=3,
        nan=[1.0, 2.0, np.nan, 4.0],
        objects=np.array([{}, [], 1, 2], dtype=object),
    )
    with pytest.raises(DataError) as raised:
        npz(str(tmp_path / "a.npz"), **options)
    assert str(raised.value) == message


def test_npz_refuses_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("hello")
    with pytest.raises(DataError, match=r"^data\.path: must be an \.npz archive, but a\.npz is not$"):
        npz(str(tmp_path / "a.npz"))
    np.save(tmp_path / "b.npy", np.zeros(3))
    with pytest.raises(DataError, match="is a single array"):
        npz(str(tmp_path / "b.npy"))
    with pytest.raises(DataError, match=r"^data\.path: no such file"):
        npz(str(tmp_path / "c.npz"))
