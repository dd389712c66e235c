"""A callback that ends training at a goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

__all__ = ["TargetReached"]


class TargetReached(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends training after an epoch in which `monitor` has reached `target`."""

    def __init__(self, monitor: str, target: float, direction: str) -> None:
        super().__init__()
        self.monitor, self.target, self.direction = monitor, target, direction

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at the epoch's metrics."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            return
        reached = value >= self.target if self.direction == "up" else value <= self.target
        if reached:
            self.model.stop_training = True
