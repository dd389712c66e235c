"""What losses, metrics and models need of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kexp import registry, traits
from kexp.build import build_loss
from kexp.config import compose, plain
from kexp.data import as_data, split
from kexp.data.sources.builtin import breast_cancer, diabetes, digits
from kexp.errors import DataError
from kexp.experiment import prepare
from kexp.schema import check, component_node

# loss -> (targets, output) for classes, (targets, output) for a regression; None where that is refused.
LOSSES: dict[str, tuple[tuple[str, str], tuple[str, str] | None]] = {
    "mean_squared_error": (("dense", "softmax"), ("dense", "linear")),
    "mean_absolute_error": (("dense", "softmax"), ("dense", "linear")),
    "mean_absolute_percentage_error": (("dense", "softmax"), ("dense", "linear")),
    "mean_squared_logarithmic_error": (("dense", "softmax"), ("non_negative", "softplus")),
    "binary_crossentropy": (("binary", "sigmoid"), ("binary", "sigmoid")),
    "categorical_crossentropy": (("one_hot", "softmax"), None),
    "sparse_categorical_crossentropy": (("class_index", "softmax"), None),
    "squared_hinge": (("one_hot", "linear"), ("signed", "linear")),
    "hinge": (("one_hot", "linear"), ("signed", "linear")),
    "categorical_hinge": (("one_hot", "linear"), None),
    "logcosh": (("dense", "softmax"), ("dense", "linear")),
    "huber_loss": (("dense", "softmax"), ("dense", "linear")),
    "kullback_leibler_divergence": (("one_hot", "softmax"), None),
    "poisson": (("dense", "softmax"), ("non_negative", "softplus")),
    "cosine_proximity": (("dense", "softmax"), ("dense", "linear")),
}


def of(group: str, name: str, parameters: dict[str, Any] | None = None) -> traits.Traits:
    return traits.of(registry.find(group, name), parameters)


def problem(loss: str, metrics: list[str], task: str, outputs: int) -> str | None:
    return traits.targets_problem(loss, of("loss", loss), {m: of("metrics", m) for m in metrics}, task, outputs)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_says_which_targets_and_which_output_it_wants(name: str) -> None:
    classes, numbers = LOSSES[name]
    found = of("loss", name)
    output = traits.output_for(found, {}, task="classification", outputs=10)
    assert (found.targets_for("classification"), output) == (classes[0], (10, classes[1]))
    assert problem(name, [], "classification", 10) is None
    if numbers is None:
        expected = f"loss: {name} is for a classification, but the data is a regression; choose loss=mean_squared_error"
        assert problem(name, [], "regression", 1) == expected
    else:
        output = traits.output_for(found, {}, task="regression", outputs=3)
        assert (found.targets_for("regression"), output) == (numbers[0], (3, numbers[1]))
        assert problem(name, [], "regression", 3) is None


def test_second_names_have_the_same_traits() -> None:
    for modern, name in (("kl_divergence", "kullback_leibler_divergence"), ("huber", "huber_loss")):
        assert of("loss", modern) == of("loss", name)


def test_binary_loss_of_two_classes_has_one_output() -> None:
    assert traits.output_for(of("loss", "binary_crossentropy"), {}, task="classification", outputs=2) == (1, "sigmoid")


def test_logits_have_a_linear_output_and_two_classes_two_of_them() -> None:
    logits = {"from_logits": True}
    for name in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        assert traits.output_for(of("loss", name, logits), logits, task="classification", outputs=4) == (4, "linear")
    binary = of("loss", "binary_crossentropy", logits)
    assert traits.output_for(binary, logits, task="classification", outputs=2) == (2, "linear")
    assert binary.targets_for("classification") == "one_hot"


def test_categorical_loss_that_takes_indices_is_an_exception() -> None:
    for name in ("categorical_generalized_cross_entropy", "circle"):
        assert of("loss", name).targets == "class_index"


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_automatic_choices_go_together(task: str) -> None:
    loss, metrics = traits.choices_for(task)
    assert problem(loss, list(metrics.values()), task, 3) is None


@pytest.mark.parametrize("name", LOSSES)
def test_accuracy_goes_with_every_loss_of_classes(name: str) -> None:
    assert problem(name, ["accuracy"], "classification", 2) is None
    assert problem(name, ["accuracy"], "classification", 10) is None


@pytest.mark.parametrize(
    ("loss", "metric", "outputs", "said"),
    [
        (
            "sparse_categorical_crossentropy",
            "categorical_accuracy",
            10,
            "metrics: categorical_accuracy wants one-hot targets, but loss=sparse_categorical_crossentropy trains on "
            "class indices; choose metrics=[sparse_categorical_accuracy] or loss=categorical_crossentropy",
        ),
        (
            "huber_loss",
            "sparse_top_k_categorical_accuracy",
            10,
            "metrics: sparse_top_k_categorical_accuracy wants class indices, but loss=huber_loss trains on one-hot "
            "targets; choose metrics=[top_k_categorical_accuracy] or loss=sparse_categorical_crossentropy",
        ),
        (
            "binary_crossentropy",
            "categorical_accuracy",
            2,
            "metrics: categorical_accuracy wants one-hot targets, but loss=binary_crossentropy trains on one column of "
            "0/1 targets; choose metrics=[binary_accuracy] or loss=categorical_crossentropy",
        ),
        (
            "sparse_categorical_crossentropy",
            "mean_squared_error",
            10,
            "metrics: mean_squared_error wants one-hot or numeric targets, but loss=sparse_categorical_crossentropy "
            "trains on class indices; choose metrics=[accuracy] or loss=categorical_crossentropy",
        ),
        (
            "sparse_categorical_crossentropy",
            "auc",
            2,
            "metrics: auc wants 0/1 targets, but loss=sparse_categorical_crossentropy trains on class indices; "
            "choose metrics=[accuracy] or loss=binary_crossentropy",
        ),
    ],
)
def test_metric_of_other_targets_says_what_to_choose(loss: str, metric: str, outputs: int, said: str) -> None:
    assert problem(loss, [metric], "classification", outputs) == said
    chosen = said.rpartition("choose metrics=[")[2].partition("]")[0]
    assert problem(loss, [chosen], "classification", outputs) is None
    assert problem(said.rpartition("loss=")[2], [metric], "classification", outputs) is None


def test_metric_of_classes_is_refused_for_a_regression() -> None:
    assert problem("mean_squared_error", ["accuracy"], "regression", 1) == (
        "metrics: accuracy is for a classification, but the data is a regression; choose metrics=[mean_absolute_error]"
    )
    assert "choose metrics=[mean_absolute_error]" in str(problem("mean_squared_error", ["auc"], "regression", 1))
    assert problem("huber_loss", ["mean_absolute_error", "r2_score"], "regression", 1) is None


def test_several_labels_a_row_are_counted_bit_by_bit() -> None:
    assert problem("binary_crossentropy", ["binary_accuracy", "auc"], "regression", 4) is None
    assert "choose metrics=[binary_accuracy]" in str(problem("binary_crossentropy", ["accuracy"], "regression", 4))


def test_declared_traits_are_read_off_the_factory() -> None:
    @traits.declare(targets="one_hot", output="sigmoid")
    def factory() -> None: ...

    assert factory.kexp_traits == traits.Traits("one_hot", output="sigmoid", task="classification")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="targets must be one of class_index"):
        traits.declare(targets="onehot")  # type: ignore[arg-type]


def test_models_declare_their_inputs() -> None:
    assert of("model", "cnn").inputs == "images"
    assert of("model", "lstm").inputs == "sequences"
    assert of("model", "mlp").inputs == "any"


@pytest.mark.parametrize(
    ("needs", "shape", "image", "fits"),
    [
        ("any", (13,), None, True),
        ("images", (13,), None, False),
        ("images", (64,), (8, 8, 1), True),
        ("images", (8, 8, 3), None, True),
        ("sequences", (13,), None, False),
        ("sequences", (20, 3), None, True),
        ("sequences", (64,), (8, 8, 1), True),
    ],
)
def test_inputs_problem_names_the_shape(needs: Any, shape: Any, image: Any, fits: bool) -> None:
    said = traits.inputs_problem(needs, shape, image)
    assert said is None if fits else f"shape {shape}" in str(said)


def learned(name: str, source: Any, steps: int = 20) -> tuple[list[float], float]:
    """The loss before and after some steps of a linear model on data in the form that the loss wants, and the share of
    its outputs that are on the right side."""
    node = component_node("loss", name, "loss")
    splits = split(as_data(source()))
    wanted, spec = traits.of(node.component, node.parameters), splits.spec
    x, y = splits.encode(wanted.targets_for(spec.task)).train.arrays()
    x, y = ((x - x.mean(0)) / (x.std(0) + 1e-6))[:300], y[:300]
    units, activation = traits.output_for(wanted, node.parameters, task=spec.task, outputs=spec.outputs)
    layer, loss = keras.layers.Dense(units, activation=activation), build_loss(node)
    layer.build(x.shape)
    optimizer = keras.optimizers.Adam(0.1)
    values = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            value = loss(y, layer(x))
        optimizer.apply(tape.gradient(value, layer.trainable_weights), layer.trainable_weights)
        values.append(float(value))
    p = np.asarray(layer(x))
    if units == 1:
        return values, float(((p > 0.5) == (y > 0.5)).mean())
    return values, float((p.argmax(-1) == (y if y.ndim == 1 else y.argmax(-1))).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_of_the_catalogue_learns_the_digits(name: str) -> None:
    values, accuracy = learned(name, digits)
    assert np.isfinite(values).all()
    assert values[-1] < values[0]
    assert accuracy > 0.85


@pytest.mark.parametrize("name", ["binary_crossentropy", "hinge", "huber_loss"])
def test_losses_learn_two_classes(name: str) -> None:
    assert learned(name, breast_cancer)[1] > 0.9


@pytest.mark.parametrize("name", ["poisson", "mean_squared_logarithmic_error", "mean_absolute_percentage_error"])
def test_losses_with_logarithms_learn_a_regression(name: str) -> None:
    values, _ = learned(name, diabetes)
    assert np.isfinite(values).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (["loss=poisson"], "loss: poisson"),
        (["loss=mean_squared_logarithmic_error"], "loss: mean_squared_logarithmic_error"),
        (["loss=mean_squared_error", "metrics=[poisson]"], "metrics: poisson"),
    ],
)
def test_logarithms_refuse_negative_targets_before_compute(chosen: list[str], said: str, tmp_path: Path) -> None:
    file = tmp_path / "temperatures.npz"
    np.savez(file, x=np.random.default_rng().random((40, 3)), y=np.linspace(-12.5, 30.0, 40))
    with pytest.raises(DataError) as raised:
        prepare(check(plain(compose(["data=npz", f"data.path={file}", "data.task=regression", *chosen]))))
    wanted = f"{said} needs targets of 0 or more, but the data is a regression with 1 output from "
    assert str(raised.value).startswith(wanted)
