"""The free list of layers."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest

from kexp.build import build_model
from kexp.errors import ConfigError
from kexp.model import ModelSpec
from kexp.schema import component_node

DIGITS = ModelSpec((64,), (8, 8, 1), 10, "softmax")
TABLE = ModelSpec((13,), None, 3, "softmax")
CONVOLUTION = {"name": "Conv2D", "filters": 2, "kernel_size": 3}


def dense(units: int, **parameters: Any) -> dict[str, Any]:
    return {"name": "Dense", "units": units, **parameters}


def model_of(*layers: Any, spec: ModelSpec = DIGITS, **parameters: Any) -> keras.Sequential:
    node = {"name": "sequential", "layers": list(layers), **parameters}
    return build_model(component_node("model", node, "model"), spec)


def kinds(model: keras.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def refusal(*layers: Any, **parameters: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        model_of(*layers, **parameters)
    return str(caught.value)


def test_layers_stand_as_listed_and_an_output_layer_follows() -> None:
    model = model_of(dense(5, activation="relu"), {"name": "Dropout", "rate": 0.2}, "Flatten")
    assert kinds(model) == ["Dense", "Dropout", "Flatten", "Dense"]
    assert model.layers[-1].units == 10
    assert model.layers[-1].activation is keras.activations.softmax


def test_list_that_ends_in_the_output_is_left_alone() -> None:
    assert kinds(model_of(dense(5), dense(10, activation="softmax"))) == ["Dense", "Dense"]


def test_last_dense_without_activation_gets_the_outputs() -> None:
    model = model_of(dense(10))
    assert kinds(model) == ["Dense", "Activation"]
    x = np.random.default_rng().normal(size=(4, 64)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(x)).sum(-1), 1, rtol=1e-5)


def test_output_may_be_always_or_never_added() -> None:
    assert kinds(model_of(dense(10), output="always")) == ["Dense", "Dense"]
    assert kinds(model_of(dense(10), output="never")) == ["Dense"]
    assert refusal(dense(5), output="never").startswith("model: must end in the shape (None, 10)")


@pytest.mark.parametrize("declared", [{"input_shape": [64]}, {"input_dim": 64}])
def test_older_declarations_of_the_input_are_accepted_in_silence(declared: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = model_of(dense(5, **declared), dense(10, activation="softmax"))
    assert model.input_shape == (None, 64)
    assert keras.Sequential.from_config(model.get_config()).input_shape == (None, 64)


def test_declaration_that_is_not_the_datas_is_refused() -> None:
    said = "model.layers[0].input_shape: must be the shape of the data's rows, (64,), got (16,)"
    assert refusal(dense(5, input_shape=[16])) == refusal(dense(5, input_dim=16)) == said
    for name in ("Input", "InputLayer"):
        assert refusal({"name": name, "shape": [16]}, dense(5)) == said.replace("input_shape", "shape")
        assert refusal({"name": name, "batch_shape": [None, 16]}, dense(5)) == said.replace("input_shape", "shape")


@pytest.mark.parametrize("name", ["Input", "InputLayer"])
def test_input_in_the_list_means_what_keras_means(name: str) -> None:
    model = model_of({"name": name, "shape": [64], "batch_size": 4, "dtype": "int32"}, "Flatten", dense(10))
    plain = keras.Sequential([keras.Input((64,), batch_size=4, dtype="int32"), keras.layers.Flatten()])
    assert model.inputs[0].shape == plain.inputs[0].shape == (4, 64)
    assert model.inputs[0].dtype == plain.inputs[0].dtype == "int32"
    stateful = model_of(
        {"name": name, "batch_shape": [4, 8, 8]}, {"name": "LSTM", "units": 3, "stateful": True}, dense(10)
    )
    assert stateful.input_shape == (4, 64)
    assert stateful(np.zeros((4, 64))).shape == (4, 10)


def test_images_without_channels_may_be_declared_with_one() -> None:
    grey = ModelSpec((8, 8), None, 10, "softmax")
    assert model_of({"name": "Input", "shape": [8, 8, 1]}, CONVOLUTION, "Flatten", spec=grey).input_shape == (
        None,
        8,
        8,
    )
    wide = ModelSpec((4, 16), None, 10, "softmax")
    said = "model.layers[0].shape: must be the shape of the data's rows, (4, 16), got (16, 4, 1)"
    assert refusal({"name": "Input", "shape": [16, 4, 1]}, CONVOLUTION, "Flatten", spec=wide) == said


def test_input_that_is_no_input_of_dense_rows_is_refused() -> None:
    said = "model.layers[0].sparse: must be false, as the data's rows are dense arrays, got true"
    assert refusal({"name": "Input", "shape": [64], "sparse": True}, dense(5)) == said
    assert (
        refusal(dense(5), {"name": "Input", "shape": [5]}) == "model.layers[1]: Input must be the first of the layers"
    )


def test_cells_and_wrapped_layers_are_named_like_layers() -> None:
    stacked = {"name": "RNN", "cell": [{"name": "LSTMCell", "units": 3}, {"name": "GRUCell", "units": 2}]}
    model = model_of({"name": "Reshape", "target_shape": [8, 8]}, stacked)
    assert [type(cell).__name__ for cell in model.layers[1].cell.cells] == ["LSTMCell", "GRUCell"]
    wrapped = model_of(
        {"name": "Reshape", "target_shape": [8, 8]}, {"name": "TimeDistributed", "layer": "Softmax"}, "Flatten"
    )
    assert type(wrapped.layers[1].layer).__name__ == "Softmax"


@pytest.mark.parametrize(
    "layers",
    [
        [CONVOLUTION, "Flatten"],
        [{**CONVOLUTION, "input_shape": [8, 8, 1]}, "Flatten"],
        [{"name": "InputLayer", "shape": [8, 8, 1]}, "Flatten"],
        [{"name": "LSTM", "units": 3}],
    ],
    ids=["convolution", "declared", "input layer", "recurrent"],
)
def test_flat_images_are_folded_for_the_first_layer(layers: list[Any]) -> None:
    model = model_of(*layers)
    assert kinds(model)[0] == "Reshape"
    assert model.input_shape == (None, 64)
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (
            [dense(4), CONVOLUTION],
            "model.layers[1]: Conv2D does not fit its input of shape (None, 4): expected min_ndim=4, found ndim=2",
        ),
        (
            [{"name": "InputLayer", "shape": [64]}, dense(4), {"name": "LSTM", "units": 3}],
            "model.layers[2]: LSTM does not fit its input of shape (None, 4): expected ndim=3, found ndim=2",
        ),
        (
            [CONVOLUTION, {"name": "Conv2D", "filters": 2, "kernel_size": 9}],
            "model.layers[1]: Conv2D does not fit its input of shape (None, 6, 6, 2): "
            "Computed output size would be zero or negative",
        ),
        (
            [CONVOLUTION],
            "model.layers: must end in one row of numbers before the output layer, got the shape (None, 6, 6, 2); "
            "end with Flatten or a pooling, or set model.output=never",
        ),
    ],
    ids=["second", "after an input layer", "folded", "no row"],
)
def test_layer_that_does_not_fit_is_named_by_its_index(layers: list[Any], said: str) -> None:
    assert refusal(*layers) == said


def test_scores_at_each_step_say_which_loss_takes_the_targets_for_classes() -> None:
    steps = ModelSpec(input_shape=(12, 4), image_shape=None, units=8, output_activation="linear")
    layers = [{"name": "LSTM", "units": 3}, {"name": "RepeatVector", "n": 8}]
    said = "if the targets are a class at each of 8 steps, choose loss=sparse_categorical_crossentropy"
    assert refusal(*layers, dense(5), spec=steps).endswith(f"got the shape (None, 8, 5); {said}")
    assert refusal(*layers, dense(5), spec=steps, output="never").endswith(f"got (None, 8, 5); {said}")
    assert "Flatten" in refusal(*layers, dense(1), spec=steps)


def test_convolution_on_a_table_is_refused() -> None:
    said = "model.layers[0]: Conv2D does not fit its input of shape (None, 13): expected min_ndim=4, found ndim=2"
    assert refusal(CONVOLUTION, spec=TABLE) == said


def test_empty_list_is_refused() -> None:
    assert refusal() == "model.layers: must have at least one layer"
    assert refusal({"name": "InputLayer", "shape": [64]}) == "model.layers: must have at least one layer"


def test_dense_takes_every_argument_by_name_or_node() -> None:
    model = model_of(
        dense(
            4,
            activation="tanh",
            use_bias=True,
            kernel_initializer={"name": "random_normal", "stddev": 0.2},
            bias_initializer={"name": "constant", "value": 0.5},
            kernel_regularizer={"name": "l1_l2", "l1": 0.1, "l2": 0.2},
            bias_regularizer="l2",
            activity_regularizer={"name": "l2", "l2": 0.3},
            kernel_constraint={"name": "max_norm", "max_value": 1.5},
            bias_constraint="non_neg",
        )
    )
    layer = model.layers[0]
    np.testing.assert_array_equal(layer.get_weights()[1], np.full(4, 0.5, np.float32))
    assert float(layer.kernel_regularizer.l1) == pytest.approx(0.1)
    assert float(layer.activity_regularizer.l2) == pytest.approx(0.3)
    assert layer.kernel_constraint.max_value == 1.5
    assert isinstance(layer.bias_constraint, keras.constraints.NonNeg)
    again = keras.Sequential.from_config(model.get_config()).layers[0]
    assert again.get_config() == layer.get_config()
