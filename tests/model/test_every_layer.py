"""Every layer that Keras has: in a list of layers it trains a step from its defaults, or a sentence says why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from layer_steps import ROWS, SETTINGS, loss_of_a_step

from kexp import registry
from kexp.config import compose, plain
from kexp.errors import ConfigError
from kexp.schema import check
from kexp.signatures import REQUIRED

SHAPES = {
    "row": (6,),
    "wide": (32,),
    "sequence": (4, 3),
    "image": (8, 8, 3),
    "volume": (4, 4, 4, 2),
    "clip": (2, 4, 4, 4, 2),
    "wave": (2100,),
    "waves": (300, 1),
}
# What a layer needs besides its defaults.
NEEDS = {
    "units": "3",
    "filters": "2",
    "kernel_size": "2",
    "pool_size": "2",
    "output_size": "2",
    "size": "2",
    "rate": "0.2",
    "factor": "0.2",
    "n": "2",
    "dims": "[2, 1]",
    "height": "4",
    "width": "4",
    "num_bins": "3",
    "target_shape": "[2, -1]",
    "activation": "tanh",
    "equation": "'ab,bc->ac'",
    "output_shape": "3",
    "input_dim": "5",
    "output_dim": "3",
    "layer": "{name: Dense, units: 3}",
    "cell": "{name: GRUCell, units: 3}",
    "layers": "[RandomFlip, {name: Rescaling, scale: 0.5}]",
    "scale": "0.5",
    "stddev": "0.2",
    "height_factor": "0.2",
    "width_factor": "0.2",
    "cells": "[{name: GRUCell, units: 3}]",
}
MORE = {
    "Bidirectional": "layer: {name: LSTM, units: 3}",
    "CategoryEncoding": "num_tokens: 5",
    "Discretization": "num_bins: 3",
    "RandomPosterization": "factor: 4",
    "Input": "shape: [6]",
    "InputLayer": "shape: [6]",
}
INPUTS = {
    "ConvLSTM1D": "image",
    "ConvLSTM2D": "volume",
    "ConvLSTM3D": "clip",
    "GroupNormalization": "wide",
    "MelSpectrogram": "wave",
    "STFTSpectrogram": "waves",
    "CategoryEncoding": "numbers",
    "Embedding": "numbers",
    "Hashing": "numbers",
    "IntegerLookup": "numbers",
    "ReversibleEmbedding": "numbers",
}
SERIES = ("GRU", "LSTM", "SimpleRNN", "RNN", "Bidirectional", "Masking", "Permute", "TimeDistributed")
PICTURES = (
    "AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MixUp Pipeline"
    " RandAugment Resizing Solarization"
).split()
SEVERAL = (
    "takes several inputs, and a list of layers passes one; write the model as a function and choose it by reference,"
    " model=my_module:my_model"
)
FUNCTION = "takes a function, which a config cannot write; write a layer of your own and name it, my_module:MyLayer"
REFUSED = {
    **dict.fromkeys("Add Average Concatenate Dot Maximum Minimum Multiply Subtract".split(), SEVERAL),
    **dict.fromkeys("AdditiveAttention Attention GroupQueryAttention MultiHeadAttention".split(), SEVERAL),
    **dict.fromkeys("HashedCrossing MaxNumBoundingBoxes".split(), SEVERAL),
    **dict.fromkeys("FlaxLayer JaxLayer Lambda TorchModuleWrapper".split(), FUNCTION),
    "GRUCell": "is one step of a recurrent layer; write {name: RNN, cell: {name: GRUCell, ...}}",
    "LSTMCell": "is one step of a recurrent layer; write {name: RNN, cell: {name: LSTMCell, ...}}",
    "SimpleRNNCell": "is one step of a recurrent layer; write {name: RNN, cell: {name: SimpleRNNCell, ...}}",
    "StackedRNNCells": (
        "is one step of a recurrent layer; write {name: RNN, cell: {name: StackedRNNCells, cells: [...]}}"
    ),
    "Wrapper": "is the base class of Keras' wrappers and does nothing itself; use TimeDistributed or Bidirectional",
}
# What the layer reads tells whether it can stand there: a file, text. Their refusals are asserted below.
READERS = {
    "TFSMLayer": "{name: TFSMLayer, filepath: nowhere}",
    "StringLookup": "StringLookup",
    "TextVectorization": "TextVectorization",
}
CELLS = {
    "GRUCell": "{name: GRUCell, units: 3}",
    "LSTMCell": "{name: LSTMCell, units: 3}",
    "SimpleRNNCell": "{name: SimpleRNNCell, units: 3}",
    "StackedRNNCells": "{name: StackedRNNCells, cells: [{name: LSTMCell, units: 3}, {name: GRUCell, units: 2}]}",
    "a list": "[{name: LSTMCell, units: 3}, {name: GRUCell, units: 2}]",
}


def rows_for(name: str) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(3)
    kind = INPUTS.get(name)
    if kind == "numbers":
        return rng.integers(0, 5, size=(ROWS, 6))
    if kind is None:
        dimension = re.search("([123])D", name)
        kind = "row"
        if dimension:
            kind = {"1": "sequence", "2": "image", "3": "volume"}[dimension[1]]
        elif name in SERIES:
            kind = "sequence"
        elif name in PICTURES or name.startswith("Random"):
            kind = "image"
    return rng.uniform(size=(ROWS, *SHAPES[kind])).astype(np.float32)


def node_of(name: str) -> str:
    required = [each.name for each in registry.find("layer", name).signature().parameters if each.default is REQUIRED]
    more = MORE.get(name) or ", ".join(f"{each}: {NEEDS.get(each, 'none')}" for each in required)
    return f"{{name: {name}, {more}}}" if more else name


def trainable() -> Iterator[Any]:
    """Every layer; those that differ from another by a dimension or a name alone are slow ones' matter."""
    for name in registry.names("layer"):
        if name not in REFUSED and name not in READERS:
            alike = re.search("[13]D|Convolution|AvgPool|MaxPool[123]|Random(?!Flip|Crop)", name)
            yield pytest.param(name, marks=[pytest.mark.slow] if alike else [])


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights", "ignore:.*does not support masking")
@pytest.mark.parametrize("name", trainable())
def test_layer_trains_a_step_from_its_defaults(name: str) -> None:
    layers = f"[{node_of(name)}, Flatten, {{name: Dense, units: 4}}]"
    assert np.isfinite(loss_of_a_step(layers, rows_for(name)))


@pytest.mark.parametrize("cell", CELLS)
def test_cell_trains_a_step_inside_a_recurrent_layer(cell: str) -> None:
    assert np.isfinite(loss_of_a_step(f"[{{name: RNN, cell: {CELLS[cell]}}}]", rows_for("RNN")))


@pytest.mark.parametrize("name", REFUSED)
def test_layer_that_no_list_can_hold_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(plain(compose([*SETTINGS, f"model.layers=[Flatten, {node_of(name)}]"])))
    assert str(caught.value) == f"model.layers[1]: {name} {REFUSED[name]}"


@pytest.mark.parametrize("name", ["StringLookup", "TextVectorization"])
def test_layer_that_reads_text_refuses_numbers(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loss_of_a_step(f"[{name}]", rows_for(name))
    assert str(caught.value) == f"model.layers[0]: {name} reads text, but the data's rows are numbers, float32"


def test_layer_that_reads_a_file_says_that_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"^model\.layers\[0\]: .*nowhere"):
        loss_of_a_step(f"[{READERS['TFSMLayer']}]", rows_for("TFSMLayer"))


@pytest.mark.parametrize(
    "layer", ["{name: IntegerLookup, vocabulary: [1, 2, 3]}", "{name: Discretization, bin_boundaries: [0.2, 0.5]}"]
)
def test_layer_keeps_what_the_config_says_it_would_learn(layer: str) -> None:
    assert np.isfinite(loss_of_a_step(f"[{layer}, Flatten]", rows_for("Hashing")))
