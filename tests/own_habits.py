"""Further parts as people write them for Keras: partials, dataclasses, parts with variables, parts around parts."""

import functools
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import layers, ops
from keras.saving import register_keras_serializable

# Losses


def smoothed(y_true, y_pred, *, eps=0.1):
    y = y_true * (1 - eps) + eps / y_pred.shape[-1]
    return keras.losses.categorical_crossentropy(y, y_pred)


very_smoothed = functools.partial(smoothed, eps=0.2)


@dataclass
class PolyLoss:
    epsilon: float = 1.0

    def __call__(self, y_true, y_pred):
        pt = ops.sum(y_true * y_pred, axis=-1)
        return keras.losses.categorical_crossentropy(y_true, y_pred) + self.epsilon * (1 - pt)


class Wing:
    def __init__(self, w=10.0, eps=2.0):
        self.w, self.eps = w, eps
        self.c = w - w * np.log(1 + w / eps)

    def __call__(self, y_true, y_pred):
        d = ops.abs(y_true - y_pred)
        return ops.mean(ops.where(d < self.w, self.w * ops.log(1 + d / self.eps), d - self.c), axis=-1)


class CenterLoss(keras.losses.Loss):
    def __init__(self, num_classes=3, weight=0.1, name="center_loss"):
        super().__init__(name=name)
        self.num_classes, self.weight = num_classes, weight
        self.centers = keras.Variable(np.eye(num_classes, dtype="float32"), trainable=False)

    def call(self, y_true, y_pred):
        center = ops.matmul(y_true, self.centers)
        near = self.weight * ops.sum(ops.square(y_pred - center), axis=-1)
        return keras.losses.categorical_crossentropy(y_true, y_pred) + near


@register_keras_serializable(package="mine")
class AsymmetricLoss(keras.losses.Loss):
    def __init__(self, gamma_neg=4, gamma_pos=1, clip=0.05, reduction="sum_over_batch_size", name="asl"):
        super().__init__(reduction=reduction, name=name)
        self.gamma_neg, self.gamma_pos, self.clip = gamma_neg, gamma_pos, clip

    def call(self, y_true, y_pred):
        negative = ops.clip(1 - y_pred + self.clip, 0, 1)
        loss = y_true * ops.log(ops.maximum(y_pred, 1e-8)) + (1 - y_true) * ops.log(ops.maximum(negative, 1e-8))
        pt = y_pred * y_true + negative * (1 - y_true)
        gamma = self.gamma_pos * y_true + self.gamma_neg * (1 - y_true)
        return -ops.sum(loss * ops.power(1 - pt, gamma), axis=-1)

    def get_config(self):
        own = {"gamma_neg": self.gamma_neg, "gamma_pos": self.gamma_pos, "clip": self.clip}
        return {**own, **super().get_config()}


def supervised_contrastive(labels, features, temperature=0.5):
    features = features / ops.sqrt(ops.sum(ops.square(features), axis=1, keepdims=True) + 1e-9)
    logits = ops.matmul(features, ops.transpose(features)) / temperature
    labels = ops.reshape(labels, (-1, 1))
    same = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32")
    same = same / ops.sum(same, axis=1, keepdims=True)
    return -ops.sum(same * ops.log_softmax(logits, axis=1), axis=1)


@dataclass
class Settings:
    gamma: float = 2.0
    names: list = field(default_factory=list)


CONFIG = Settings()


def configured(y_true, y_pred):
    return ops.sum(-y_true * ops.power(1 - y_pred, CONFIG.gamma) * ops.log(y_pred + 1e-7), axis=-1)


def focal_loss(gamma, alpha):
    def focal_loss_fixed(y_true, y_pred):
        return -alpha * ops.sum(y_true * (1 - y_pred) ** gamma * ops.log(y_pred + 1e-7), axis=-1)

    return focal_loss_fixed


class BrierLoss(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred))


def by_class(y_true, y_pred, weights=np.array([1.0, 2.0, 0.5], "float32")):  # noqa: B008
    return -ops.sum(weights * y_true * ops.log(y_pred + 1e-7), axis=-1)


# Metrics


class Recalls(keras.metrics.Metric):
    """Of each class, in a dict."""

    def __init__(self, name="recalls", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(shape=(3,), initializer="zeros", name="hits")
        self.rows = self.add_weight(shape=(3,), initializer="zeros", name="rows")

    def update_state(self, y_true, y_pred, sample_weight=None):
        hit = ops.cast(ops.equal(ops.argmax(y_true, -1), ops.argmax(y_pred, -1)), "float32")
        self.hits.assign_add(ops.sum(y_true * ops.expand_dims(hit, -1), axis=0))
        self.rows.assign_add(ops.sum(y_true, axis=0))

    def result(self):
        shares = self.hits / (self.rows + 1e-7)
        return {f"recall_of_{place}": shares[place] for place in range(3)}


class PerClassRecall(keras.metrics.Metric):
    def __init__(self, class_id=0, name=None, **kw):
        super().__init__(name=name or f"recall_{class_id}", **kw)
        self.class_id = class_id
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.rows = self.add_weight(name="rows", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        there = ops.equal(ops.argmax(y_true, axis=-1), self.class_id)
        found = ops.equal(ops.argmax(y_pred, axis=-1), self.class_id)
        self.hits.assign_add(ops.sum(ops.cast(ops.logical_and(there, found), "float32")))
        self.rows.assign_add(ops.sum(ops.cast(there, "float32")))

    def result(self):
        return self.hits / (self.rows + keras.backend.epsilon())


class F1(keras.metrics.Metric):
    def __init__(self, name="f1", **kwargs):
        super().__init__(name=name, **kwargs)
        self.precision, self.recall = keras.metrics.Precision(), keras.metrics.Recall()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.precision.update_state(y_true, y_pred, sample_weight)
        self.recall.update_state(y_true, y_pred, sample_weight)

    def result(self):
        p, r = self.precision.result(), self.recall.result()
        return 2 * p * r / (p + r + keras.backend.epsilon())

    def reset_state(self):
        self.precision.reset_state()
        self.recall.reset_state()


# Optimizers


class Lookahead(keras.optimizers.Optimizer):
    def __init__(self, inner="adam", k=5, alpha=0.5, learning_rate=0.001, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.inner = keras.optimizers.get(inner)
        self.k, self.alpha = k, alpha

    def build(self, variables):
        super().build(variables)
        self.inner.build(variables)
        self.slow = [self.add_variable_from_reference(v, name="slow", initializer="zeros") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        slow = self.slow[self._get_variable_index(variable)]
        self.inner.update_step(gradient, variable, learning_rate)
        sync = ops.cast(ops.equal((self.iterations + 1) % self.k, 0), variable.dtype)
        moved = slow + self.alpha * (variable - slow)
        self.assign(slow, sync * moved + (1 - sync) * slow)
        self.assign(variable, sync * moved + (1 - sync) * variable)


accumulating = keras.optimizers.Adam(0.01, gradient_accumulation_steps=4, clipnorm=1.0)

# Callbacks


class WarmUp(keras.callbacks.Callback):
    def __init__(self, warmup_batches=4, init_lr=0.01, verbose=0):
        super().__init__()
        self.warmup_batches, self.init_lr, self.verbose = warmup_batches, init_lr, verbose
        self.batch_count = 0

    def on_batch_end(self, batch, logs=None):
        self.batch_count += 1

    def on_batch_begin(self, batch, logs=None):
        if self.batch_count <= self.warmup_batches:
            self.model.optimizer.learning_rate.assign(self.batch_count * self.init_lr / self.warmup_batches)


class WarmRestarts(keras.callbacks.Callback):
    def __init__(self, min_lr=1e-4, max_lr=1e-2, cycle=2):
        self.min_lr, self.max_lr, self.cycle = min_lr, max_lr, cycle

    def on_epoch_begin(self, epoch, logs=None):
        share = 0.5 * (1 + np.cos(np.pi * (epoch % self.cycle) / self.cycle))
        self.model.optimizer.learning_rate = self.min_lr + share * (self.max_lr - self.min_lr)


# Schedules


class Triangular(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, low=0.001, high=0.05, half=5, scale_fn=lambda cycle: 1.0):
        self.low, self.high, self.half, self.scale_fn = low, high, half, scale_fn

    def __call__(self, step):
        step = ops.cast(step, "float32")
        cycle = ops.floor(1 + step / (2 * self.half))
        share = ops.maximum(0.0, 1 - ops.abs(step / self.half - 2 * cycle + 1))
        return self.low + (self.high - self.low) * share * self.scale_fn(cycle)


# Activations


class Aria:
    def __init__(self, alpha=1.0, beta=2.0):
        self.alpha, self.beta = alpha, beta

    def __call__(self, x):
        return x * ops.sigmoid(self.beta * x) ** self.alpha


def leaky(slope):
    return lambda x: ops.maximum(x, slope * x)


squash = layers.Lambda(lambda x: x / (1 + ops.abs(x)))


# Layers


class ResidualWrap(layers.Wrapper):
    def call(self, x):
        return x + self.layer(x)


class MinimalCell(layers.Layer):
    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), initializer="uniform", name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, self.units), initializer="uniform", name="recurrent")

    def call(self, inputs, states):
        output = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent))
        return output, [output]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class SpectralDense(layers.Layer):
    def __init__(self, units=8, **kw):
        super().__init__(**kw)
        self.inner = layers.SpectralNormalization(layers.Dense(units, activation="relu"))

    def call(self, x, training=None):
        return self.inner(x, training=training)


class SelfAttention(layers.Layer):
    def __init__(self, dim=8, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.q, self.k, self.v = layers.Dense(dim), layers.Dense(dim), layers.Dense(dim)

    def build(self, shape):
        for dense in (self.q, self.k, self.v):
            dense.build((*shape, 1))
        super().build(shape)

    def call(self, x):
        x = ops.expand_dims(x, -1)
        scores = ops.matmul(self.q(x), ops.transpose(self.k(x), (0, 2, 1))) / self.dim**0.5
        return ops.mean(ops.matmul(ops.softmax(scores, axis=-1), self.v(x)), axis=1)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}
