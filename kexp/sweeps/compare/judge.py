"""Each choice against the best one: better, worse, or not to be told apart, and how many more seeds would tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kexp.sweeps.compare.folds import over_repeats, overlap
from kexp.sweeps.compare.statistics import MOST_SEEDS, PairedTest, holm, paired_test, seeds_needed
from kexp.sweeps.objective import Objective

__all__ = ["POWER", "Judgement", "Verdict", "judge", "pick_reference"]

Verdict = Literal["best", "better", "worse", "indistinguishable", "no result"]

POWER = 0.8
"""The chance of telling a difference that `more_seeds` aims at."""


@dataclass(frozen=True)
class Judgement:
    """A row against the reference row.

    Attributes:
        verdict: `best` is the reference itself.
        difference: mean of row - reference over the shared seeds; NaN of none.
        p: corrected for the number of rows; NaN where no test was possible.
        shared: seeds that both have.
        more_seeds: how many more shared seeds would tell with a chance of 80%, should the difference and its spread
            stay as they are; None where it is told already, or no number up to 1,000 would.
        remark: why there is no number, in a few words.
    """

    verdict: Verdict
    difference: float = math.nan
    p: float = math.nan
    shared: int = 0
    more_seeds: int | None = None
    remark: str = ""


def pick_reference(seeds: Sequence[int]) -> int:
    """The place of the row that the others are tested against.

    The first of the ranking, unless so few seeds stand behind it that it may be first by luck and that nothing could
    be tested
    against it: fewer than two, or than half of what the best-covered row has.

    Args:
        seeds: of each row how many seeds or folds it has, best row first.
    """
    enough = max(2, math.ceil(max(seeds) / 2)) if max(seeds) >= 2 else 1
    return next(place for place, count in enumerate(seeds) if count >= enough)


def judge(
    rows: Sequence[Mapping[Any, float]], reference: int, objective: Objective, confidence: float = 0.95
) -> list[Judgement]:
    """Tests every row against the reference over their shared seeds, p-values corrected together after Holm.

    Args:
        rows: seed -> objective, of each row.
        reference: the place of the reference among `rows`.
        objective: says which sign of a difference is better.
        confidence: one less the level of the tests.
    """
    alpha = 1 - confidence
    best = rows[reference]
    tests = [_test(row, best, confidence) for row in rows]
    tests[reference] = PairedTest(len(best), 0.0, math.nan, math.nan, math.nan, math.nan, math.nan)
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
            # Holm holds the smallest of the p-values that are left against alpha over their number.
            more, remark = _more_seeds(test, alpha / max(1, undecided))
            if overlap(best):
                more = None  # more folds would have more in common
            judged.append(Judgement("indistinguishable", test.difference, p, test.n, more, remark))
    return judged


def _test(row: Mapping[Any, float], best: Mapping[Any, float], confidence: float) -> PairedTest:
    shared = [seed for seed in row if seed in best]
    a, b = (over_repeats({seed: each[seed] for seed in shared}) for each in (row, best))
    return paired_test(a, b, confidence, overlap(shared))


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
