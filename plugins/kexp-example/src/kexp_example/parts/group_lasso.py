"""The group lasso."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

__all__ = ["GroupLasso"]


@keras.saving.register_keras_serializable("kexp_example")
class GroupLasso(keras.regularizers.Regularizer):  # type: ignore[misc]
    """strength * sqrt(inputs) * sum over units of |w|; a unit's weights are the last axis' slices."""

    def __init__(self, strength: float = 0.001) -> None:
        self.strength = strength

    def __call__(self, x: Any) -> Any:
        """The penalty of weights of shape (..., units)."""
        inputs = math.prod(x.shape[:-1])
        squares = ops.sum(ops.square(ops.reshape(x, (inputs, x.shape[-1]))), axis=0)
        # The root has no gradient at 0, where a unit is already gone.
        return self.strength * math.sqrt(inputs) * ops.sum(ops.sqrt(squares + keras.config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        """The constructor's argument."""
        return {"strength": self.strength}
