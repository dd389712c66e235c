"""The models: built for the data, trained, made again from their config."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from kexp.build import build_activation, build_model
from kexp.errors import ComponentError, ConfigError
from kexp.model import ModelSpec, adapt, check_model
from kexp.schema import component_node

DIGITS = ModelSpec((64,), (8, 8, 1), 10, "softmax")
PICTURES = ModelSpec((8, 6, 3), (8, 6, 3), 4, "softmax")
SEQUENCES = ModelSpec((7, 3), None, 2, "linear")
TABLE = ModelSpec((13,), None, 1, "sigmoid")


def model_of(spec: ModelSpec, name: str, **parameters: Any) -> keras.Sequential:
    return build_model(component_node("model", {"name": name, **parameters}, "model"), spec)


CASES = [
    ("mlp", DIGITS, {"hidden": [5], "dropout": 0.1, "batch_normalization": True}),
    ("mlp", SEQUENCES, {"kernel_initializer": "he_normal", "kernel_regularizer": {"name": "l2", "l2": 0.01}}),
    ("mlp", TABLE, {"hidden": []}),
    ("linear", TABLE, {}),
    ("cnn", DIGITS, {"filters": [3, 4], "dense": [5], "dropout": 0.1}),
    ("cnn", PICTURES, {"filters": [3], "pool": 1, "dense": [], "batch_normalization": True}),
    ("lstm", DIGITS, {"units": [4]}),
    ("lstm", SEQUENCES, {"units": [4, 3], "dense": [5], "dropout": 0.1, "bidirectional": True}),
]


@pytest.mark.parametrize(("name", "spec", "parameters"), CASES, ids=[f"{c[0]}-{len(c[1].input_shape)}d" for c in CASES])
def test_model_trains_and_is_made_again_from_its_config(name: str, spec: ModelSpec, parameters: dict[str, Any]) -> None:
    model = model_of(spec, name, **parameters)
    x = np.random.default_rng().normal(size=(8, *spec.input_shape)).astype(np.float32)
    y = np.random.default_rng().uniform(size=(8, spec.units)).astype(np.float32)
    adapt(model, lambda: [x])
    model.compile("adam", "mean_squared_error", run_eagerly=True)
    before = model.get_weights()
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    after = model.get_weights()
    assert all(np.isfinite(values).all() for values in after)
    assert any((one != other).any() for one, other in zip(before, after, strict=True))

    again = keras.Sequential.from_config(model.get_config())
    again.set_weights(after)
    for layer in again.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6, atol=1e-7)
    assert again.output_shape == (None, spec.units)


def test_normalisation_can_be_left_out_and_is_not_done_to_whole_numbers() -> None:
    kinds = [type(layer) for layer in model_of(TABLE, "mlp", normalize=False).layers]
    assert keras.layers.Normalization not in kinds
    kinds = [type(layer) for layer in model_of(replace(TABLE, input_dtype="int64"), "mlp").layers]
    assert keras.layers.Normalization not in kinds


@pytest.mark.parametrize(
    "activation", [{"name": "tanh"}, {"name": "elu", "alpha": 0.5}, {"name": "celu", "alpha": 2.0}]
)
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_hidden_layers_have_the_configs_activation(name: str, activation: dict[str, Any]) -> None:
    made = build_activation(component_node("activation", activation, "activation"))
    model = model_of(replace(DIGITS, activation=made), name)
    again = keras.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    x = np.random.default_rng().normal(size=(3, 64)).astype(np.float32)
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6)
    assert "relu" not in model.to_json()


def test_activation_may_be_a_function() -> None:
    model = model_of(replace(DIGITS, activation=keras.ops.sin), "mlp", normalize=False, hidden=[3])
    x = np.random.default_rng().normal(size=(3, 64)).astype(np.float32)
    kernel, bias = model.layers[0].get_weights()
    head = model.layers[-1]
    np.testing.assert_allclose(model(x), head(np.sin(x @ kernel + bias)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cnn", "model=cnn: needs images (height, width, channels), but the data's rows have shape (13,)"),
        ("lstm", "model=lstm: needs sequences (steps, features), or images to read row by row, but the data's rows"),
    ],
)
def test_model_refuses_rows_that_it_cannot_read(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_of(TABLE, name)
    assert str(caught.value).startswith(said)


def test_layers_of_a_model_do_not_begin_alike() -> None:
    first, second = model_of(replace(DIGITS, units=64), "mlp", hidden=[64]).layers[1:3]
    assert (first.get_weights()[0] != second.get_weights()[0]).mean() > 0.9


def test_models_may_be_unbuilt() -> None:
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
    assert check_model(model, TABLE) is model
    assert model.input_shape == (None, 13)


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        (lambda: "a text", ComponentError, "model: must be a keras.Model, got str"),
        (keras.Sequential, ConfigError, "model.layers: must have at least one layer"),
        (
            lambda: keras.Sequential([keras.Input((9,)), keras.layers.Dense(1)]),
            ConfigError,
            "model: takes rows of shape (9,), but the data's rows have shape (13,)",
        ),
        (
            lambda: keras.Sequential([keras.layers.Dense(4)]),
            ConfigError,
            "model: must end in the shape (None, 1) that data and loss ask for, got (None, 4)",
        ),
        (
            lambda: keras.Sequential([keras.layers.Dense(4), keras.layers.LSTM(1)]),
            ConfigError,
            "model.layers[1]: LSTM does not fit its input of shape (None, 4): expected ndim=3, found ndim=2",
        ),
    ],
    ids=["no model", "empty", "other rows", "other output", "misfit"],
)
def test_factory_that_returns_another_model_is_refused(model: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        check_model(model(), TABLE)
    assert str(caught.value) == said
