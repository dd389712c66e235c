"""A residual network of dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kexp
from kexp.model import ModelSpec
from kexp.rules import Count, Fraction, Whole

if TYPE_CHECKING:
    import keras

__all__ = ["residual_mlp"]


@kexp.declare(classes=["kexp_example.parts.residual:ResidualDense"])
def residual_mlp(
    spec: ModelSpec, *, width: Count = 64, blocks: Whole = 2, dropout: Fraction = 0.0, normalize: bool = True
) -> keras.Sequential:
    """Dense layers that each add to what they are given; a Sequential made with `add`.

    Args:
        spec: what data and loss ask for; kexp hands it in.
        width: width of every hidden layer; >= 1.
        blocks: number of residual blocks; >= 0.
        dropout: share of each block's outputs dropped in training, in [0, 1).
        normalize: begin with a normalisation, which kexp fits on the training rows.

    Source:
        He, Zhang, Ren and Sun (2016), Identity Mappings in Deep Residual Networks, figure 4e, without normalisation.
    """
    import keras

    from kexp_example.parts.residual import ResidualDense

    model = keras.Sequential()
    model.add(keras.layers.InputLayer(shape=spec.input_shape, dtype=spec.input_dtype))
    if normalize:
        model.add(keras.layers.Normalization())
    if len(spec.input_shape) > 1:
        model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(width))
    for _ in range(blocks):
        # An activation with parameters comes as a factory of a layer: each block makes its own.
        model.add(ResidualDense(spec.activation_layer(), dropout=dropout))
    model.add(keras.layers.Dense(spec.units, activation=spec.output_activation, dtype="float32"))
    return model
