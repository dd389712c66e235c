"""A penalty that empties whole units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kexp
from kexp.rules import NonNegative

if TYPE_CHECKING:
    from kexp_example.parts.group_lasso import GroupLasso

__all__ = ["group_lasso"]


@kexp.declare(classes=["kexp_example.parts.group_lasso:GroupLasso"])
def group_lasso(strength: NonNegative = 0.001) -> GroupLasso:
    """strength * sqrt(inputs) * the sum of the Euclidean norms of the units' weights.

    Args:
        strength: weight of the penalty; >= 0.

    Source:
        Yuan and Lin (2006), Model selection and estimation in regression with grouped variables.
    """
    from kexp_example.parts.group_lasso import GroupLasso

    return GroupLasso(strength)
