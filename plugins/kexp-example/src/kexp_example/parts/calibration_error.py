"""The expected calibration error as a streaming metric."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["CalibrationError"]


@keras.saving.register_keras_serializable("kexp_example")
class CalibrationError(keras.metrics.Metric):  # type: ignore[misc]
    """Sum over bins of |hits - confidence| / rows; class indices or one-hot targets, probabilities (batch, classes)."""

    def __init__(self, bins: int = 15, name: str = "calibration_error", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.bins = bins
        self.gap = self.add_weight(shape=(bins,), initializer="zeros", name="gap")
        self.rows = self.add_weight(shape=(), initializer="zeros", name="rows")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; weighted rows count by their weights."""
        y_pred = ops.cast(y_pred, self.dtype)
        y_true = ops.convert_to_tensor(y_true)
        one_hot = len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == y_pred.shape[-1]
        right = ops.argmax(y_true, axis=-1) if one_hot else ops.reshape(ops.cast(y_true, "int32"), (-1,))
        confidence = ops.max(y_pred, axis=-1)
        hit = ops.cast(ops.equal(ops.cast(right, "int32"), ops.cast(ops.argmax(y_pred, -1), "int32")), self.dtype)
        weight = (
            ops.ones_like(hit) if sample_weight is None else ops.reshape(ops.cast(sample_weight, self.dtype), (-1,))
        )
        place = ops.minimum(ops.cast(ops.floor(confidence * self.bins), "int32"), self.bins - 1)
        members = ops.one_hot(place, self.bins, dtype=self.dtype)
        self.gap.assign_add(ops.sum(members * ops.expand_dims(weight * (hit - confidence), -1), axis=0))
        self.rows.assign_add(ops.sum(weight))

    def result(self) -> Any:
        """The error so far, in [0, 1]."""
        return ops.divide_no_nan(ops.sum(ops.abs(self.gap)), self.rows)

    def get_config(self) -> dict[str, Any]:
        """Keras' configuration, with the number of bins."""
        return {**super().get_config(), "bins": self.bins}
