"""The specification of a model: the shapes and activations that follow from the data and the loss."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["ModelSpec", "activation_layer"]


@dataclass(frozen=True)
class ModelSpec:
    """The requirements of data and loss on a model. kexp passes it to factories with a parameter `spec`.

    Attributes:
        input_shape: the shape of one row, without the batch.
        image_shape: (height, width, channels) of images, whose rows may be flat; None if rows are not images.
        units: the width of the output layer.
        output_activation: the activation of the output layer; None or "linear" for none.
        activation: the activation of hidden layers: a name of Keras', a function of x, or a function without arguments
            that returns a layer.
        input_dtype: the NumPy name of the rows' type.
        positions: the positions in a row that have an output: () for one output of `units` numbers a row, (12,) for one
            at each of 12 steps.
        words: the size of the vocabulary, if rows are indices of words; else None.
    """

    input_shape: tuple[int, ...]
    image_shape: tuple[int, int, int] | None
    units: int
    output_activation: str | None
    activation: Any = "relu"
    input_dtype: str = "float32"
    positions: tuple[int, ...] = ()
    words: int | None = None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of a row's output."""
        return (*self.positions, self.units)

    def activation_layer(self) -> keras.layers.Layer:
        """Returns a new layer that applies the activation of hidden layers."""
        return activation_layer(self.activation)


def activation_layer(activation: Any) -> keras.layers.Layer:
    """Return a new layer that applies an activation.

    Args:
        activation: a name, a function of x, or a function without arguments that returns a layer.
    """
    import keras

    if isinstance(activation, str) or _takes_an_argument(activation):
        return keras.layers.Activation(activation)
    return activation()


def _takes_an_argument(function: Any) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    return False
