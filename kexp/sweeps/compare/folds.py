"""Folds in a comparison: what stands for a seed there, and how much the training rows of two folds have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FOLD", "Fold", "over_repeats", "overlap"]

FOLD = "data.fold"


@dataclass(frozen=True, order=True)
class Fold:
    """One training of a cross-validation, where a trial without folds has its seed.

    Attributes:
        seed: of the training.
        split: the seed that cut the folds.
        number: which fold validated.
        count: how many there are.
    """

    seed: Any
    split: Any
    number: int
    count: int


def overlap(draws: Iterable[Any]) -> float:
    """Validation rows over training rows of folds: what their correlation adds to the variance of a mean; 0 of seeds.

    Source:
        Nadeau and Bengio (2003), Inference for the generalization error, section 4.
    """
    counts = [draw.count for draw in draws if isinstance(draw, Fold)]
    return 1 / (min(counts) - 1) if counts else 0.0


def over_repeats(values: Mapping[Any, float]) -> list[float]:
    """The values that count as draws: one a seed, or one a fold, the mean over the seeds that trained on it."""
    draws: dict[Any, list[float]] = {}
    for draw, value in values.items():
        draws.setdefault((draw.split, draw.number) if isinstance(draw, Fold) else draw, []).append(value)
    return [math.fsum(found) / len(found) for found in draws.values()]
