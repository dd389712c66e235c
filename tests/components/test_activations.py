"""The catalogue's activations against their formulae, and activations with parameters in saved models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kexp.build import build, build_activation
from kexp.model.spec import activation_layer
from kexp.schema import component_node
from kexp.serving.parts import stand_ins

Array = Any


def layer_of(name: str, **parameters: Any) -> keras.layers.Layer:
    return activation_layer(build_activation(component_node("activation", {"name": name, **parameters}, "activation")))


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. (2017), Self-normalizing neural networks

FORMULAE: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softmax": softmax,
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "selu": lambda x: SCALE * np.where(x > 0, x, ALPHA * (np.exp(x) - 1)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "linear": lambda x: x,
}


@pytest.mark.parametrize("name", FORMULAE)
@pytest.mark.parametrize("shape", [(6, 5), (3, 4, 5)], ids=["rows", "steps"])
def test_activation_equals_its_formula(name: str, shape: tuple[int, ...]) -> None:
    x = (np.random.default_rng().normal(size=shape) * 3).astype(np.float32)
    np.testing.assert_allclose(layer_of(name)(x), FORMULAE[name](x.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_activation_with_default_parameters_stays_a_name() -> None:
    assert build_activation(component_node("activation", {"name": "elu", "alpha": 1.0}, "activation")) == "elu"


PARAMETRIC: list[tuple[str, dict[str, Any], Callable[[Array], Array]]] = [
    ("elu", {"alpha": 0.5}, lambda x: np.where(x > 0, x, 0.5 * (np.exp(x) - 1))),
    ("relu", {"max_value": 1.5, "negative_slope": 0.1}, lambda x: np.where(x < 0, 0.1 * x, np.minimum(x, 1.5))),
    ("leaky_relu", {"negative_slope": 0.3}, lambda x: np.where(x < 0, 0.3 * x, x)),
    ("celu", {"alpha": 2.0}, lambda x: np.maximum(x, 0) + np.minimum(0, 2 * (np.exp(x / 2) - 1))),
    ("hard_shrink", {"threshold": 1.0}, lambda x: np.where(np.abs(x) > 1, x, 0)),
]


@pytest.mark.parametrize(("name", "parameters", "formula"), PARAMETRIC, ids=[row[0] for row in PARAMETRIC])
def test_activation_with_parameters_equals_its_formula_and_survives_saving(
    name: str, parameters: dict[str, Any], formula: Callable[[Array], Array], tmp_path: Path
) -> None:
    x = (np.random.default_rng().normal(size=(6, 5)) * 2).astype(np.float32)
    model = keras.Sequential([keras.Input((5,)), layer_of(name, **parameters)])
    np.testing.assert_allclose(model(x), formula(x.astype(np.float64)), rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))
    np.testing.assert_array_equal(keras.models.model_from_json(model.to_json())(x), model(x))


def test_glu_halves_the_width_and_what_follows_is_told(tmp_path: Path) -> None:
    """A Dense of Keras' with activation="glu" says that it is twice as wide as it is, and nothing fits behind it."""
    x = np.random.default_rng().normal(size=(6, 4)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,)), layer_of("glu"), keras.layers.Dense(3)])
    assert model.layers[0].output.shape == (None, 2)
    np.testing.assert_allclose(
        model.layers[0](x), x[:, :2] / (1 + np.exp(-x[:, 2:].astype(float))), rtol=1e-5, atol=1e-6
    )
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


def test_each_layer_gets_an_activation_layer_of_its_own() -> None:
    made = build_activation(component_node("activation", {"name": "elu", "alpha": 0.5}, "activation"))
    assert activation_layer(made) is not activation_layer(made)


def test_activation_of_a_dense_layer_takes_parameters() -> None:
    node = {"name": "Dense", "units": 3, "activation": {"name": "elu", "alpha": 0.25}, "use_bias": False}
    dense = build(component_node("layer", node, "model.layers[0]"))
    x = np.random.default_rng().normal(size=(4, 2)).astype(np.float32)
    y = np.asarray(dense(x))
    linear = x @ np.asarray(dense.kernel)
    np.testing.assert_allclose(y, np.where(linear > 0, linear, 0.25 * (np.exp(linear) - 1)), rtol=1e-5, atol=1e-6)
    again = keras.layers.Dense.from_config(dense.get_config())
    again.build(x.shape)
    again.set_weights(dense.get_weights())
    np.testing.assert_array_equal(np.asarray(again(x)), y)


@pytest.mark.parametrize(
    ("kept", "settings", "expected"),
    [
        (["own_habits", "leaky", "made"], {"slope": 0.5}, [-1.0, 4.0]),
        (["own_parts", "wave"], {}, [-0.9092974, -0.7568025]),
    ],
)
def test_a_model_finds_an_activation_of_ones_own_where_kexp_is_not(
    kept: list[str], settings: dict[str, float], expected: list[float]
) -> None:
    name = ":".join(kept[:2])
    layer = stand_ins({name: kept})["kexp>ParametricActivation"](name, settings)
    np.testing.assert_allclose(np.asarray(layer(np.array([-2.0, 4.0], np.float32))), expected, rtol=1e-6)
