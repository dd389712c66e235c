"""The schedule with warm-up and inverse square root decay."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["InverseSqrt"]


@keras.saving.register_keras_serializable("kexp_example")
class InverseSqrt(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """peak * min(n / warmup, sqrt(warmup / n)) at the n-th step, counted from 1."""

    def __init__(self, peak: float, warmup_steps: int) -> None:
        super().__init__()
        self.peak, self.warmup_steps = peak, warmup_steps

    def __call__(self, step: Any) -> Any:
        """The rate at `step`, counted from 0."""
        number = ops.cast(step, "float32") + 1.0
        warmup = ops.cast(self.warmup_steps, "float32")
        return self.peak * ops.minimum(number / warmup, ops.sqrt(warmup / number))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}
