"""The statistics of a comparison: intervals of means over seeds, and paired tests of the difference of two choices.

As Student's t does, everything here assumes that the seeds of a row are independent and that means over them (for the
paired test, mean differences over shared seeds) are approximately normal. Folds are not independent, and are corrected
for. The paired test does not assume equal variances: a seed with a bad split or bad initial weights often hurts both
choices, and pairing removes that effect.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MOST_SEEDS", "PairedTest", "Summary", "holm", "paired_power", "paired_test", "seeds_needed", "summarise"]

MOST_SEEDS = 1000
"""The largest number of seeds that is suggested: if more are needed, two choices are practically equal."""

_ROUNDING = 1e-12  # a standard deviation below this fraction of the values is rounding


@dataclass(frozen=True)
class Summary:
    """Statistics of a row's values over its seeds.

    Attributes:
        n: how many values.
        mean: NaN for no values.
        sd: standard deviation with n - 1; NaN for fewer than two values.
        low, high: the t-interval of the mean; NaN for fewer than two values.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """The difference between two choices over the seeds that both ran with.

    Attributes:
        n: how many shared seeds.
        difference: mean of a - b; NaN for none.
        sd: standard deviation of the differences with n - 1; NaN for fewer than two.
        p: two-sided p-value; NaN for fewer than two shared seeds.
    """

    n: int
    difference: float
    sd: float
    p: float


def summarise(values: Sequence[float], confidence: float = 0.95, overlap: float = 0.0) -> Summary:
    """Computes the mean, the standard deviation and the t-interval of the mean.

    Args:
        values: one for each seed or fold; finite.
        confidence: confidence level of the interval, between 0 and 1.
        overlap: the ratio of validation rows to training rows of folds; 0 for independent values. Folds share most of
            their training rows, so the variance of their mean is sd^2 (1/n + overlap) instead of sd^2 / n.

    Source:
        Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52, section 4.
    """
    n = len(values)
    mean = math.fsum(values) / n if n else math.nan
    if n < 2:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _t_quantile(n - 1, confidence) * sd * math.sqrt(1 / n + overlap)
    return Summary(n, mean, sd, mean - half, mean + half)


def paired_test(a: Sequence[float], b: Sequence[float], overlap: float = 0.0) -> PairedTest:
    """Computes Student's two-sided paired t-test of a against b; over folds, the corrected resampled t-test.

    If all differences are zero, p = 1. If all are equal but not zero, which is common for coarse metrics such as the
    accuracy on few rows, t would be infinite after two seeds. The exact sign test is used instead: p = 2 / 2^n, which
    needs six seeds to be significant at 5%.

    Args:
        a, b: values by seed, in the same order of seeds; finite.
        overlap: as for `summarise`.

    Source:
        Student (1908), The probable error of a mean; Nadeau and Bengio (2003), as for `summarise`; Conover
        (1999), Practical nonparametric statistics, section 3.4 (sign test).
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    summary = summarise(differences)
    n, mean, sd = summary.n, summary.mean, summary.sd
    if n < 2:
        return PairedTest(n, mean, sd, math.nan)
    scale = max(abs(value) for value in (*a, *b))
    if sd <= _ROUNDING * scale:
        same = abs(mean) <= _ROUNDING * scale
        return PairedTest(n, mean, 0.0, 1.0 if same else 2.0 ** (1 - n))
    from scipy.special import stdtr

    t = mean / (sd * math.sqrt(1 / n + overlap))
    return PairedTest(n, mean, sd, float(2 * stdtr(n - 1, -abs(t))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for multiple tests, so that the probability of any false rejection is at most alpha.

    Args:
        p_values: in any order; a NaN (no test was possible) stays NaN and does not count.

    Returns:
        The corrected p-values, in the same order, at most 1.

    Source:
        Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    corrected, running = [math.nan] * len(p_values), 0.0
    for place, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - place) * p_values[i]))
        corrected[i] = running
    return corrected


def paired_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Computes the probability that the two-sided paired t-test on n pairs detects a true difference.

    Args:
        effect: the mean difference divided by the standard deviation of the differences (Cohen's d_z).
        n: number of pairs; at least 2.
        alpha: significance level, between 0 and 1.

    Source:
        Cohen (1988), Statistical power analysis for the behavioral sciences; through the noncentral t distribution.
    """
    from scipy.special import nctdtr

    critical, shift = _t_quantile(n - 1, 1 - alpha), abs(effect) * math.sqrt(n)
    # Far in the tails, `nctdtr` returns NaN where the value is 0 in double precision.
    below, far = float(nctdtr(n - 1, shift, critical)), float(nctdtr(n - 1, shift, -critical))
    below = (1.0 if critical > shift else 0.0) if math.isnan(below) else below
    return min(1.0, max(0.0, 1 - below + (0.0 if math.isnan(far) else far)))


def seeds_needed(effect: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Finds the smallest number of seeds with which the paired t-test detects a true difference of this size.

    Args:
        effect: as for `paired_power`.
        alpha: significance level, between 0 and 1.
        power: the required probability of detection, between 0 and 1.

    Returns:
        At least 2; None if `MOST_SEEDS` do not suffice.
    """
    if math.isnan(effect):
        return None
    numbers = range(2, MOST_SEEDS + 1)
    place = bisect.bisect_left(numbers, True, key=lambda n: paired_power(effect, n, alpha) >= power)
    return numbers[place] if place < len(numbers) else None


@functools.lru_cache(maxsize=4096)
def _t_quantile(degrees_of_freedom: int, confidence: float) -> float:
    """Returns the t with which the interval from -t to t has the probability `confidence`."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, (1 + confidence) / 2))
