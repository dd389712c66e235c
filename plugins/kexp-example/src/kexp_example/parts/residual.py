"""A residual block of dense layers."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["ResidualDense"]


@keras.saving.register_keras_serializable("kexp_example")
class ResidualDense(keras.layers.Layer):  # type: ignore[misc]
    """x + dense(activation(x)), with dropout of what is added; the shape (batch, width) stays."""

    def __init__(self, activation: keras.layers.Layer, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.activation, self.rate = activation, dropout
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape: Any) -> None:
        """Makes the dense layer, as wide as the input."""
        self.dense = keras.layers.Dense(input_shape[-1])
        self.activation.build(input_shape)
        self.dense.build(input_shape)
        self.dropout.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The input and what the block adds to it."""
        return inputs + self.dropout(self.dense(self.activation(inputs)), training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        activation = keras.saving.serialize_keras_object(self.activation)
        return {**super().get_config(), "activation": activation, "dropout": self.rate}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ResidualDense:
        """The block of such a configuration, its activation a layer again."""
        return cls(**{**config, "activation": keras.saving.deserialize_keras_object(config["activation"])})
