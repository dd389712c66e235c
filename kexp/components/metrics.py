"""Accuracy, whose form Keras chooses from the targets."""

from __future__ import annotations

__all__ = ["accuracy"]


def accuracy() -> str:
    """Share of correct predictions: binary, categorical or sparse categorical accuracy.

    Returns:
        The name by which Keras' `compile` chooses the form from targets and outputs.
    """
    return "accuracy"
