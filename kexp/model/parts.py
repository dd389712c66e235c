"""Common layers of the models: input, normalisation, hidden activation, output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kexp.model.spec import ModelSpec, activation_layer

if TYPE_CHECKING:
    import keras

__all__ = ["activated", "folded", "fresh", "head", "inputs"]


def inputs(spec: ModelSpec, normalize: bool) -> list[keras.layers.Layer]:
    """Return the input layer, and a Normalization that is later adapted to the training rows.

    Args:
        spec: the shapes that data and loss require.
        normalize: whether to add the Normalization; it is left out if rows are not floating-point numbers.
    """
    import keras

    layers: list[keras.layers.Layer] = [keras.layers.InputLayer(shape=spec.input_shape, dtype=spec.input_dtype)]
    if normalize and spec.input_dtype.startswith(("float", "bfloat")):
        # One value for each feature, because Keras' HDF5 format loses `axis=None` when a model is loaded. For images,
        # `adapt(..., pooled=True)` sets all values to the same mean and variance.
        layers.append(keras.layers.Normalization(dtype="float32"))  # float16 cannot hold a variance above 65,504
    return layers


def folded(spec: ModelSpec, shape: tuple[int, ...]) -> list[keras.layers.Layer]:
    """Return a Reshape of the rows to `shape`; no layer if they have that shape."""
    import keras

    return [] if tuple(spec.input_shape) == shape else [keras.layers.Reshape(shape)]


def activated(
    spec: ModelSpec, layer: str, options: Mapping[str, Any], *, batch_normalization: bool = False
) -> list[keras.layers.Layer]:
    """Return a layer followed by the spec's activation.

    Args:
        spec: has the activation.
        layer: the layer's class name in keras.layers.
        options: the layer's arguments.
        batch_normalization: whether to normalise the input of the activation over the batch.
    """
    import keras

    kind = getattr(keras.layers, layer)
    if isinstance(spec.activation, str) and not batch_normalization:
        return [kind(activation=spec.activation, **fresh(options))]
    between = [keras.layers.BatchNormalization()] if batch_normalization else []
    return [kind(**fresh(options)), *between, activation_layer(spec.activation)]


def head(spec: ModelSpec, before: tuple[int, ...] | None = None, **options: Any) -> list[keras.layers.Layer]:
    """Return the output layers, in float32 even under mixed precision, because probabilities underflow in 16 bits.

    Args:
        spec: the shapes that data and loss require.
        before: the shape of the layers' input, without the batch; one row of numbers unless given.
        options: arguments of the Dense layer.

    Returns:
        A Dense layer, if the input has a row of numbers for each position of the output. Otherwise a Dense layer with
        all outputs in one row, a Reshape to the positions, and the activation.
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
    """Return layer arguments with new initializers.

    A Keras initializer draws its seed once, when it is created. Layers that share an initializer would start with the
    same weights.
    """
    import keras

    own = keras.initializers.Initializer
    return {key: value.clone() if isinstance(value, own) else value for key, value in options.items()}
