"""Warm-up, then decay with the root of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kexp.rules import Count, Positive

if TYPE_CHECKING:
    from kexp_example.parts.inverse_sqrt import InverseSqrt

__all__ = ["inverse_sqrt"]


def inverse_sqrt(initial_learning_rate: Positive | None = None, warmup_steps: Count = 100) -> InverseSqrt:
    """The rate grows linearly to its peak, then falls with the inverse square root of the step.

    Args:
        initial_learning_rate: the peak; the optimizer's learning rate unless set.
        warmup_steps: steps to the peak; >= 1.

    Source:
        Vaswani et al. (2017), Attention Is All You Need, section 5.3, with the peak given instead of the width.
    """
    from kexp_example.parts.inverse_sqrt import InverseSqrt

    return InverseSqrt(initial_learning_rate, warmup_steps)
