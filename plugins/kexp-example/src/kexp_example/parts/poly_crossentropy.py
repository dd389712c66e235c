"""The Poly-1 crossentropy."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["PolyCrossentropy"]


@keras.saving.register_keras_serializable("kexp_example")
class PolyCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """-log(p) + epsilon (1 - p), for one-hot targets and probabilities of shape (batch, classes)."""

    def __init__(self, epsilon: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss a row, shape (batch,)."""
        y_true = ops.cast(y_true, y_pred.dtype)
        right = ops.sum(y_true * y_pred, axis=-1)
        return keras.losses.categorical_crossentropy(y_true, y_pred) + self.epsilon * (1.0 - right)

    def get_config(self) -> dict[str, Any]:
        """Keras' configuration, with epsilon."""
        return {**super().get_config(), "epsilon": self.epsilon}
