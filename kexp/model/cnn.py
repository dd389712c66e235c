"""`model=cnn`: a convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kexp.model import parts
from kexp.model.spec import ModelSpec
from kexp.rules import Count, Fraction
from kexp.traits import declare

if TYPE_CHECKING:
    import keras

__all__ = ["cnn"]


@declare(inputs="images")
def cnn(
    spec: ModelSpec,
    *,
    filters: Sequence[Count] = (16, 32),
    kernel_size: Count = 3,
    pool: Count = 2,
    dense: Sequence[Count] = (64,),
    dropout: Fraction = 0.0,
    normalize: bool = True,
    batch_normalization: bool = False,
    kernel_initializer: Any = "glorot_uniform",
    kernel_regularizer: Any = None,
) -> keras.Sequential:
    """Convolutions with pooling, then dense layers; for images.

    Args:
        spec: the shapes that data and loss require.
        filters: filters of each convolution; each is followed by a pooling.
        kernel_size: side of the convolutions' windows, in pixels.
        pool: side of the pooled squares, in pixels; 1 for no pooling.
        dense: units of each dense layer after the convolutions.
        dropout: fraction of each dense layer's outputs dropped in training, in [0, 1).
        normalize: begin with a normalisation fitted on the training rows: one mean and variance for all pixels.
        batch_normalization: normalise each layer's outputs over the batch, before the activation.
        kernel_initializer: initial weights, by name or node.
        kernel_regularizer: penalty on the weights, by name or node.
    """
    import keras

    image = spec.image_shape or (*spec.input_shape, 1)[:3]
    options = {"kernel_initializer": kernel_initializer, "kernel_regularizer": kernel_regularizer}
    layers = parts.inputs(spec, normalize) + parts.folded(spec, image)
    for count in filters:
        convolution = {"filters": count, "kernel_size": kernel_size, "padding": "same", **options}
        layers += parts.activated(spec, "Conv2D", convolution, batch_normalization=batch_normalization)
        if pool > 1:
            layers.append(keras.layers.MaxPooling2D(pool, padding="same"))  # "same" accepts images of any size
    layers.append(keras.layers.Flatten())
    for units in dense:
        layers += parts.activated(spec, "Dense", {"units": units, **options}, batch_normalization=batch_normalization)
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    layers += parts.head(spec, **options)
    return keras.Sequential(layers)
