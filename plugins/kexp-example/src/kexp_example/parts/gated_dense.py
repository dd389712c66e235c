"""The gated linear unit as a dense layer."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["GatedDense"]


@keras.saving.register_keras_serializable("kexp_example")
class GatedDense(keras.layers.Layer):  # type: ignore[misc]
    """(x W + b) * activation(x V + c), from (..., features) to (..., units)."""

    def __init__(
        self,
        units: int,
        activation: Any = "sigmoid",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = units
        self.activation = (
            activation if isinstance(activation, keras.layers.Layer) else keras.activations.get(activation)
        )
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        """Makes both kernels and biases."""
        kernel = {"shape": (input_shape[-1], self.units), "regularizer": self.kernel_regularizer}
        self.kernel = self.add_weight(name="kernel", initializer=self._initializer(), **kernel)
        self.gate_kernel = self.add_weight(name="gate_kernel", initializer=self._initializer(), **kernel)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.gate_bias = self.add_weight(name="gate_bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Values times gates."""
        gate = self.activation(keras.ops.matmul(inputs, self.gate_kernel) + self.gate_bias)
        return (keras.ops.matmul(inputs, self.kernel) + self.bias) * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with `units` in the last place."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.saving.serialize_keras_object(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GatedDense:
        """The layer of such a configuration; the gate may be a layer itself."""
        return cls(**{**config, "activation": keras.saving.deserialize_keras_object(config["activation"])})

    def _initializer(self) -> Any:
        """A copy of its own for each kernel: a seeded initializer gives the same values each time it is called."""
        return self.kernel_initializer.clone()
