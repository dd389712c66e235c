"""Checks that a model's embedding has a row for every number in the data.

If it has not, TensorFlow raises an error during training, or returns zeros on a GPU, and JAX silently returns the last
row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from kexp.errors import ConfigError, DataError

if TYPE_CHECKING:
    import keras

    from kexp.data import Data
    from kexp.experiment.prepared import Prepared

__all__ = ["check_embedding"]

_cache: WeakKeyDictionary[Data, tuple[float, float]] = WeakKeyDictionary()  # the trials of a sweep share their data


def check_embedding(prepared: Prepared, model: keras.Model) -> None:
    """Checks that the embedding of the data's rows, if the model has one, is large enough.

    Raises:
        ConfigError: a number in the rows is at least the embedding's `input_dim`.
        DataError: a number in the rows is below 0.
    """
    embedding = _of_rows(model)
    if embedding is None:
        return
    low, high = _feature_range(prepared.splits.data)
    if low < 0:
        raise DataError(f"data: rows must hold whole numbers of 0 or more for an Embedding, got {low:g}")
    size = int(embedding.input_dim)
    if high >= size:
        raise ConfigError.at(
            _config_key(prepared),
            f"must be at least {int(high) + 1}, as the highest number in the rows is {high:g}",
            size,
        )


def _of_rows(model: keras.Model) -> Any:
    """Returns the embedding whose input is the rows, possibly reshaped; None if there is none."""
    import keras

    shaping = (keras.layers.InputLayer, keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute)
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, keras.layers.Embedding) and _is_given(layer, model):
            return layer
        if isinstance(model, keras.Sequential) and not isinstance(layer, shaping):
            return None
    return None


def _is_given(layer: Any, model: keras.Model) -> bool:
    import keras

    if isinstance(model, keras.Sequential):
        return True
    inputs = getattr(model, "inputs", None) or ()
    return any(getattr(layer, "input", None) is each for each in inputs)


def _feature_range(data: Data) -> tuple[float, float]:
    """Returns the lowest and the highest number in the features. Cached."""
    from kexp.data.source import chunks

    if data not in _cache:
        ends = [(float(x.min()), float(x.max())) for x, _ in map(data.source.read, chunks(len(data)))]
        _cache[data] = min(low for low, _ in ends), max(high for _, high in ends)
    return _cache[data]


def _config_key(prepared: Prepared) -> str:
    """Returns the config key with the size of the embedding, for messages."""
    model = prepared.experiment.model
    for place, layer in enumerate(model.parameters.get("layers") or ()):
        name = layer if isinstance(layer, str) else dict(layer).get("name")
        if name in ("Embedding", "ReversibleEmbedding"):
            return f"model.layers[{place}].input_dim"
    return "model: input_dim of its Embedding"
