"""Sparse normal initial weights."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

__all__ = ["SparseNormal"]


@keras.saving.register_keras_serializable("kexp_example")
class SparseNormal(keras.initializers.Initializer):  # type: ignore[misc]
    """Normal weights of which each unit, in the last axis, keeps `connections`; the others are zero."""

    def __init__(self, connections: int = 15, stddev: float = 1.0, seed: int | None = None) -> None:
        self.connections, self.stddev = connections, stddev
        self._init_seed = seed
        self.seed = keras.random.SeedGenerator(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Weights of the given shape, (..., inputs, units)."""
        inputs, units = math.prod(shape[:-1]), shape[-1]
        kept = min(self.connections, inputs)
        values = keras.random.normal((inputs, units), stddev=self.stddev / math.sqrt(kept), dtype=dtype, seed=self.seed)
        lots = keras.random.uniform((inputs, units), seed=self.seed)
        worst = ops.sort(lots, axis=0)[kept - 1 : kept]
        return ops.reshape(ops.where(lots <= worst, values, ops.zeros_like(values)), shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"connections": self.connections, "stddev": self.stddev, "seed": self._init_seed}
