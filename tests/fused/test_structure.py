"""Numbers become inputs of a program by trying: each optimizer, loss, metric and activation of the catalogue."""

from __future__ import annotations

from pathlib import Path

import made
import pytest

from kexp.fused.program.tables import Tables
from kexp.fused.structure.analysis import analyse
from kexp.fused.structure.grouping import distinguishing_settings, structure_key
from kexp.fused.structure.structure import NotFusableError, Structure

TINY = ("model.hidden=[4]", "trainer.epochs=2", "trainer.batch_size=20")


def analysed(*overrides: str) -> Structure:
    """The structure of a trial; by itself a check of two of its steps, with other numbers, against Keras' own."""
    trial = made.prepared(*TINY, *overrides)
    return analyse(trial, Tables().first_batches(trial, 2))


def traced(structure: Structure) -> set[str]:
    keys = {binding.key for binding in structure.functions.bindings} | structure.initial_state.keys
    return {".".join(map(str, key)) for key in keys} - {".".join(map(str, key)) for key in structure.constants}


def test_a_structure_is_told_by_the_settings_that_make_it_another() -> None:
    chosen = ((), ("optimizer=sgd",), ("trainer.batch_size=10", "model.hidden=[5]"))
    keys = [structure_key(made.prepared(*TINY, *overrides)) for overrides in chosen]
    told = [distinguishing_settings(key, keys) for key in keys]
    assert told == ["optimizer.name=adam", "optimizer.name=sgd", "model.hidden=[5], trainer.batch_size=10"]
    assert distinguishing_settings(keys[0], keys[:1]) == "the only structure"


@pytest.mark.parametrize(
    ("overrides", "numbers"),
    [
        (("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.clipnorm=0.5"), "learning_rate momentum clipnorm"),
        (("optimizer=rmsprop", "optimizer.clipvalue=0.1"), "learning_rate rho epsilon clipvalue"),
        (("optimizer=adagrad",), "learning_rate initial_accumulator_value epsilon"),
        (("optimizer=adadelta", "optimizer.global_clipnorm=0.5"), "learning_rate rho epsilon global_clipnorm"),
        (("optimizer=adam", "optimizer.amsgrad=true", "optimizer.use_ema=true"), "beta_1 beta_2 epsilon ema_momentum"),
        (("optimizer=adamax", "optimizer.weight_decay=0.01"), "learning_rate beta_1 beta_2 weight_decay"),
        (("optimizer=nadam", "optimizer.decay=0.001"), "learning_rate beta_1 beta_2 decay"),
    ],
)  # fmt: skip
def test_numbers_of_optimizer_are_inputs(overrides: tuple[str, ...], numbers: str) -> None:
    structure = analysed(*overrides)
    assert {f"optimizer.{name}" for name in numbers.split()} <= traced(structure)


@pytest.mark.parametrize(
    ("overrides", "number"),
    [
        (("loss=huber_loss", "loss.delta=0.7"), "loss.delta"),
        (("loss=categorical_crossentropy", "loss.label_smoothing=0.1"), "loss.label_smoothing"),
        (("loss=categorical_focal_crossentropy",), "loss.gamma"),
        (("activation=leaky_relu", "activation.negative_slope=0.3"), "activation.negative_slope"),
        (("activation=elu", "activation.alpha=0.5"), "activation.alpha"),
        (("model.dropout=0.3",), "model.dropout"),
        (("model.kernel_regularizer={name: l1_l2, l1: 0.001, l2: 0.01}",), "model.kernel_regularizer.l1"),
        (("optimizer.schedule={name: cosine_decay, alpha: 0.1}",), "optimizer.schedule.alpha"),
    ],
)
def test_numbers_of_losses_activations_layers_and_schedules_are_inputs(overrides: tuple[str, ...], number: str) -> None:
    assert number in traced(analysed(*overrides))


@pytest.mark.parametrize(
    "loss",
    "mean_squared_error mean_absolute_error mean_absolute_percentage_error mean_squared_logarithmic_error "
    "binary_crossentropy sparse_categorical_crossentropy squared_hinge hinge categorical_hinge logcosh "
    "kullback_leibler_divergence poisson cosine_proximity".split(),
)
def test_loss_trains_in_a_lane_as_in_a_step_of_keras(loss: str) -> None:
    assert "optimizer.learning_rate" in traced(analysed(f"loss={loss}", "metrics=[]"))


@pytest.mark.parametrize(
    ("loss", "metrics"),
    [
        ("categorical_crossentropy", "accuracy,categorical_accuracy,top_k_categorical_accuracy,binary_accuracy"),
        ("sparse_categorical_crossentropy", "accuracy,sparse_categorical_accuracy,sparse_top_k_categorical_accuracy"),
    ],
)
def test_metrics_are_measured_in_a_lane_as_in_a_step_of_keras(loss: str, metrics: str) -> None:
    assert "optimizer.learning_rate" in traced(analysed(f"loss={loss}", f"metrics=[{metrics}]"))


def test_every_activation_of_the_catalogue_trains_in_a_lane() -> None:
    names = "sigmoid hard_sigmoid tanh relu softmax elu selu softplus softsign linear".split()
    layers = ", ".join(f"{{name: Dense, units: 4, activation: {name}}}" for name in names)
    trial = made.prepared("model=sequential", f"model.layers=[{layers}]", "trainer.batch_size=20")
    assert "optimizer.learning_rate" in traced(analyse(trial, Tables().first_batches(trial, 2)))


PLUGIN = '''
import itertools
import time

import numpy as np
import keras

counter = itertools.count()


class Numbered(keras.layers.Dense):
    """A layer that is another at each build."""

    def __init__(self, units: int, **more):
        super().__init__(units, **more)
        self.number, self.made_at = next(counter), time.time()


class Small(keras.initializers.Initializer):
    """An initializer that is another at each build."""

    def __init__(self, scale: float = 0.1):
        self.scale, self.number = scale, next(counter)

    def __call__(self, shape, dtype=None):
        return keras.random.normal(shape, stddev=self.scale, dtype=dtype)


def damped(weight: float = 0.5):
    """A loss whose number lives in a closure."""

    def loss(y_true, y_pred):
        return weight * keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    return loss


def impure_loss(y_true, y_pred):
    """A loss in NumPy, which JAX cannot trace."""
    return np.mean((np.asarray(y_true) - np.asarray(y_pred)) ** 2)


def tensorflow_loss(y_true, y_pred):
    """A loss in TensorFlow, which JAX cannot trace."""
    import tensorflow as tf

    return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)


def impure_metric(y_true, y_pred):
    """A metric in NumPy."""
    return np.abs(np.asarray(y_pred)).mean(axis=-1)


def impure_activation(x):
    """An activation in NumPy."""
    return np.tanh(np.asarray(x))


class ImpureRegularizer(keras.regularizers.Regularizer):
    """A regularizer in NumPy."""

    def __call__(self, weights):
        return float(np.square(np.asarray(weights)).sum())


def impure_optimizer(learning_rate: float = 0.1):
    """An optimizer that looks at gradients in NumPy."""

    class Looking(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(np.asarray(gradient), variable, learning_rate)

    return Looking(learning_rate)
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lane_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("plugin")
def test_number_of_a_plugins_closure_is_an_input() -> None:
    assert "loss.weight" in traced(analysed("loss=lane_plugin:damped", "loss.weight=0.3"))


@pytest.mark.usefixtures("plugin")
def test_numbers_are_inputs_of_a_model_that_is_another_at_each_build() -> None:
    layer = "{name: 'lane_plugin:Numbered', units: 4, kernel_initializer: {name: 'lane_plugin:Small', scale: 0.2}}"
    chosen = ("model=sequential", f"model.layers=[{layer}, {{name: Dropout, rate: 0.2}}]", "trainer.batch_size=20")
    trial = made.prepared(*chosen)
    found = traced(analyse(trial, Tables().first_batches(trial, 2)))
    scale = "model.layers.0.kernel_initializer.scale"
    assert {"optimizer.learning_rate", scale, "model.layers.1.rate"} <= found


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("loss=lane_plugin:impure_loss", "loss: lane_plugin:impure_loss"),
        ("loss=lane_plugin:tensorflow_loss", "loss: lane_plugin:tensorflow_loss"),
        ("metrics=[accuracy,lane_plugin:impure_metric]", "metrics.impure_metric: lane_plugin:impure_metric"),
        ("activation=lane_plugin:impure_activation", "activation: lane_plugin:impure_activation"),
        ("model.kernel_regularizer=lane_plugin:ImpureRegularizer", r"model: a regularizer of layer \d \(Dense\)"),
        ("optimizer=lane_plugin:impure_optimizer", "optimizer: lane_plugin:impure_optimizer"),
    ],
)
def test_component_that_is_not_pure_falls_back_with_a_sentence_that_names_it(override: str, named: str) -> None:
    trial = made.prepared(*TINY, override)
    with pytest.raises(NotFusableError, match=rf"^{named} cannot be compiled by JAX: "):
        analyse(trial, Tables().first_batches(trial, 2))
