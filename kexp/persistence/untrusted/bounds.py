"""Upper bounds of a model's size, computed only from a flat Sequential config.

A file of a few bytes can request a layer of ten thousand million units, which Keras allocates when it builds the layer.
All figures are upper bounds: convolutions and pooling are computed as if they padded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["largest_sizes"]

Shape = list[int]
_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def largest_sizes(
    layers: Sequence[tuple[str, Mapping[str, Any]]], input_shape: Sequence[int | None]
) -> tuple[int, int]:
    """Computes upper bounds of the number of weights and of the values in one example between two layers.

    Args:
        layers: class name and config of each layer in order, with plain values only.
        input_shape: shape of one example; a variable length, None, counts as 1, since no weight depends on it.

    Returns:
        (weights, values).

    Raises:
        ValueError: a layer's config is inconsistent, as for TypeError, KeyError and IndexError.
    """
    shape: Shape = [1 if size is None else int(size) for size in input_shape]
    weights, elements = 0, math.prod(shape)
    for kind, config in layers:
        more, shape = _step(kind, config, shape)
        weights, elements = weights + more, max(elements, math.prod(shape))
    return weights, elements


def _step(kind: str, config: Mapping[str, Any], shape: Shape) -> tuple[int, Shape]:
    """Returns the number of weights of one layer and its output shape."""
    weights = 0
    if kind == "InputLayer":
        given = config.get("batch_shape") or config.get("batch_input_shape")
        shape = [1 if size is None else int(size) for size in given[1:]] if given else shape
    elif kind == "Dense":
        weights, shape = (shape[-1] + 1) * config["units"], [*shape[:-1], config["units"]]
    elif kind == "Embedding":
        weights, shape = config["input_dim"] * config["output_dim"], [*shape, config["output_dim"]]
    elif kind in _GATES:
        units, steps = config["units"], shape[:1] if config.get("return_sequences") else []
        weights, shape = _GATES[kind] * units * (shape[-1] + units + 2), [*steps, units]
    elif "Conv" in kind:
        weights, shape = _convolution(kind, config, shape)
    elif "Normalization" in kind or kind == "PReLU":
        weights = 4 * _along(config.get("axis"), shape) + 1
    else:
        shape = _reshaped(kind, config, shape)
    return weights, shape


def _convolution(kind: str, config: Mapping[str, Any], shape: Shape) -> tuple[int, Shape]:
    """Returns an upper bound of the number of weights of a convolution, and of its output shape."""
    channels, rank = _channels(config, shape), len(shape) - 1
    kernel = math.prod(_each(config["kernel_size"], rank))
    inner = channels * config.get("depth_multiplier", 1)
    outputs = inner if kind.startswith("Depthwise") else config["filters"]
    if kind.startswith("Depthwise"):
        weights = kernel * inner + inner
    elif kind.startswith("Separable"):
        weights = kernel * inner + inner * outputs + outputs
    else:
        weights = kernel * channels * outputs + outputs
    strides = _each(config.get("strides", 1), rank)
    if "Transpose" not in kind:
        grown = _strided(_spatial(config, shape), strides)
    else:
        grown, sizes = _spatial(config, shape), _each(config["kernel_size"], rank)
        dilation = _each(config.get("dilation_rate", 1), rank)
        grown = [
            size * by + wide * apart for size, by, wide, apart in zip(grown, strides, sizes, dilation, strict=True)
        ]
    return weights, _with_channels(config, grown, outputs)


def _reshaped(kind: str, config: Mapping[str, Any], shape: Shape) -> Shape:
    """Returns the output shape of a layer without weights; the input shape if the layer keeps it."""
    total = math.prod(shape)
    if kind == "Flatten":
        shape = [total]
    elif kind == "Reshape":
        shape = [total if size == -1 else size for size in config["target_shape"]]
    elif kind == "RepeatVector":
        shape = [config["n"], *shape]
    elif kind == "Permute":
        shape = [shape[axis - 1] for axis in config["dims"]]
    elif kind == "CategoryEncoding":
        shape = [*shape[:-1], config["num_tokens"]]
    elif kind.startswith("Global"):
        shape = [_channels(config, shape)]
    elif "Pooling" in kind:
        strides = _each(config.get("strides") or config["pool_size"], len(shape) - 1)
        shape = _with_channels(config, _strided(_spatial(config, shape), strides), _channels(config, shape))
    elif kind.startswith(("UpSampling", "ZeroPadding")):
        spatial = _spatial(config, shape)
        if kind.startswith("Up"):
            grown = [size * by for size, by in zip(spatial, _each(config["size"], len(spatial)), strict=True)]
        else:
            padding = config["padding"]
            # In 1D the list has the two ends of the only dimension, otherwise one entry for each dimension.
            sides = [padding] if kind.endswith("1D") else _each(padding, len(spatial))
            grown = [size + _padding_sum(side) for size, side in zip(spatial, sides, strict=True)]
        shape = _with_channels(config, grown, _channels(config, shape))
    return shape


def _along(axis: Any, shape: Shape) -> int:
    """Returns the number of values of one example along an axis or axes (0 is the batch); all without an axis."""
    axes = axis if isinstance(axis, list) else [axis]
    if not all(type(each) is int and each != 0 for each in axes):
        return math.prod(shape)
    return math.prod(shape[each if each < 0 else each - 1] for each in axes)


def _strided(sizes: Shape, strides: Shape) -> Shape:
    return [-(-size // by) for size, by in zip(sizes, strides, strict=True)]


def _with_channels(config: Mapping[str, Any], spatial: Shape, channels: int) -> Shape:
    return [*spatial, channels] if _channels_last(config) else [channels, *spatial]


def _channels_last(config: Mapping[str, Any]) -> bool:
    return config.get("data_format") != "channels_first"


def _channels(config: Mapping[str, Any], shape: Shape) -> int:
    return shape[-1] if _channels_last(config) else shape[0]


def _spatial(config: Mapping[str, Any], shape: Shape) -> Shape:
    return shape[:-1] if _channels_last(config) else shape[1:]


def _each(value: Any, rank: int) -> Shape:
    """Returns a value for each dimension: Keras accepts one number for all dimensions or a list."""
    return list(value) if isinstance(value, list) else [value] * rank


def _padding_sum(value: Any) -> int:
    """Returns an upper bound of what a padding adds to a dimension; each number counts for both ends."""
    return sum(map(_padding_sum, value)) if isinstance(value, list) else 2 * value
