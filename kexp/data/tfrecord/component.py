"""`data=tfrecord`: data from TFRecord files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike

    from kexp.data.files import ByteRows
    from kexp.data.source import Data

__all__ = ["tfrecord", "write_tfrecord"]


def tfrecord(
    path: str,
    *,
    x: str = "x",
    y: str = "y",
    shape: list[int] | None = None,
    dtype: str | None = None,
    task: Literal["auto", "classification", "regression", "labels"] = "auto",
    classes: list[str] | None = None,
    image_shape: list[int] | None = None,
    validation_path: str | None = None,
    test_path: str | None = None,
) -> Data:
    """TFRecord files of tf.train.Example. Records are read when needed, so files may be larger than memory.

    Args:
        path: a file, or a pattern that matches several, read in the order of their names; not compressed.
        x: name of the feature with a row's features: floats, whole numbers, or raw bytes with `dtype`.
        y: name of the feature with its target: whole numbers or text are classes, floats a regression.
        shape: shape of a row's features; flat by default.
        dtype: NumPy type of features that are stored as raw bytes, for example uint8.
        task: classification, regression or labels; auto infers it from the targets' type.
        classes: class names by class index.
        image_shape: height, width and channels of the image that a row of flat features is.
        validation_path: file or pattern of validation rows; split from `path` by default.
        test_path: file or pattern of test rows; split from `path` by default.
    """
    import numpy as np

    from kexp.data.inference import image_shape_of
    from kexp.data.source import from_source
    from kexp.data.targets import index_targets
    from kexp.data.tfrecord.example import ExampleSource

    rows, splits = _rows({"path": path, "validation_path": validation_path, "test_path": test_path})
    source = ExampleSource(rows, x, y, None if shape is None else tuple(shape), dtype)
    chosen = None if task == "auto" else task
    targets = index_targets(source.raw_targets(), chosen, classes, "data")
    source.targets = targets.values
    feature_shape = source.read(np.zeros(1, dtype=np.intp))[0].shape[1:]
    spec = targets.spec(feature_shape, image_shape=image_shape_of(image_shape, feature_shape, "data"))
    return from_source(source, spec, splits=splits)


def write_tfrecord(path: str | Path, x: ArrayLike, y: ArrayLike) -> None:
    """Write rows to a TFRecord file that `data=tfrecord` and TensorFlow can read.

    Args:
        path: the file to write.
        x: features, shape (rows, ...); stored flat, whole numbers as integers and others as float32.
        y: targets, shape (rows,) or (rows, outputs); whole numbers, text or floats.
    """
    import numpy as np
    import tensorflow as tf

    def feature(values: Any) -> Any:
        if values.dtype.kind in "iub":
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values.reshape(-1).tolist()))
        if values.dtype.kind == "f":
            return tf.train.Feature(float_list=tf.train.FloatList(value=values.reshape(-1).tolist()))
        texts = [str(value).encode() for value in values.reshape(-1).tolist()]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))

    features, targets = np.asarray(x), np.asarray(y)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in range(len(features)):
            both = {"x": feature(features[row]), "y": feature(targets[row : row + 1])}
            writer.write(tf.train.Example(features=tf.train.Features(feature=both)).SerializeToString())


def _rows(paths: Mapping[str, str | None]) -> tuple[ByteRows, dict[str, Any] | None]:
    """Return the records of all files, and the rows of each part if several parts are given."""
    from kexp.data.files import ByteRows, matching
    from kexp.data.source import consecutive
    from kexp.data.tfrecord.index import index_records

    counts: dict[str, int] = {}
    files, starts, ends = [], [], []
    for name, pattern in paths.items():
        if pattern is None:
            continue
        part = "train" if name == "path" else name.removesuffix("_path")
        for file in matching(pattern, f"data.{name}"):
            start, end = index_records(file, f"data.{name}")
            files.append(file)
            starts.append(start)
            ends.append(end)
            counts[part] = counts.get(part, 0) + len(start)
    return ByteRows(files, starts, ends), consecutive(counts) if len(counts) > 1 else None
