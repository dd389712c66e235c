"""The habit of tf.keras: its imports, and TensorFlow's own functions."""

import tensorflow as tf
import tensorflow.keras.backend as K  # noqa: N812
from tensorflow.keras.layers import Dense, Layer
from tensorflow.keras.losses import Loss
from tensorflow.keras.metrics import Metric


def focal(y_true, y_pred, gamma=2.0):
    y_pred = tf.clip_by_value(y_pred, 1e-7, 1.0)
    return tf.reduce_sum(y_true * tf.pow(1.0 - y_pred, gamma) * -tf.math.log(y_pred), axis=-1)


def rmse(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_pred - y_true)))


class Weighted(Loss):
    def __init__(self, pos_weight=2.0, reduction="sum_over_batch_size", name="weighted"):
        super().__init__(reduction=reduction, name=name)
        self.pos_weight = pos_weight

    @tf.function
    def call(self, y_true, y_pred):
        return tf.reduce_mean(self.pos_weight * tf.square(tf.cast(y_true, tf.float32) - y_pred), axis=-1)


class Hits(Metric):
    def __init__(self, name="hits", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.rows = self.add_weight(name="rows", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        same = tf.equal(tf.argmax(y_pred, axis=-1), tf.cast(tf.reshape(y_true, [-1]), tf.int64))
        self.hits.assign_add(tf.reduce_sum(tf.cast(same, tf.float32)))
        self.rows.assign_add(tf.cast(tf.size(same), tf.float32))

    def result(self):
        return tf.math.divide_no_nan(self.hits, self.rows)


class Gated(Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.one, self.gate = Dense(units), Dense(units, activation="sigmoid")

    def call(self, x):
        return tf.multiply(self.one(x), self.gate(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def mish(x):
    return x * tf.math.tanh(tf.math.softplus(x))
