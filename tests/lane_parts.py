"""Losses, metrics, models and data as people write them, some of which no compiled program can have; by reference."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

_calls: list[int] = []


def sharper(y_true, y_pred, power: float = 2.0):  # type: ignore[no-untyped-def]
    """Pure: the error to a power."""
    return ops.mean(ops.abs(ops.cast(y_true, y_pred.dtype) - y_pred) ** power, axis=-1)


def of_numpy(y_true, y_pred):  # type: ignore[no-untyped-def]
    """No backend can trace it."""
    return np.mean((np.asarray(y_true) - np.asarray(y_pred)) ** 2, axis=-1)


def of_tensorflow(y_true, y_pred):  # type: ignore[no-untyped-def]
    """TensorFlow's operations, on TensorFlow alone."""
    import tensorflow as tf

    return tf.reduce_mean(tf.square(tf.cast(y_true, y_pred.dtype) - y_pred), axis=-1)


def raises(y_true, y_pred):  # type: ignore[no-untyped-def]
    """Wrong wherever it is traced."""
    raise ValueError(f"no loss of {len(y_pred.shape)} dimensions")


def counting(y_true, y_pred):  # type: ignore[no-untyped-def]
    """A metric with a state that Keras does not know of."""
    _calls.append(1)
    return ops.zeros_like(y_pred[..., 0]) + len(_calls) % 2


class Stateful(keras.layers.Layer):
    """A layer that remembers in Python how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, x):  # type: ignore[no-untyped-def]
        self.calls += 1
        return x * (1.0 if self.calls < 3 else 0.5)


def remembering(spec):  # type: ignore[no-untyped-def]
    """A model with such a layer."""
    return keras.Sequential(
        [
            keras.Input(spec.input_shape),
            keras.layers.Flatten(),
            Stateful(),
            keras.layers.Dense(spec.units, activation=spec.output_activation),
        ]
    )


def broken(spec):  # type: ignore[no-untyped-def]
    """A model whose building ends in an error of Python's."""
    return [][spec.units]


def rows():  # type: ignore[no-untyped-def]
    """Data of one's own."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(120, 5)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64") + (x[:, 1] > 0)


def no_rows():  # type: ignore[no-untyped-def]
    """Data whose making ends in an error."""
    raise OSError("the disk is away")
