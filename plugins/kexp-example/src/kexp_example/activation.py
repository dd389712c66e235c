"""Snake."""

from __future__ import annotations

from typing import Any

from kexp.rules import Positive

__all__ = ["snake"]


def snake(x: Any, alpha: Positive = 1.0) -> Any:
    """x + sin(alpha x)^2 / alpha, for functions that repeat. A bare function of x: alpha is its one parameter.

    Args:
        x: any tensor; the shape stays.
        alpha: the frequency; > 0.

    Source:
        Ziyin, Hartwig and Ueda (2020), Neural Networks Fail to Learn Periodic Functions and How to Fix It.
    """
    from keras import ops

    return x + ops.square(ops.sin(alpha * x)) / alpha
