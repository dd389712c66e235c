"""`model=text`: a network for texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from kexp.errors import ConfigError
from kexp.model import parts
from kexp.model.spec import ModelSpec
from kexp.rules import Count, Fraction

if TYPE_CHECKING:
    import keras

__all__ = ["text"]


def text(
    spec: ModelSpec,
    *,
    kind: Literal["pooling", "convolution", "lstm"] = "pooling",
    embedding: Count = 32,
    units: Count = 64,
    kernel_size: Count = 5,
    dense: Sequence[Count] = (),
    dropout: Fraction = 0.0,
    kernel_initializer: Any = "glorot_uniform",
    kernel_regularizer: Any = None,
) -> keras.Sequential:
    """An embedding of words, then their mean, a convolution with global max pooling, or an LSTM.

    Args:
        spec: the shapes that data and loss require.
        kind: pooling takes the mean of a text's words, regardless of their order; convolution reads a few neighbouring
            words at once; lstm reads from the first word to the last.
        embedding: dimension of the embedding of a word.
        units: filters of the convolution, or units of the LSTM.
        kernel_size: width of the convolution's window, in words.
        dense: units of each dense layer after that.
        dropout: fraction of each layer's inputs dropped in training, in [0, 1).
        kernel_initializer: initial weights, by name or node.
        kernel_regularizer: penalty on the weights, by name or node.
    """
    import keras

    if spec.words is None:
        raise ConfigError("model=text: needs texts as word indices; choose data=text, data=imdb or data=reuters")
    options = {"kernel_initializer": kernel_initializer, "kernel_regularizer": kernel_regularizer}
    layers = parts.inputs(spec, False)
    layers.append(keras.layers.Embedding(spec.words, embedding))
    if kind == "convolution":
        if kernel_size > spec.input_shape[0]:
            raise ConfigError.at("model.kernel_size", f"must be at most the {spec.input_shape[0]} words", kernel_size)
        layers += parts.activated(spec, "Conv1D", {"filters": units, "kernel_size": kernel_size, **options})
        layers.append(keras.layers.GlobalMaxPooling1D())
    elif kind == "lstm":
        layers.append(keras.layers.LSTM(units, **parts.fresh(options)))
    else:
        layers.append(keras.layers.GlobalAveragePooling1D())
    for count in dense:
        layers += [keras.layers.Dropout(dropout)] if dropout else []
        layers += parts.activated(spec, "Dense", {"units": count, **options})
    layers += [keras.layers.Dropout(dropout)] if dropout else []
    layers += parts.head(spec, **options)
    return keras.Sequential(layers)
