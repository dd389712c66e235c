"""Data as people bring it, by reference: each is a job that Keras does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def autoencoder() -> Any:
    x = _random().random((120, 6, 6, 1)).astype("float32")
    return x, x


def segments() -> Any:
    x = _random().normal(size=(120, 6, 6, 1)).astype("float32")
    return x, (x[..., 0] > 0.5).astype("int64")


def tags() -> Any:
    x = _random().integers(1, 40, size=(200, 12))
    return x, x % 4


def other_steps() -> Any:
    x = _random().normal(size=(120, 8, 2)).astype("float32")
    return x, _random().integers(0, 4, size=(120, 5))


def forecast() -> Any:
    x = _random().normal(size=(150, 8, 2)).astype("float32")
    return x, np.cumsum(x[:, -3:], axis=1)


def labels() -> Any:
    x = _random().normal(size=(200, 10)).astype("float32")
    return x, (x[:, :4] > 0).astype("int64")


def weighted() -> Any:
    x = _random().normal(size=(200, 5)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64"), np.where(x[:, 1] > 0, 3.0, 1.0)


def weighted_dataset() -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(weighted())


def frame() -> Any:
    import pandas as pd

    x = pd.DataFrame({"a": _random().normal(size=90), "b": ["u", "v", None] * 30})
    return x, pd.Series(["yes", "no", "no"] * 30, name="answer")


def batch(index: int) -> Any:
    x = np.random.default_rng(index).normal(size=(16, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")


def batches() -> Any:
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 12

        def __getitem__(self, index: int) -> Any:
            return batch(index)

    return Batches()


def chunks() -> Iterator[Any]:
    yield from map(batch, range(12))


def breaks() -> Iterator[Any]:
    yield batch(0)
    raise OSError("no such file: day3.npz")


def soft_labels() -> Any:
    y = _random().random((120, 3))
    return _random().normal(size=(120, 4)), y / y.sum(axis=1, keepdims=True)
