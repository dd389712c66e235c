"""`model=sequential`: a list of layers of the user's choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from kexp.errors import ConfigError
from kexp.model import parts
from kexp.model.check import assemble, classes_at_steps
from kexp.model.spec import ModelSpec

if TYPE_CHECKING:
    import keras

__all__ = ["sequential"]


def sequential(
    spec: ModelSpec, *, layers: list[Any], output: Literal["auto", "always", "never"] = "auto"
) -> keras.Sequential:
    """Layers in a list, each a name or a node: `model.layers=[{name: Dense, units: 32, activation: relu}, Flatten]`.

    Args:
        spec: the shapes that data and loss require.
        layers: the layers. The first may be an `Input` or an `InputLayer`, or have the older `input_shape` or
            `input_dim`. The shape must be that of the data. Flat images are reshaped to (height, width, channels) if
            the declared shape or the first layer requires images.
        output: "auto" adds a Dense output layer with the width and activation that data and loss require, unless the
            list already ends in that width; if it ends in such a Dense without activation, only the activation is
            added. "always" adds the layer, "never" adds nothing.
    """
    import keras

    declared = layers[0] if layers and isinstance(layers[0], keras.layers.InputLayer) else None
    given = layers[1:] if declared is not None else list(layers)
    if not given:
        raise ConfigError("model.layers: must have at least one layer")
    _check_words(layers, spec)
    older = getattr(given[0], "_input_shape_arg", None)
    given[0]._input_shape_arg = None  # else Keras adds an input layer of its own
    if declared is None:
        before = _folding(given[0], older, "input_shape", spec)
    else:
        _check_kind(declared)
        before = _folding(given[0], declared.batch_shape[1:], "shape", spec)
    model = assemble(given, spec, before=before, declared=declared)
    if output == "never":
        return model
    shape = tuple(model.output_shape)
    if output == "always" or shape[1:] != spec.output_shape:
        if len(shape) != 2 and shape[1:-1] != spec.positions:
            advice = classes_at_steps(shape, spec) or "; end with Flatten or a pooling, or set model.output=never"
            raise ConfigError(
                f"model.layers: must end in one row of numbers before the output layer, got the shape {shape}{advice}"
            )
        for layer in parts.head(spec, shape[1:]):
            model.add(layer)
    elif _lacks_activation(given[-1], spec):
        model.add(keras.layers.Activation(spec.output_activation, dtype="float32"))
    return model


def _check_words(layers: list[Any], spec: ModelSpec) -> None:
    """Refuse a layer that reads text if the rows are numbers."""
    import keras

    for place, layer in enumerate(layers):
        reads_words = isinstance(layer, (keras.layers.StringLookup, keras.layers.TextVectorization))
        if reads_words and spec.input_dtype not in ("string", "object"):
            raise ConfigError(
                f"model.layers[{place}]: {type(layer).__name__} reads text, but the data's rows are numbers, "
                f"{spec.input_dtype}"
            )


def _check_kind(declared: keras.layers.InputLayer) -> None:
    """Refuse an input that is not a dense array of numbers, as the data's rows are."""
    if declared.dtype == "string":
        raise ConfigError(
            "model.layers[0].dtype: must be a type of numbers, as the data's rows are numbers, got string"
        )
    for kind in ("sparse", "ragged"):
        if getattr(declared, kind):
            raise ConfigError(f"model.layers[0].{kind}: must be false, as the data's rows are dense arrays, got true")


def _folding(first: Any, declared: Sequence[int | None] | None, key: str, spec: ModelSpec) -> list[keras.layers.Layer]:
    """Return a Reshape to insert before the first layer, if that requires images and the rows are flat.

    Args:
        first: the first layer.
        declared: the shape of rows that the config declares; None if it declares none.
        key: the parameter that declares it, for messages.
        spec: has the shape of the data's rows.

    Raises:
        ConfigError: the declared shape does not fit the data's rows.
    """
    rows, image = tuple(spec.input_shape), spec.image_shape
    if declared is not None:
        shape = tuple(declared)
        if len(shape) == len(rows) and all(size in (None, actual) for size, actual in zip(shape, rows, strict=True)):
            return []
        same = math.prod(side or 0 for side in shape) == math.prod(rows)
        # Only reshaping that keeps the order of values is allowed: of flat rows or images, or by axes of length 1.
        folds = image is not None or len(rows) == 1 or _sides(shape) == _sides(rows)
        if not same or not folds:
            raise ConfigError.at(f"model.layers[0].{key}", f"must be the shape of the data's rows, {rows}", shape)
        return parts.folded(spec, tuple(side or 0 for side in shape))
    wants = getattr(first, "input_spec", None)
    ndim = getattr(wants, "ndim", None) or getattr(wants, "min_ndim", None)
    if image is None or len(rows) != 1 or ndim not in (3, 4):
        return []
    return parts.folded(spec, image if ndim == 4 else (image[0], image[1] * image[2]))


def _sides(shape: tuple[int | None, ...]) -> list[int | None]:
    """Return a shape without its axes of length 1."""
    return [side for side in shape if side != 1]


def _lacks_activation(layer: Any, spec: ModelSpec) -> bool:
    import keras

    return (
        isinstance(layer, keras.layers.Dense)
        and layer.activation is keras.activations.linear
        and spec.output_activation not in (None, "linear")
    )
