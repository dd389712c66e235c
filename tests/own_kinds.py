"""Losses, metrics, layers, callbacks and more as people write them for Keras, each in a habit of its own."""

import math

import keras
import numpy as np
from keras import backend as K  # noqa: N812
from keras import layers, ops
from keras.losses import Loss
from keras.metrics import Metric

# Losses


def dice_loss(y_true, y_pred, smooth=1e-6):
    inputs = ops.reshape(y_true, (-1,))
    targets = ops.reshape(y_pred, (-1,))
    intersection = ops.sum(inputs * targets)
    return 1 - (2 * intersection + smooth) / (ops.sum(inputs) + ops.sum(targets) + smooth)


def dice_bce(y_true, y_pred):
    return dice_loss(y_true, y_pred) + ops.mean(keras.losses.binary_crossentropy(y_true, y_pred))


def categorical_focal(gamma=2.0, alpha=0.25):
    def loss(y_true, y_pred):
        y_pred = ops.clip(y_pred, K.epsilon(), 1.0 - K.epsilon())
        return ops.sum(-alpha * y_true * ops.power(1 - y_pred, gamma) * ops.log(y_pred), axis=-1)

    return loss


class TverskyLoss(Loss):
    def __init__(self, alpha=0.3, beta=0.7, smooth=1.0):
        super().__init__()
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def call(self, y_true, y_pred):
        tp = ops.sum(y_true * y_pred, axis=-1)
        fp = ops.sum((1 - y_true) * y_pred, axis=-1)
        fn = ops.sum(y_true * (1 - y_pred), axis=-1)
        return 1 - (tp + self.smooth) / (tp + self.alpha * fp + self.beta * fn + self.smooth)


def contrastive(y, d, margin=1):
    return ops.mean(y * ops.square(d) + (1 - y) * ops.square(ops.maximum(margin - d, 0)), axis=-1)


def weighted_bce(weight_zero=1.0, weight_one=2.0):
    def loss(y_true, y_pred):
        b_ce = keras.losses.binary_crossentropy(y_true, y_pred)
        weights = y_true[:, 0] * weight_one + (1 - y_true[:, 0]) * weight_zero
        return ops.mean(weights * b_ce)

    return loss


class_weights = np.array([0.2, 0.3, 0.5])


def class_balanced(y_true, y_pred):
    weights = ops.convert_to_tensor(class_weights, dtype="float32")
    return -ops.sum(weights * y_true * ops.log(y_pred + 1e-7), axis=-1)


def pinball(q=0.9):
    return lambda y, f: ops.mean(ops.maximum(q * (y - f), (q - 1) * (y - f)), axis=-1)


def quantile(y_true, y_pred, tau=0.5):
    e = y_true - y_pred
    return ops.mean(ops.maximum(tau * e, (tau - 1) * e))


def root_mean_squared_error(y_true, y_pred):
    return ops.sqrt(ops.mean(ops.square(y_pred - y_true)))


class MyHuber(keras.losses.Loss):
    def __init__(self, threshold=1.0, **kwargs):
        self.threshold = threshold
        super().__init__(**kwargs)

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        small = ops.abs(error) <= self.threshold
        return ops.where(small, ops.square(error) / 2, self.threshold * (ops.abs(error) - 0.5 * self.threshold))

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


def log_cosh(y_true, y_pred):
    diff = y_pred - y_true
    return ops.mean(diff + ops.softplus(-2.0 * diff) - math.log(2.0), axis=-1)


# Metrics


def rmse(y_true, y_pred):
    return ops.sqrt(ops.mean(ops.square(y_pred - y_true)))


def precision_at(y_true, y_pred, threshold=0.5):
    chosen = ops.cast(y_pred > threshold, "float32")
    return ops.sum(chosen * y_true) / (ops.sum(chosen) + K.epsilon())


class R2(Metric):
    def __init__(self, name="r2", **kwargs):
        super().__init__(name=name, **kwargs)
        self.ss_res = self.add_weight(name="ss_res", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")
        self.squares = self.add_weight(name="squares", initializer="zeros")
        self.n = self.add_weight(name="n", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.cast(y_true, "float32")
        self.ss_res.assign_add(ops.sum(ops.square(y_true - y_pred)))
        self.total.assign_add(ops.sum(y_true))
        self.squares.assign_add(ops.sum(ops.square(y_true)))
        self.n.assign_add(ops.cast(ops.size(y_true), "float32"))

    def result(self):
        ss_tot = self.squares - ops.square(self.total) / self.n
        return 1 - self.ss_res / (ss_tot + K.epsilon())

    def reset_state(self):
        for variable in self.variables:
            variable.assign(0.0)


class WeightedF1(keras.metrics.Metric):
    def __init__(self, num_classes=3, name="weighted_f1", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_classes = num_classes
        self.tp = self.add_weight(shape=(num_classes,), initializer="zeros", name="tp")
        self.fp = self.add_weight(shape=(num_classes,), initializer="zeros", name="fp")
        self.fn = self.add_weight(shape=(num_classes,), initializer="zeros", name="fn")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), self.num_classes)
        y_pred = ops.one_hot(ops.argmax(y_pred, axis=-1), self.num_classes)
        self.tp.assign_add(ops.sum(y_true * y_pred, axis=0))
        self.fp.assign_add(ops.sum((1 - y_true) * y_pred, axis=0))
        self.fn.assign_add(ops.sum(y_true * (1 - y_pred), axis=0))

    def result(self):
        f1 = 2 * self.tp / (2 * self.tp + self.fp + self.fn + 1e-7)
        support = self.tp + self.fn
        return ops.sum(f1 * support) / (ops.sum(support) + 1e-7)


def matthews(y_true, y_pred):
    y_pos = ops.round(ops.clip(y_true, 0, 1))
    p_pos = ops.round(ops.clip(y_pred, 0, 1))
    tp = ops.sum(y_pos * p_pos)
    tn = ops.sum((1 - y_pos) * (1 - p_pos))
    fp = ops.sum((1 - y_pos) * p_pos)
    fn = ops.sum(y_pos * (1 - p_pos))
    return (tp * tn - fp * fn) / (ops.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) + K.epsilon())


# Layers


class Linear(layers.Layer):
    def __init__(self, units=8):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b


class RBFLayer(layers.Layer):
    def __init__(self, units, gamma=0.5, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.gamma = ops.cast(gamma, K.floatx())

    def build(self, input_shape):
        self.mu = self.add_weight(name="mu", shape=(int(input_shape[1]), self.units), initializer="uniform")
        super().build(input_shape)

    def call(self, inputs):
        diff = ops.expand_dims(inputs, -1) - self.mu
        return ops.exp(-1 * self.gamma * ops.sum(ops.power(diff, 2), axis=1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)


class MyNoise(keras.layers.Layer):
    def __init__(self, stddev=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        if training:
            return inputs + keras.random.normal(ops.shape(inputs), stddev=self.stddev, seed=self.seed_generator)
        return inputs

    def get_config(self):
        config = super().get_config()
        config.update({"stddev": self.stddev, "seed": self.seed})
        return config


class AttentionPooling(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.score = layers.Dense(1)

    def call(self, x):
        x = ops.expand_dims(x, -1)
        weights = ops.softmax(self.score(x), axis=1)
        return ops.sum(weights * x, axis=1)


class ActivityPenalty(layers.Layer):
    def __init__(self, rate=1e-2):
        super().__init__()
        self.rate = rate

    def call(self, inputs):
        self.add_loss(self.rate * ops.mean(ops.square(inputs)))
        return inputs


class Mixup(layers.Layer):
    def __init__(self, alpha=0.2, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.generator = keras.random.SeedGenerator(7)

    def call(self, x, training=False):
        if not training:
            return x
        share = keras.random.uniform((), 0.0, self.alpha, seed=self.generator)
        return (1 - share) * x + share * ops.flip(x, axis=0)


# Callbacks


class CyclicLR(keras.callbacks.Callback):
    def __init__(self, base_lr=0.001, max_lr=0.006, step_size=8.0, mode="triangular"):
        super().__init__()
        self.base_lr, self.max_lr, self.step_size, self.mode = base_lr, max_lr, step_size, mode
        self.clr_iterations = 0.0
        self.history = {}

    def clr(self):
        cycle = np.floor(1 + self.clr_iterations / (2 * self.step_size))
        x = np.abs(self.clr_iterations / self.step_size - 2 * cycle + 1)
        return self.base_lr + (self.max_lr - self.base_lr) * np.maximum(0, (1 - x))

    def on_train_begin(self, logs=None):
        self.model.optimizer.learning_rate = self.clr()

    def on_batch_end(self, epoch, logs=None):
        self.clr_iterations += 1
        self.history.setdefault("lr", []).append(float(self.model.optimizer.learning_rate))
        self.model.optimizer.learning_rate = self.clr()


class OneCycle(keras.callbacks.Callback):
    def __init__(self, max_rate, epochs=2):
        self.max_rate = max_rate
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs={}):  # noqa: B006
        up = 1 - abs(2 * epoch / self.epochs - 1)
        self.model.optimizer.learning_rate.assign(self.max_rate * (0.1 + up))


class LossHistory(keras.callbacks.Callback):
    def on_train_begin(self, logs={}):  # noqa: B006
        self.losses = []

    def on_train_batch_end(self, batch, logs={}):  # noqa: B006
        self.losses.append(logs.get("loss"))


halve = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)

# Schedules


class WarmUpCosine(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, base_lr=0.05, total_steps=20, warmup_steps=4):
        super().__init__()
        self.base_lr, self.total_steps, self.warmup_steps = base_lr, total_steps, warmup_steps
        self.pi = ops.convert_to_tensor(np.pi, "float32")

    def __call__(self, step):
        step = ops.cast(step, "float32")
        cosine = 0.5 * self.base_lr * (1 + ops.cos(self.pi * (step - self.warmup_steps) / self.total_steps))
        return ops.where(step < self.warmup_steps, self.base_lr * step / self.warmup_steps, cosine)


class Noam(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, d_model=16, warmup_steps=10):
        self.d_model = d_model
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0
        return self.d_model**-0.5 * ops.minimum(step**-0.5, step * self.warmup_steps**-1.5)


# Optimizers


class CentralisedSGD(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        if len(gradient.shape) > 1:
            gradient = gradient - ops.mean(gradient, axis=tuple(range(len(gradient.shape) - 1)), keepdims=True)
        super().update_step(gradient, variable, learning_rate)


class SignSGD(keras.optimizers.Optimizer):
    def __init__(self, learning_rate=0.001, beta=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta = beta

    def build(self, variables):
        super().build(variables)
        self.averages = [self.add_variable_from_reference(v, name="average") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        average = self.averages[self._get_variable_index(variable)]
        self.assign(average, self.beta * average + (1 - self.beta) * gradient)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * ops.sign(average))

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}


# What weights begin with and keep to


class CenterAround(keras.constraints.Constraint):
    def __init__(self, ref_value=0.0):
        self.ref_value = ref_value

    def __call__(self, w):
        return w - ops.mean(w) + self.ref_value


class L2Regularizer(keras.regularizers.Regularizer):
    def __init__(self, strength=0.01):
        self.strength = strength

    def __call__(self, x):
        return self.strength * ops.sum(ops.square(x))


class ExampleRandomNormal(keras.initializers.Initializer):
    def __init__(self, mean=0.0, stddev=0.05):
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None, **kwargs):
        return keras.random.normal(shape, mean=self.mean, stddev=self.stddev, dtype=dtype)


class Swish(layers.Layer):
    def __init__(self, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta

    def call(self, x):
        return x * ops.sigmoid(self.beta * x)


def mish(x):
    return x * ops.tanh(ops.softplus(x))
