"""What a model is built for: the seam between the data, the loss and a model's factory."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["ModelSpec", "activation_layer"]


@dataclass(frozen=True)
class ModelSpec:
    """What data and loss ask of a model. kexp hands it to factories that declare a parameter `spec`.

    Attributes:
        input_shape: one row's shape, without the batch.
        image_shape: (height, width, channels) that flat rows fold to, or that they have; None for no images.
        units: width of the output layer.
        words: how many numbers of words there are, where rows are made of such; None where they are not.
        positions: where in a row it has outputs: () for one row of `units` numbers, (12,) for one at each of 12 steps.
        output_activation: its activation; None or "linear" for none.
        activation: the hidden layers': Keras' name of one, a function of x, or a function of nothing that makes
            a layer.
        input_dtype: NumPy name of the rows' type.
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
        """A new layer that applies the hidden layers' activation, whatever form it has here."""
        return activation_layer(self.activation)


def activation_layer(activation: Any) -> keras.layers.Layer:
    """A new layer that applies an activation: a name, a function of x, or a function of nothing that makes a layer."""
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
