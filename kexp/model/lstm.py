"""`model=lstm`: a recurrent network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.model import parts
from kexp.model.spec import ModelSpec
from kexp.rules import Count, Fraction
from kexp.traits import declare

if TYPE_CHECKING:
    import keras

__all__ = ["lstm"]


@declare(inputs="sequences")
def lstm(
    spec: ModelSpec,
    *,
    units: Sequence[Count] = (64,),
    dense: Sequence[Count] = (),
    dropout: Fraction = 0.0,
    recurrent_dropout: Fraction = 0.0,
    bidirectional: bool = False,
    normalize: bool = True,
    kernel_initializer: Any = "glorot_uniform",
    kernel_regularizer: Any = None,
) -> keras.Sequential:
    """LSTM layers, then dense layers; for sequences, or for images read row by row.

    The config's `activation` is that of the dense layers; LSTM layers use tanh.

    Args:
        spec: the shapes that data and loss require.
        units: units of each LSTM layer.
        dense: units of each dense layer after them.
        dropout: fraction of each layer's inputs dropped in training, in [0, 1).
        recurrent_dropout: fraction of the recurrent state dropped in training, in [0, 1).
        bidirectional: read each sequence from both ends; doubles the outputs of an LSTM layer.
        normalize: begin with a normalisation fitted on the training rows.
        kernel_initializer: initial weights, by name or node.
        kernel_regularizer: penalty on the weights, by name or node.
    """
    import keras

    if not units:
        raise ConfigError.at("model.units", "must have at least one number of units", list(units))
    options = {"kernel_initializer": kernel_initializer, "kernel_regularizer": kernel_regularizer}
    height, *rest = spec.image_shape or spec.input_shape
    width = 1
    for side in rest:
        width *= side
    each_step = spec.positions == (height,)  # an output at each step
    layers = parts.inputs(spec, normalize) + parts.folded(spec, (height, width))
    for position, count in enumerate(units):
        layer = keras.layers.LSTM(
            count,
            return_sequences=each_step or position < len(units) - 1,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            **parts.fresh(options),
        )
        layers.append(keras.layers.Bidirectional(layer) if bidirectional else layer)
    for count in dense:
        layers += parts.activated(spec, "Dense", {"units": count, **options})
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    layers += parts.head(spec, (height, 1) if each_step else None, **options)
    return keras.Sequential(layers)
