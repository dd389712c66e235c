"""Tests each choice against the best one: better, worse or indistinguishable, and how many more seeds would decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kexp.sweeps.compare.folds import mean_per_draw, overlap
from kexp.sweeps.compare.statistics import MOST_SEEDS, PairedTest, holm, paired_test, seeds_needed
from kexp.sweeps.objective import Objective

__all__ = ["POWER", "Judgement", "Verdict", "judge", "pick_reference"]

Verdict = Literal["best", "better", "worse", "indistinguishable", "no result"]

POWER = 0.8
"""The power of the test, the probability of detecting a true difference, that `more_seeds` aims at."""


@dataclass(frozen=True)
class Judgement:
    """The test of a row against the reference row.

    Attributes:
        verdict: `best` is the reference itself.
        difference: mean of row - reference over the shared seeds; NaN if they share none.
        p: p-value, corrected for the number of rows; NaN if no test was possible.
        shared: how many seeds both rows have.
        more_seeds: how many more shared seeds would detect the difference with a power of 80%, if its mean and
            standard deviation stay the same; None if the test is significant already, or 1,000 seeds do not suffice.
        remark: the reason why `more_seeds` is None.
    """

    verdict: Verdict
    difference: float = math.nan
    p: float = math.nan
    shared: int = 0
    more_seeds: int | None = None
    remark: str = ""


def pick_reference(seeds: Sequence[int]) -> int:
    """Returns the index of the row that the others are tested against.

    It is the first row that has at least two seeds, and at least half as many as the row with the most: a row with
    fewer may rank first by chance, and cannot be tested against. If no row has two seeds, it is the first row.

    Args:
        seeds: the number of seeds or folds of each row, best row first.
    """
    enough = max(2, math.ceil(max(seeds) / 2)) if max(seeds) >= 2 else 1
    return next(place for place, count in enumerate(seeds) if count >= enough)


def judge(
    rows: Sequence[Mapping[Any, float]], reference: int, objective: Objective, confidence: float = 0.95
) -> list[Judgement]:
    """Tests every row against the reference over their shared seeds, with p-values corrected by Holm's method.

    Args:
        rows: seed -> objective, for each row.
        reference: the index of the reference in `rows`.
        objective: decides which sign of a difference is better.
        confidence: 1 - the significance level of the tests, between 0 and 1.

    Returns:
        One judgement for each row, in the same order.
    """
    alpha = 1 - confidence
    best = rows[reference]
    tests = [_test(row, best) for row in rows]
    tests[reference] = PairedTest(len(best), 0.0, math.nan, math.nan)
    corrected = holm([test.p for test in tests])
    undecided = sum(p > alpha for p in corrected)
    judged = []
    for place, (test, p) in enumerate(zip(tests, corrected, strict=True)):
        if place == reference:
            judged.append(Judgement("best", 0.0, shared=test.n))
        elif p <= alpha:
            better = objective.better(test.difference, 0.0)
            judged.append(Judgement("better" if better else "worse", test.difference, p, test.n))
        else:
            # Holm compares the smallest of the remaining p-values with alpha divided by their number.
            more, remark = _more_seeds(test, alpha / max(1, undecided))
            if overlap(best):
                more = None  # more folds would share more training rows
            judged.append(Judgement("indistinguishable", test.difference, p, test.n, more, remark))
    return judged


def _test(row: Mapping[Any, float], best: Mapping[Any, float]) -> PairedTest:
    shared = [seed for seed in row if seed in best]
    a, b = (mean_per_draw({seed: each[seed] for seed in shared}) for each in (row, best))
    return paired_test(a, b, overlap(shared))


def _more_seeds(test: PairedTest, alpha: float) -> tuple[int | None, str]:
    if test.n < 2:
        return None, "no test: fewer than 2 shared seeds"
    if test.difference == 0 and test.sd == 0:
        return None, "equal on every seed"
    if test.sd == 0:
        needed: int | None = math.ceil(1 - math.log2(alpha))  # the sign test of equal differences
    else:
        needed = seeds_needed(test.difference / test.sd, alpha, POWER)
    if needed is None:
        return None, f"more than {MOST_SEEDS:,}"
    return max(1, needed - test.n), ""
