"""The layers that the models have in common: input, normalisation, hidden activation, output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kexp.model.spec import ModelSpec, activation_layer

if TYPE_CHECKING:
    import keras

__all__ = ["activated", "folded", "fresh", "head", "inputs"]


def inputs(spec: ModelSpec, normalize: bool) -> list[keras.layers.Layer]:
    """The input layer, and a Normalization to be adapted to the training rows.

    Args:
        spec: what data and loss ask for.
        normalize: whether there is a Normalization; there is none of rows that are not real numbers.
    """
    import keras

    layers: list[keras.layers.Layer] = [keras.layers.InputLayer(shape=spec.input_shape, dtype=spec.input_dtype)]
    if normalize and spec.input_dtype.startswith(("float", "bfloat")):
        # Always a value for each feature: Keras' whole-model HDF5 drops an `axis` of None when it is read back. That
        # pixels share one mean and variance is seen to by `adapt(..., pooled=True)`.
        layers.append(keras.layers.Normalization(dtype="float32"))  # a variance over 65,504 is infinite in 16 bits
    return layers


def folded(spec: ModelSpec, shape: tuple[int, ...]) -> list[keras.layers.Layer]:
    """A Reshape to `shape`, where the rows do not have it already."""
    import keras

    return [] if tuple(spec.input_shape) == shape else [keras.layers.Reshape(shape)]


def activated(
    spec: ModelSpec, layer: str, options: Mapping[str, Any], *, batch_normalization: bool = False
) -> list[keras.layers.Layer]:
    """A layer with the spec's activation.

    Args:
        spec: has the activation.
        layer: the layer's class name in keras.layers.
        options: its arguments.
        batch_normalization: normalise what the activation gets.
    """
    import keras

    kind = getattr(keras.layers, layer)
    if isinstance(spec.activation, str) and not batch_normalization:
        return [kind(activation=spec.activation, **fresh(options))]
    between = [keras.layers.BatchNormalization()] if batch_normalization else []
    return [kind(**fresh(options)), *between, activation_layer(spec.activation)]


def head(spec: ModelSpec, before: tuple[int, ...] | None = None, **options: Any) -> list[keras.layers.Layer]:
    """The output layers. They compute in float32 under mixed precision too: probabilities underflow in 16 bits.

    Args:
        spec: what data and loss ask for.
        before: the shape of what reaches them, without the batch; a row of numbers unless given.
        options: arguments of the Dense layer.

    Returns:
        A Dense layer, for what has a row of numbers for each output; else one that has all outputs in a row, and what
        folds it and applies the activation at each position.
    """
    import keras

    if not spec.positions or (before is not None and before[:-1] == spec.positions):
        return [keras.layers.Dense(spec.units, activation=spec.output_activation, dtype="float32", **fresh(options))]
    flat = [] if before is None or len(before) == 1 else [keras.layers.Flatten()]
    layers = [
        *flat,
        keras.layers.Dense(math.prod(spec.output_shape), dtype="float32", **fresh(options)),
        keras.layers.Reshape(spec.output_shape, dtype="float32"),
    ]
    if spec.output_activation not in (None, "linear"):
        layers.append(keras.layers.Activation(spec.output_activation, dtype="float32"))
    return layers


def fresh(options: Mapping[str, Any]) -> dict[str, Any]:
    """Layer arguments with initializers of their own.

    A Keras initializer draws its seed once, when it is made: layers that shared one would begin with the same weights.
    """
    import keras

    own = keras.initializers.Initializer
    return {key: value.clone() if isinstance(value, own) else value for key, value in options.items()}
