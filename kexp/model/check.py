"""Whether what a model's factory returned fits the data and the loss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kexp.errors import ComponentError, ConfigError
from kexp.model.spec import ModelSpec

if TYPE_CHECKING:
    import keras

__all__ = ["assemble", "check_model", "first_sentence"]


def check_model(model: Any, spec: ModelSpec) -> keras.Sequential:
    """The model, built for the data's rows.

    Args:
        model: what a factory returned.
        spec: what data and loss ask for.

    Raises:
        ComponentError: it is no Sequential.
        ConfigError: its layers do not fit the rows, or its output not the targets.
    """
    import keras

    if not isinstance(model, keras.Sequential):
        raise ComponentError(f"model: must be a keras.Sequential, got {type(model).__name__}")
    if not model.layers:
        raise ConfigError("model.layers: must have at least one layer")
    if not model.built:
        try:
            model.build((None, *spec.input_shape))
        except Exception as error:
            raise _misfit(model.layers, spec, error) from error
    shape = tuple(model.input_shape[1:])
    if shape != tuple(spec.input_shape):
        raise ConfigError(f"model: takes rows of shape {shape}, but the data's rows have shape {spec.input_shape}")
    if tuple(model.output_shape[1:]) != (spec.units,):
        raise ConfigError(
            f"model: must end in the shape (None, {spec.units}) that data and loss ask for, "
            f"got {tuple(model.output_shape)}"
        )
    return model


def assemble(
    layers: Sequence[keras.layers.Layer], spec: ModelSpec, *, before: Sequence[keras.layers.Layer] = (), first: int = 0
) -> keras.Sequential:
    """A built Sequential of the layers on rows of the spec's shape.

    Args:
        layers: the layers that the config lists.
        spec: has the rows' shape and type.
        before: layers between the input and those.
        first: index in the config's list of the first of `layers`.

    Raises:
        ConfigError: a layer does not fit what reaches it; the sentence has its index.
    """
    import keras

    rows = keras.layers.InputLayer(shape=spec.input_shape, dtype=spec.input_dtype)
    try:
        return keras.Sequential([rows, *before, *layers])
    except Exception as error:
        raise _misfit([*before, *layers], spec, error, first - len(before)) from error


def first_sentence(error: BaseException) -> str:
    """The first sentence of a Keras error, without the layer's made-up name and the terminal's colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = " ".join(text.split())
    text = re.sub(r"^Exception encountered when calling \S+?\(?\)?\. ", "", text)
    text = re.sub(
        r"^Input \d+ (?:of|with name '[^']*' of) layer ['\"][^'\"]*['\"] is incompatible with the layer: ", "", text
    )
    return re.split(r"\.(?:\s|$)", text, maxsplit=1)[0].strip() or type(error).__name__


def _misfit(layers: Sequence[keras.layers.Layer], spec: ModelSpec, error: Exception, first: int = 0) -> ConfigError:
    """The sentence about the first layer that does not fit what reaches it."""
    import keras

    value = keras.KerasTensor((None, *spec.input_shape), dtype=spec.input_dtype)
    counted = [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]
    for index, layer in enumerate(counted, first):
        try:
            value = layer(value)
        except Exception as cause:
            return ConfigError(
                f"model.layers[{index}]: {type(layer).__name__} does not fit its input of shape "
                f"{tuple(value.shape)}: {first_sentence(cause)}"
            )
    return ConfigError(f"model.layers: {first_sentence(error)}")
