"""Cross-validation folds in a comparison: a fold takes the place of a seed, and folds share training rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FOLD", "Fold", "mean_per_draw", "overlap"]

FOLD = "data.fold"


@dataclass(frozen=True, order=True)
class Fold:
    """One training of a cross-validation. It takes the place of the seed of a trial without folds.

    Attributes:
        seed: the seed of the training.
        split: the seed of the split into folds.
        number: the validation fold, from 0.
        count: how many folds there are.
    """

    seed: Any
    split: Any
    number: int
    count: int


def overlap(draws: Iterable[Any]) -> float:
    """Returns the ratio of validation rows to training rows of folds; 0 for seeds, which are independent.

    The correlation of folds adds sd^2 times this ratio to the variance of a mean.

    Source:
        Nadeau and Bengio (2003), Inference for the generalization error, section 4.
    """
    counts = [draw.count for draw in draws if isinstance(draw, Fold)]
    return 1 / (min(counts) - 1) if counts else 0.0


def mean_per_draw(values: Mapping[Any, float]) -> list[float]:
    """Returns one value for each seed or fold; the value of a fold is the mean over the seeds that trained on it."""
    draws: dict[Any, list[float]] = {}
    for draw, value in values.items():
        draws.setdefault((draw.split, draw.number) if isinstance(draw, Fold) else draw, []).append(value)
    return [math.fsum(found) / len(found) for found in draws.values()]
