"""What people have in a module of their own, in the forms that Keras takes. Its tests are in `own_checks`."""

from __future__ import annotations

import enum
import functools

import keras
from keras import ops


def squared(target, output):
    return ops.mean(ops.square(target - output), axis=-1)


def by_index(y_true, y_pred):  # class numbers, not one-hot
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def sharper(t, p, power=2.0):
    return ops.sum(t * ops.power(1.0 - p, power), axis=-1)


sharpest = functools.partial(sharper, power=4.0)
hit = lambda t, p: keras.metrics.categorical_accuracy(t, p)  # noqa: E731, PLW0108


class Scaled:
    """A loss that is an object with a call."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, t, p):
        return self.scale * ops.mean(ops.abs(t - p), axis=-1)

    def method(self, t, p):
        return self(t, p)


scaled = Scaled(2.0)


def wave(z):
    return ops.sin(z)


def small(shape, dtype=None):
    return keras.random.normal(shape, stddev=0.01, dtype=dtype)


def lasso(weights, factor=1e-3):
    return factor * ops.sum(ops.abs(weights))


def boxed(weights):
    return ops.clip(weights, -0.3, 0.3)


def halving(step):
    return 0.1 * 0.5 ** (ops.cast(step, "float32") / 100.0)


def clipped(low=-0.3, high=0.3):
    return lambda weights: ops.clip(weights, low, high)


def penalty(rate=0.01):
    def penalise(weights):
        return rate * ops.sum(ops.square(weights))

    return penalise


class Penalty:
    """A regularizer as an object that is none of Keras' classes."""

    def __init__(self, rate=0.01):
        self.rate = rate

    def __call__(self, weights):
        return penalty(self.rate)(weights)


def drawn(scale=0.1):
    def draw(shape, dtype=None):
        return scale * keras.random.normal(shape, dtype=dtype, seed=3)

    return draw


def rising(peak=0.1):
    return lambda step: peak * ops.minimum(1.0, (ops.cast(step, "float32") + 1.0) / 4.0)


class Of(enum.Enum):
    SQUARES = enum.auto()
    SIZES = enum.auto()


def error_of(t, p, of: Of = Of.SQUARES):
    return ops.mean({Of.SQUARES: ops.square, Of.SIZES: ops.abs}[of](t - p), axis=-1)


def wrong(t, p):
    return t.no_such_thing(p)


heavy_ball = keras.optimizers.SGD(0.05, momentum=0.9)
soft = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
best_two = keras.metrics.TopKCategoricalAccuracy(2, name="best_two")
shrinking = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)
patient = keras.callbacks.EarlyStopping(patience=7)
decaying = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
ready = keras.Sequential(
    [
        keras.layers.Input((4,)),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.Dense(3, activation="softmax"),
    ]
)
