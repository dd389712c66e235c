"""`model=linear`: a linear model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kexp.model import parts
from kexp.model.spec import ModelSpec

if TYPE_CHECKING:
    import keras

__all__ = ["linear"]


def linear(
    spec: ModelSpec,
    *,
    normalize: bool = True,
    use_bias: bool = True,
    kernel_initializer: Any = "glorot_uniform",
    kernel_regularizer: Any = None,
) -> keras.Sequential:
    """One Dense layer: linear regression, or logistic for classes.

    Args:
        spec: the shapes that data and loss require.
        normalize: begin with a normalisation fitted on the training rows.
        use_bias: add a constant to each output.
        kernel_initializer: initial weights, by name or node.
        kernel_regularizer: penalty on the weights, by name or node.
    """
    import keras

    layers = parts.inputs(spec, normalize)
    if len(spec.input_shape) > 1:
        layers.append(keras.layers.Flatten())
    options = {"kernel_initializer": kernel_initializer, "kernel_regularizer": kernel_regularizer}
    layers += parts.head(spec, use_bias=use_bias, **options)
    return keras.Sequential(layers)
