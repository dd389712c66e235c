from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kexp.data import arrays, split, write_tfrecord
from kexp.data.sources.builtin import digits
from kexp.data.tfrecord.component import tfrecord
from kexp.data.tfrecord.example import parse_example
from kexp.errors import DataError


def _write(path: Path, *examples: dict[str, Any]) -> str:
    kinds = {"int64_list": tf.train.Int64List, "float_list": tf.train.FloatList, "bytes_list": tf.train.BytesList}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            features = {
                name: tf.train.Feature(**{kind: kinds[kind](value=values)}) for name, (kind, values) in example.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return str(path)


def test_tfrecord_of_digits_equals_digits(tmp_path: Path) -> None:
    data = digits()
    x, y = data.source.read(np.arange(len(data)))
    write_tfrecord(tmp_path / "digits.tfrecord", x, y)
    stored = tfrecord(str(tmp_path / "digits.tfrecord"), image_shape=[8, 8, 1])
    assert stored.digest == data.digest
    assert stored.spec.image_shape == (8, 8, 1)


def test_tfrecord_reads_what_tensorflow_writes(tmp_path: Path, random: np.random.Generator) -> None:
    x = random.integers(-(2**23), 2**23, (40, 2, 3))
    y = random.normal(size=(40, 2)).astype(np.float32)
    write_tfrecord(tmp_path / "a.tfrecord", x, y)
    data = tfrecord(str(tmp_path / "a.tfrecord"), shape=[2, 3])
    rows = random.permutation(40)
    assert np.array_equal(data.source.read(rows)[0], x[rows].astype(np.float32))
    assert np.array_equal(data.source.read(rows)[1], y[rows])
    assert data.digest == arrays(x, y).digest


def test_tfrecord_reads_raw_bytes_and_names(tmp_path: Path, random: np.random.Generator) -> None:
    images = random.integers(0, 256, (4, 2, 2), dtype=np.uint8)
    names = [b"fox", b"owl", b"fox", b"elk"]
    path = _write(
        tmp_path / "a.tfrecord",
        *(
            {"image": ("bytes_list", [image.tobytes()]), "label": ("bytes_list", [name]), "id": ("int64_list", [-1])}
            for image, name in zip(images, names, strict=True)
        ),
    )
    data = tfrecord(path, x="image", y="label", shape=[2, 2, 1], dtype="uint8")
    assert data.spec.classes == ("elk", "fox", "owl")
    assert np.array_equal(data.source.read(np.arange(4))[0][..., 0], images.astype(np.float32))


def test_tfrecord_reads_several_files_and_given_parts(tmp_path: Path) -> None:
    x, y = np.arange(30.0)[:, None], np.arange(30) % 2
    for name, rows in (("a-0", slice(0, 10)), ("a-1", slice(10, 20)), ("test", slice(20, 30))):
        write_tfrecord(tmp_path / f"{name}.tfrecord", x[rows], y[rows])
    splits = split(tfrecord(str(tmp_path / "a-*.tfrecord"), test_path=str(tmp_path / "test.tfrecord")), validation=0)
    assert splits.test is not None
    assert splits.train.arrays()[0][:, 0].tolist() == list(range(20))
    assert splits.test.arrays()[0][:, 0].tolist() == list(range(20, 30))


def test_parse_example_reads_numbers_of_every_size(random: np.random.Generator) -> None:
    whole = [0, 1, -1, 127, 128, 2**31, -(2**63), 2**63 - 1, *random.integers(-(2**62), 2**62, 20).tolist()]
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                "i": tf.train.Feature(int64_list=tf.train.Int64List(value=whole)),
                "f": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, -1e30])),
                "é": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"", b"\x00" * 300])),
            }
        )
    )
    found = parse_example(example.SerializeToString())
    assert found["i"].tolist() == whole  # type: ignore[union-attr]
    assert np.array_equal(found["f"], np.array([0.5, -1e30], dtype=np.float32))
    assert found["é"] == [b"", b"\x00" * 300]


def test_parse_example_refuses_other_bytes(random: np.random.Generator) -> None:
    good = tf.train.Example(
        features=tf.train.Features(feature={"i": tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2, 3]))})
    ).SerializeToString()
    for end in range(1, len(good)):
        with pytest.raises(DataError, match=r"not a tf\.train\.Example"):
            parse_example(good[:end])
    for _ in range(500):  # whatever comes, no other error
        with contextlib.suppress(DataError):
            parse_example(random.bytes(int(random.integers(0, 40))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "xs"}, "data.x: there is no feature 'xs' in record 0; did you mean 'x'?"),
        ({"y": "w"}, "data.y: there is no feature 'w' in record 0"),
        ({"shape": [3]}, "data.shape: must hold the 2 values of 'x', got [3]"),
        ({"x": "raw"}, "data.dtype: must be given, for 'raw' is stored as raw bytes"),
        ({"x": "raw", "dtype": "int32"}, "data.dtype: must fit the 3 bytes of 'raw', got int32"),
        ({"x": "raw", "dtype": "uint7"}, "data.dtype: must be the name of a NumPy type, got 'uint7'"),
        (
            {"x": "ragged"},
            "data.x: 'ragged' must have as many values in every record, got 1 in the first and 2 in record 1",
        ),
        ({"y": "ragged"}, "data.y: 'ragged' must be alike in every record, but record 1 differs"),
        ({"x": "nan"}, "data: features must be finite, got NaN or infinity in 1 of 2 rows, first in feature 0"),
    ],
)
def test_tfrecord_refuses_in_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = _write(
        tmp_path / "a.tfrecord",
        *(
            {
                "x": ("float_list", [1.0, 2.0]),
                "y": ("int64_list", [row]),
                "raw": ("bytes_list", [b"abc"]),
                "ragged": ("int64_list", [0] * (row + 1)),
                "nan": ("float_list", [float("nan") if row else 0.0]),
            }
            for row in range(2)
        ),
    )
    with pytest.raises(DataError) as raised:
        tfrecord(path, **options)
    assert message in str(raised.value)


def test_tfrecord_refuses_damaged_files(tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "a.tfrecord", np.zeros((5, 4)), np.arange(5) % 2)
    good = (tmp_path / "a.tfrecord").read_bytes()
    record = len(good) // 5
    flipped = bytearray(good)
    flipped[2 * record] ^= 1
    for damaged, where in ((good[:-3], 4), (bytes(flipped), 2), (b"a,b\n1,2\n" * 9, 0)):
        (tmp_path / "b.tfrecord").write_bytes(damaged)
        with pytest.raises(DataError, match=rf"b\.tfrecord is not a TFRecord file, or is damaged at record {where}"):
            tfrecord(str(tmp_path / "b.tfrecord"))
    with tf.io.TFRecordWriter(str(tmp_path / "c.tfrecord"), options="GZIP") as writer:
        writer.write(b"")
    with pytest.raises(DataError, match=r"c\.tfrecord must not be compressed"):
        tfrecord(str(tmp_path / "c.tfrecord"))
    (tmp_path / "d.tfrecord").write_bytes(b"")
    with pytest.raises(DataError, match=r"d\.tfrecord has no records"):
        tfrecord(str(tmp_path / "d.tfrecord"))
