"""Models as people write them for Keras, for rows of four numbers and three classes; tests import this by its path."""

import keras
from keras import layers, ops


def two_ways(width: int = 8):
    rows = keras.Input((4,))
    both = layers.Concatenate()([layers.Dense(width, "relu")(rows), layers.Dense(width, "tanh")(rows)])
    return keras.Model(rows, layers.Dense(3, "softmax")(both))


def shared_and_nested():
    given = keras.Input((4,))
    inner = keras.Model(given, layers.Dense(6, "relu")(given))
    shared = layers.Dense(6, "tanh")
    rows = keras.Input((4,))
    once = shared(inner(layers.Normalization()(rows)))
    return keras.Model(rows, layers.Dense(3, "softmax")(layers.Dropout(0.2)(layers.add([once, shared(once)]))))


class Residual(keras.Model):
    def __init__(self, width=8, **more):
        super().__init__(**more)
        self.one, self.two = layers.Dense(width, "relu"), layers.Dense(width, "relu")
        self.out = layers.Dense(3, "softmax")

    def call(self, rows):
        first = self.one(rows)
        return self.out(first + self.two(first))


class Stacked(keras.Sequential):
    """A subclass of Sequential."""


def stacked():
    return Stacked([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])


class Weighed(keras.Model):
    """No config, a list of layers, a flag, a loss of its own."""

    def __init__(self):
        super().__init__()
        self.blocks = [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.3)]
        self.out = layers.Dense(3, "softmax")

    def call(self, rows, training=False):
        for block in self.blocks:
            rows = block(rows, training=training) if not isinstance(block, layers.Dense) else block(rows)
        return self.out(rows)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 2.0 * super().compute_loss(x, y, y_pred, sample_weight) + 0.01 * ops.mean(ops.square(y_pred))


def doubled(values):
    return 2.0 * values


def by_lambda():
    rows = keras.Input((4,))
    halves = layers.Lambda(lambda values: values[:, :2])(rows)
    return keras.Model(rows, layers.Dense(3, "softmax")(layers.Lambda(doubled)(halves)))


ready = keras.Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])


def two_inputs():
    one, other = keras.Input((4,)), keras.Input((4,))
    return keras.Model([one, other], layers.Dense(3, "softmax")(layers.concatenate([one, other])))


def two_outputs():
    rows = keras.Input((4,))
    return keras.Model(rows, {"kind": layers.Dense(3)(rows), "size": layers.Dense(1)(rows)})


class Pair(keras.Model):
    def call(self, rows):
        return rows, rows


class Wide(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(5, "softmax")

    def call(self, rows):
        return self.out(rows)


def of_five():
    rows = keras.Input((5,))
    return keras.Model(rows, layers.Dense(3)(rows))


def number():
    return 3


class Scaled(keras.Model):
    """A training step of its own, as it is written for JAX and for TensorFlow."""

    def __init__(self):
        super().__init__()
        self.out = layers.Dense(3, "softmax")

    def call(self, rows):
        return self.out(rows)

    def train_step(self, *given):
        logs, *rest = super().train_step(*given) if len(given) > 1 else (super().train_step(*given),)
        return (logs, *rest) if rest else {**logs, "steps": 1.0}


def compiled(rate: float = 0.05, smoothing: float = 0.0):
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    top = keras.metrics.TopKCategoricalAccuracy(2, name="best_two")
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy", top])
    return model


compiled_already = compiled()


compiled_with_its_own_already = keras.Sequential(
    [keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")]
)


def compiled_in_full():
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    measured = {"metrics": ["accuracy"], "weighted_metrics": ["mse"]}
    step = {"steps_per_execution": 3, "jit_compile": True}
    model.compile("sgd", "categorical_crossentropy", loss_weights=[0.5], **measured, **step)
    return model


def eager():
    model = keras.Sequential([layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    return model


class Distilling(keras.Model):
    """A `compile` of its own."""

    def __init__(self):
        super().__init__()
        self.out = layers.Dense(3, "softmax")

    def compile(self, optimizer, teacher, metrics):
        super().compile(optimizer, metrics=metrics)
        self.teacher = teacher

    def call(self, rows):
        return self.out(rows)


def distilling():
    model = Distilling()
    model.compile("sgd", keras.losses.CategoricalCrossentropy(), ["accuracy"])
    return model


def penalised(target, output):
    return keras.losses.categorical_crossentropy(target, output) + ops.mean(ops.square(output), axis=-1)


compiled_with_its_own_already.compile(keras.optimizers.SGD(0.05), penalised, metrics=["accuracy"])


def compiled_with_its_own():
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, 10, 0.9)
    measured = {"metrics": [keras.metrics.CategoricalAccuracy()], "weighted_metrics": ["categorical_accuracy", "mse"]}
    model.compile(keras.optimizers.RMSprop(rate), penalised, **measured)
    return model


class Pulled(keras.losses.Loss):
    """No get_config."""

    def __init__(self, by=1.0):
        super().__init__()
        self.by = by

    def call(self, target, output):
        return self.by * ops.mean(ops.square(target - output), axis=-1)


def compiled_with_a_loss_of_settings():
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile("sgd", Pulled(3.0), metrics=["accuracy"])
    return model


def focal(gamma):
    def loss(target, output):
        return -ops.sum(target * (1 - output) ** gamma * ops.log(output + 1e-7), axis=-1)

    return loss


half_focal = focal(0.5)
surest = lambda target, output: ops.max(output, axis=-1)  # noqa: E731


def compiled_with_what_the_module_names():
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile("sgd", half_focal, metrics=[surest])
    return model


def confidence(least, base=1.0):
    return lambda target, output: ops.cast(ops.max(output, axis=-1) > least, "float32") * base


def compiled_with_closures():
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile("sgd", focal(2.0), metrics=["accuracy", confidence(0.4)])
    return model


def computing(gamma):
    power = gamma + 1

    def loss(target, output):
        return -ops.sum(target * (1 - output) ** power * ops.log(output + 1e-7), axis=-1)

    return loss


def weighing(loss, weights):
    weights = keras.Variable(weights, trainable=False, dtype="float32")
    return lambda target, output: loss(target, output) * ops.sum(target * weights, axis=-1)


def compiled_with_closures_of_what_they_computed(width=8, gamma=1.0):
    def clearly(target, output):
        return ops.cast(ops.max(output, axis=-1) > gamma / 2, "float32")

    model = keras.Sequential([layers.Dense(width, "relu"), layers.Dense(3, "softmax")])
    measured = {"metrics": ["accuracy", clearly], "weighted_metrics": [lambda target, output: ops.max(output, axis=-1)]}
    model.compile("sgd", weighing(computing(gamma), [1.0, 2.0, 0.5]), **measured)
    return model


def compiled_with_a_loss_of_its_own_layers():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])

    def loss(target, output):
        return ops.mean(ops.square(target - output), axis=-1) + ops.sum(ops.square(model.layers[0].kernel))

    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def tunable(hp):
    kind = hp.Choice("activation", ["relu", "tanh"])
    model = keras.Sequential([layers.Dense(hp.Int("units", 4, 16, step=4), kind), layers.Dense(3, "softmax")])
    optimizer = keras.optimizers.Adam(hp.Float("lr", 1e-3, 1e-1, sampling="log"))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
