"""A toy data set that no linear model separates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from kexp.rules import NonNegative, Range, Whole

if TYPE_CHECKING:
    from kexp.data import Data

__all__ = ["two_moons"]


def two_moons(rows: Annotated[int, Range(ge=2)] = 1000, noise: NonNegative = 0.1, seed: Whole = 0) -> Data:
    """Two interleaving half circles of radius 1 in the plane, two classes of equal size.

    Args:
        rows: number of rows, half of them in each moon; >= 2.
        noise: standard deviation of the noise added to both coordinates; >= 0.
        seed: decides the points and the noise.
    """
    import numpy as np

    from kexp.data import arrays

    generator = np.random.default_rng(seed)
    lower = np.arange(rows) % 2
    angle = generator.uniform(0.0, np.pi, rows)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    turned = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    points = np.where(lower[:, None] == 1, turned, upper) + generator.normal(0.0, noise, (rows, 2))
    return arrays(points, lower, classes=["upper", "lower"], feature_names=["x", "y"])
