"""Stopping at a goal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kexp_example.parts.target_reached import TargetReached

__all__ = ["target_reached"]


def target_reached(
    monitor: str = "val_accuracy", target: float = 0.95, direction: Literal["up", "down"] = "up"
) -> TargetReached:
    """Ends training after the first epoch in which a metric has reached its target.

    Args:
        monitor: the metric's name in the history, such as `val_accuracy` or `loss`.
        target: the value to reach, in the metric's unit.
        direction: "up" for a metric that must be at least the target, "down" for at most.
    """
    from kexp_example.parts.target_reached import TargetReached

    return TargetReached(monitor, target, direction)
