"""Lookahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from kexp.rules import Count, NonNegative, Positive, Range

if TYPE_CHECKING:
    from kexp_example.parts.lookahead import Lookahead

__all__ = ["lookahead"]


def lookahead(
    learning_rate: Positive = 0.01,
    momentum: Annotated[float, Range(ge=0, le=1)] = 0.9,
    k: Count = 5,
    alpha: Annotated[float, Range(gt=0, le=1)] = 0.5,
    weight_decay: NonNegative | None = None,
) -> Lookahead:
    """Lookahead around SGD: every k steps the weights go back part of the way to where they were k steps ago.

    Args:
        learning_rate: rate of the fast steps; > 0.
        momentum: momentum of the fast steps, in [0, 1].
        k: fast steps between two slow ones; >= 1.
        alpha: share of the way that a slow step keeps, in (0, 1]; 1 is plain SGD.
        weight_decay: share of each weight taken off a step, times the rate; null for none.

    Source:
        Zhang, Lucas, Hinton and Ba (2019), Lookahead Optimizer: k steps forward, 1 step back, algorithm 1.
    """
    from kexp_example.parts.lookahead import Lookahead

    return Lookahead(learning_rate=learning_rate, momentum=float(momentum), k=k, alpha=alpha, weight_decay=weight_decay)
