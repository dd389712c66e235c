"""Sparse initial weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kexp
from kexp.rules import Count, Positive

if TYPE_CHECKING:
    from kexp_example.parts.sparse_normal import SparseNormal

__all__ = ["sparse_normal"]


@kexp.declare(classes=["kexp_example.parts.sparse_normal:SparseNormal"])
def sparse_normal(connections: Count = 15, stddev: Positive = 1.0, seed: int | None = None) -> SparseNormal:
    """Each unit begins with a fixed number of random connections; all others are zero.

    Args:
        connections: connections that each unit begins with; >= 1; all of them where the layer has fewer inputs.
        stddev: standard deviation of a connection's weight, before it is divided by the root of `connections`; > 0.
        seed: decides the weights; null draws from Keras' own generator.

    Source:
        Martens (2010), Deep learning via Hessian-free optimization, section 5; scaled to keep the output's variance.
    """
    from kexp_example.parts.sparse_normal import SparseNormal

    return SparseNormal(connections, stddev, seed)
