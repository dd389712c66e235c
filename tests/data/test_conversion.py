from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
from scipy import sparse

from kexp.data import arrays, as_data, split
from kexp.data.sources.materialise import materialise
from kexp.errors import DataError


def _xy(random: np.random.Generator, rows: int = 23) -> tuple[np.ndarray, np.ndarray]:
    return random.random((rows, 4)).astype(np.float32), random.permutation(np.arange(rows) % 3)


def test_as_data_takes_data_and_pairs(random: np.random.Generator) -> None:
    x, y = _xy(random)
    data = arrays(x, y)
    assert as_data(data) is data
    assert as_data((x, y)).digest == as_data([x.tolist(), y.tolist()]).digest == data.digest


def test_as_data_takes_given_parts(random: np.random.Generator) -> None:
    x, y = _xy(random, 30)
    two = split(as_data(((x[:20], y[:20]), (x[20:], y[20:]))), validation=0)
    assert two.test is not None
    assert np.array_equal(two.train.arrays()[0], x[:20]) and np.array_equal(two.test.arrays()[0], x[20:])
    named = {"test": (x[:5], y[:5]), "train": (x[5:25], y[5:25]), "validation": (x[25:], y[25:])}
    three = split(as_data(named))
    for name, (features, targets) in named.items():
        assert np.array_equal(getattr(three, name).arrays()[0], features)
        assert np.array_equal(getattr(three, name).labels, targets)


def test_as_data_takes_datasets_batched_or_not(random: np.random.Generator) -> None:
    x, y = _xy(random)
    expected = arrays(x, y).digest
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    for made in (rows, rows.batch(5), rows.batch(23, drop_remainder=True), rows.filter(lambda x, y: True)):
        assert as_data(made).digest == expected
    one_hot = np.eye(3, dtype=np.float32)[y]
    assert np.array_equal(as_data(tf.data.Dataset.from_tensor_slices((x, one_hot))).targets, y)
    assert np.array_equal(as_data(tf.data.Dataset.from_tensor_slices((x, one_hot)).batch(4)).targets, y)
    assert as_data({"train": rows, "test": (x, y)}).splits is not None


def test_as_data_takes_a_mapping_of_one_array_or_of_columns(random: np.random.Generator) -> None:
    x, y = _xy(random)
    frame = pd.DataFrame({"a": x[:, 0], "b": np.where(x[:, 1] > 0.5, "u", "v"), "c": x[:, 2]})
    columns = {name: frame[name].to_numpy() for name in frame}
    upright = {name: column[:, None] for name, column in columns.items()}
    expected = as_data((frame, y)).digest
    sets = [tf.data.Dataset.from_tensor_slices((each, y)) for each in (columns, upright)]
    batched = [each.batch(size, drop_remainder=drop) for each in sets for size, drop in ((5, False), (23, True))]
    generated = ({name: column[:4] for name, column in columns.items()}, y[:4])
    for made in (*sets, *batched, (columns, y), (upright, y)):
        assert as_data(made).digest == expected
    assert as_data(iter([generated] * 3)).digest == as_data((pd.concat([frame[:4]] * 3), np.tile(y[:4], 3))).digest
    images = x[:, :, None]
    alone = tf.data.Dataset.from_tensor_slices(({"image": images}, y))
    for made in (alone, alone.batch(5), ({"image": images}, y)):
        assert as_data(made).digest == arrays(images, y).digest
    record = np.rec.fromarrays(list(columns.values()), names=list(columns))
    assert as_data((record, y)).digest == expected


def test_as_data_takes_tables_of_arrow_and_dates(random: np.random.Generator) -> None:
    x, y = _xy(random)
    frame = pd.DataFrame({"a": x[:, 0], "b": np.where(x[:, 1] > 0.5, "u", "v")})
    frame["seen"] = pd.date_range("2024-01-01", periods=len(x))
    expected = as_data((frame, pd.Series(y, name="kind")))
    for target in (pa.array(y), pa.chunked_array([y[:4], y[4:]])):
        assert as_data((pa.Table.from_pandas(frame), target)).digest == expected.digest
    named = pa.table({"mass": x[:, 0], "size": x[:, 1]})
    assert as_data((pa.Table.from_pandas(frame), named)).spec.target_names == ("mass", "size")
    days = split(as_data((frame["seen"], x[:, 0])))
    assert days.encoding["columns"][0]["kind"] == "date"


def test_as_data_refuses_a_mapping_of_several_inputs(random: np.random.Generator) -> None:
    x, y = _xy(random)
    several = {"image": np.stack([x, x], axis=-1), "width": x[:, 0]}
    told = r"^data: x must be one array, or columns of one value a row, because a model has one input, got 'image' "
    for made in ((several, y), tf.data.Dataset.from_tensor_slices((several, y)).batch(4)):
        with pytest.raises(DataError, match=told):
            as_data(made)


def test_large_datasets_go_to_a_file(random: np.random.Generator) -> None:
    x, y = _xy(random, 200)
    made, targets = materialise(tf.data.Dataset.from_tensor_slices((x, y)).batch(7), "data", memory_bytes=1000)
    assert isinstance(made, np.memmap)
    assert np.array_equal(made, x) and np.array_equal(targets, y)
    data = as_data((made, targets))
    assert data.digest == arrays(x, y).digest
    part = split(data).train
    assert not part.in_memory
    assert np.array_equal(part.arrays()[0], x[part.rows])


ACCEPTED = "data: must be made of kexp.data.Data, (x, y) or (x, y, weight) of arrays or pandas, ((x, y), "


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, ACCEPTED),
        (np.zeros((3, 2)), ACCEPTED),
        ((1, 2), ACCEPTED),
        ({"train": np.zeros(3)}, ACCEPTED),
        (([[1], [2, 3]], [0, 1]), "data: x must be a rectangular array, got rows of different lengths"),
        ({"training": ([[1]], [0])}, "data: there is no split 'training'; did you mean 'train'?"),
        ({"test": ([[1]], [0])}, "data: given splits must hold training rows, got test"),
        ((([[1], [2]], [0]), ([[1]], [0])), "data: x and y of train must have as many rows, got 2 and 1"),
        ((([[1]], [0]), ([[1, 2]], [0])), "data: features must have one shape in every split, got [(1,), (2,)]"),
        ((([[1]], ["a"]), ([[1]], [0])), "data: targets must be of one kind in every split, got names and numbers"),
    ],
)
def test_as_data_refuses_in_one_sentence(made: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        as_data(made)


def test_as_data_refuses_datasets_without_end_targets_or_rows() -> None:
    rows = tf.data.Dataset.from_tensor_slices((np.zeros((3, 1)), np.arange(3)))
    with pytest.raises(DataError, match=r"^data: a tf\.data\.Dataset must be finite"):
        as_data(rows.repeat())
    with pytest.raises(DataError, match=r"^data: a tf\.data\.Dataset must give pairs"):
        as_data(rows.map(lambda x, y: x))
    with pytest.raises(DataError, match=r"^data: has no rows$"):
        as_data(rows.take(0))


def test_names_of_pandas_targets_are_kept(random: np.random.Generator) -> None:
    x = random.random((40, 2))
    bits = (x > 0.5).astype(int)
    bits[0] = 1
    frame = pd.DataFrame(x, columns=["a", "b"])
    for features in (x, frame):
        assert as_data((features, pd.DataFrame(x, columns=["mass", "size"]))).spec.target_names == ("mass", "size")
        assert as_data((features, pd.Series(x[:, 0], name="mass"))).spec.target_names == ("mass",)
        assert as_data((features, pd.DataFrame(bits, columns=["tall", "wide"]))).spec.target_names == ("tall", "wide")
        kinds = pd.get_dummies(pd.Series(["ash", "birch", "cedar", "ash"] * 10))
        assert as_data((features, kinds)).spec.classes == ("ash", "birch", "cedar")
    parts = {part: (x, pd.DataFrame(x, columns=["mass", "size"])) for part in ("train", "test")}
    assert as_data(parts).spec.target_names == ("mass", "size")
    texts = (["a fine day in the sun"] * 40, pd.DataFrame(bits, columns=["tall", "wide"]))
    assert split(as_data(texts)).spec.target_names == ("tall", "wide")


def test_targets_that_32_bit_numbers_cannot_tell_apart_are_refused(random: np.random.Generator) -> None:
    x = random.random((40, 2))
    said = r"^data: targets must differ by more than the 6\.71089e\+07 between two 32-bit numbers of their size, got "
    with pytest.raises(
        DataError, match=said + r"1000000000000000\.0 to 1000000000000039\.0; subtract a number near them$"
    ):
        as_data((x, 1e15 + np.arange(40.0)))
    assert as_data((x, 1e6 + np.arange(40.0))).spec.task == "regression"


def test_as_data_takes_sparse_rows_columns_by_name_and_three_parts(random: np.random.Generator) -> None:
    x, y = _xy(random, 30)
    x[x < 0.5] = 0
    assert as_data((sparse.csr_matrix(x), y)).digest == as_data((x, y)).digest
    columns = as_data(({"a": x[:, 0], "b": ["u", "v", "w"] * 10}, y))
    assert split(columns).spec.feature_names == ("a", "b=u", "b=v", "b=w")
    with pytest.raises(DataError, match=r"^data: x must have columns of one length, but "):
        as_data(({"a": x[:, 0], "b": ["u"]}, y))
    three = split(as_data(((x[:20], y[:20]), (x[20:25], y[20:25]), (x[25:], y[25:]))))
    assert three.validation is not None and np.array_equal(three.validation.arrays()[0], x[20:25])
    assert as_data(zip(x, y, strict=True)).digest == as_data((x, y)).digest  # a generator of rows
