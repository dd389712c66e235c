"""`model=mlp`: a multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kexp.model import parts
from kexp.model.spec import ModelSpec
from kexp.rules import Count, Fraction

if TYPE_CHECKING:
    import keras

__all__ = ["mlp"]


def mlp(
    spec: ModelSpec,
    *,
    hidden: Sequence[Count] = (64, 32),
    dropout: Fraction = 0.0,
    normalize: bool = True,
    batch_normalization: bool = False,
    kernel_initializer: Any = "glorot_uniform",
    bias_initializer: Any = "zeros",
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
) -> keras.Sequential:
    """Dense layers, one after the other.

    Args:
        spec: the shapes that data and loss require.
        hidden: units of each hidden layer; none makes a linear model.
        dropout: fraction of each hidden layer's outputs dropped in training, in [0, 1).
        normalize: begin with a normalisation fitted on the training rows.
        batch_normalization: normalise each hidden layer's outputs over the batch, before the activation.
        kernel_initializer: initial weights, by name or node.
        bias_initializer: initial biases, by name or node.
        kernel_regularizer: penalty on the weights, by name or node.
        kernel_constraint: constraint on the weights, by name or node.
    """
    import keras

    options = {
        "kernel_initializer": kernel_initializer,
        "bias_initializer": bias_initializer,
        "kernel_regularizer": kernel_regularizer,
        "kernel_constraint": kernel_constraint,
    }
    layers = parts.inputs(spec, normalize)
    if len(spec.input_shape) > 1:
        layers.append(keras.layers.Flatten())
    for units in hidden:
        layers += parts.activated(spec, "Dense", {"units": units, **options}, batch_normalization=batch_normalization)
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    layers += parts.head(spec, **options)
    return keras.Sequential(layers)
