"""A model's architecture as plain data, and back."""

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
    "renew_constants",
    "set_weights",
    "tensorflow_not_needed",
]


def architecture_config(model: keras.Model) -> dict[str, Any]:
    """What `model.to_json()` writes, as plain data, less the compile settings: those come from the run's config.

    A custom loss or metric therefore never stands in the way of reading an architecture.
    """
    import keras

    with tensorflow_not_needed():
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    config.pop("compile_config", None)
    return dict(config)


def model_from_architecture(config: dict[str, Any]) -> keras.Model:
    """The model of such a config, with fresh weights, not compiled. Lambda code is never executed."""
    import keras

    plain = {key: value for key, value in config.items() if key != "compile_config"}
    return keras.saving.deserialize_keras_object(plain, safe_mode=True)


@contextlib.contextmanager
def tensorflow_not_needed() -> Iterator[None]:
    """Keeps Keras, on another backend, from importing TensorFlow to ask whether some value is one of TensorFlow's.

    That takes seconds in each process, and before TensorFlow is imported no value can be.
    """
    try:
        from keras.src.utils.module_utils import tensorflow as lazy
    except ImportError:  # a private place, which may move: the import is then merely slow
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
    """`model.set_weights`, after which the model also computes with them.

    Keras' Normalization keeps constants that follow from its weights, and neither `set_weights` nor a TensorFlow
    checkpoint renews them: such a model would silently normalise with the old ones.

    Args:
        model: a built model.
        values: arrays in the order and with the shapes of `model.weights`.
    """
    model.set_weights(list(values))
    renew_constants(model)


def renew_constants(model: keras.Model) -> None:
    """Makes each Normalization in `model`, at any depth, follow its weights."""
    import keras

    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def all_layers(layer: Any) -> Iterator[Any]:
    """`layer` and every layer in it, at any depth, wrapped ones too."""
    import keras

    yield layer
    wrapped = getattr(layer, "layer", None)
    for child in (*getattr(layer, "layers", ()), *([wrapped] if isinstance(wrapped, keras.layers.Layer) else [])):
        yield from all_layers(child)
