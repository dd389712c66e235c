"""Converts a model's architecture to plain data and back."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = [
    "all_layers",
    "architecture_config",
    "model_from_architecture",
    "set_weights",
    "tensorflow_not_needed",
    "update_constants",
]


def architecture_config(model: keras.Model) -> dict[str, Any]:
    """Returns the content of `model.to_json()` as plain data, without the compile settings.

    Compile settings come from the run's config instead, so an architecture can be read without custom losses or
    metrics.
    """
    import keras

    with tensorflow_not_needed():
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    config.pop("compile_config", None)
    return dict(config)


def model_from_architecture(config: dict[str, Any]) -> keras.Model:
    """Builds a model with new weights, not compiled. Code of Lambda layers is not executed.

    Args:
        config: as `architecture_config` returns it.
    """
    import keras

    plain = {key: value for key, value in config.items() if key != "compile_config"}
    return keras.saving.deserialize_keras_object(plain, safe_mode=True)


@contextlib.contextmanager
def tensorflow_not_needed() -> Iterator[None]:
    """Keeps Keras on another backend from importing TensorFlow to check for TensorFlow's types.

    The import takes seconds in each process, and before it no value can have such a type.
    """
    try:
        from keras.src.utils.module_utils import tensorflow as lazy
    except ImportError:  # a private module, which may move; without it Keras is only slower
        yield
        return
    before = getattr(lazy, "_available", None)
    if "tensorflow" not in sys.modules:
        lazy._available = False
    try:
        yield
    finally:
        lazy._available = before


def set_weights(model: keras.Model, values: Sequence[NDArray[Any]]) -> None:
    """Sets a model's weights and updates the constants that depend on them.

    Keras' Normalization computes constants from its weights. Neither `model.set_weights` nor a TensorFlow checkpoint
    updates them, so the model would silently normalise with the old values.

    Args:
        model: a built model.
        values: arrays in the order and with the shapes of `model.weights`.
    """
    model.set_weights(list(values))
    update_constants(model)


def update_constants(model: keras.Model) -> None:
    """Recomputes the constants of each Normalization in `model`, at any depth, from its weights."""
    import keras

    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def all_layers(layer: Any) -> Iterator[Any]:
    """Yields `layer` and every layer in it, at any depth, including wrapped ones."""
    import keras

    yield layer
    wrapped = getattr(layer, "layer", None)
    for child in (*getattr(layer, "layers", ()), *([wrapped] if isinstance(wrapped, keras.layers.Layer) else [])):
        yield from all_layers(child)
