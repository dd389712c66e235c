"""The statistics of a comparison: what the seeds say of a mean, and of the difference between two choices.

Everything here assumes that the seeds of a row are independent draws and that means over them (for the paired test:
differences over shared seeds) are about normal, as Student's t does; folds, which are not independent, are corrected
for. The paired test needs no equal variances: a seed
that splits or starts badly for one choice may do so for the other, and pairing takes that out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MOST_SEEDS", "PairedTest", "Summary", "holm", "paired_power", "paired_test", "seeds_needed", "summarise"]

MOST_SEEDS = 1000
"""Where the search for a number of seeds ends: past it, two choices are as good as equal."""

_ROUNDING = 1e-12  # differences that vary by less than this share of the values vary by rounding alone


@dataclass(frozen=True)
class Summary:
    """A row's values over its seeds.

    Attributes:
        n: how many values.
        mean: NaN of no values.
        sd: standard deviation with n - 1; NaN of fewer than two values.
        low, high: the t-interval of the mean; NaN of fewer than two values.
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
        n: shared seeds.
        difference: mean of a - b; NaN of none.
        sd: standard deviation of the differences, n - 1; NaN of fewer than two.
        low, high: the t-interval of the mean difference; NaN of fewer than two.
        t: Student's t with n - 1 degrees of freedom; NaN where it is not defined.
        p: two-sided; NaN of fewer than two shared seeds.
    """

    n: int
    difference: float
    sd: float
    low: float
    high: float
    t: float
    p: float


def summarise(values: Sequence[float], confidence: float = 0.95, overlap: float = 0.0) -> Summary:
    """Mean, standard deviation and the t-interval of the mean.

    Args:
        values: one a seed, or one a fold; finite.
        confidence: the interval's, between 0 and 1.
        overlap: validation rows over training rows of folds, whose training rows are nearly the same: the variance of
            the mean is sd^2 (1/n + overlap) then, and not sd^2 / n as of independent values.

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


def paired_test(a: Sequence[float], b: Sequence[float], confidence: float = 0.95, overlap: float = 0.0) -> PairedTest:
    """Student's paired t-test of a against b, two-sided; over folds, the corrected resampled t-test.

    Differences that are all zero say nothing (p = 1). Differences that are all equal but not zero, common where a
    metric has a coarse grid such as the accuracy on few rows, would make t infinite after two seeds; they are held
    against the exact sign test instead, p = 2 / 2^n, which asks for six seeds.

    Args:
        a, b: values by seed, in the same order of seeds; finite.
        confidence: of the interval.
        overlap: as for `summarise`.

    Source:
        Student (1908), The probable error of a mean; Nadeau and Bengio (2003), as for `summarise`; Conover
        (1999), Practical nonparametric statistics, section 3.4 (sign test).
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    summary = summarise(differences, confidence, overlap)
    n, mean, sd = summary.n, summary.mean, summary.sd
    if n < 2:
        return PairedTest(n, mean, sd, summary.low, summary.high, math.nan, math.nan)
    scale = max(abs(value) for value in (*a, *b))
    if sd <= _ROUNDING * scale:
        same = abs(mean) <= _ROUNDING * scale
        return PairedTest(n, mean, 0.0, mean, mean, math.nan, 1.0 if same else 2.0 ** (1 - n))
    from scipy.special import stdtr

    t = mean / (sd * math.sqrt(1 / n + overlap))
    return PairedTest(n, mean, sd, summary.low, summary.high, t, float(2 * stdtr(n - 1, -abs(t))))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are: the chance of even one false rejection stays at most alpha.

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
    """The chance that the two-sided paired t-test on n pairs detects a true difference.

    Args:
        effect: the mean difference over the standard deviation of the differences (Cohen's d_z).
        n: pairs; at least 2.
        alpha: the level that p is held against.

    Source:
        Cohen (1988), Statistical power analysis for the behavioral sciences; through the noncentral t distribution.
    """
    from scipy.special import nctdtr

    critical, shift = _t_quantile(n - 1, 1 - alpha), abs(effect) * math.sqrt(n)
    # Far in the tails the series behind it gives NaN for what is 0 in double precision.
    below, far = float(nctdtr(n - 1, shift, critical)), float(nctdtr(n - 1, shift, -critical))
    below = (1.0 if critical > shift else 0.0) if math.isnan(below) else below
    return min(1.0, max(0.0, 1 - below + (0.0 if math.isnan(far) else far)))


def seeds_needed(effect: float, alpha: float = 0.05, power: float = 0.8, most: int = MOST_SEEDS) -> int | None:
    """The fewest seeds with which the paired t-test would tell a true difference of this size.

    Args:
        effect: as for `paired_power`.
        alpha: the level that p is held against.
        power: the chance wanted.
        most: the search's end.

    Returns:
        At least 2; None where `most` seeds do not suffice.
    """
    if not abs(effect) >= _least_effect(most, alpha, power):
        return None
    low, high = 1, most  # more seeds tell smaller effects: `high` always suffice, `low` never do
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if abs(effect) >= _least_effect(middle, alpha, power) else (middle, high)
    return high


@functools.lru_cache(maxsize=4096)  # thousands of rows are held against the same few numbers of seeds
def _least_effect(n: int, alpha: float, power: float) -> float:
    """The smallest effect that n seeds tell with this power."""
    from scipy.optimize import brentq

    # Two seeds held against a tiny level have a critical t without bound, and so has the effect.
    highest = 1.0
    while paired_power(highest, n, alpha) < power:
        highest *= 4.0
        if highest > 1e12:
            return math.inf
    return float(brentq(lambda effect: paired_power(effect, n, alpha) - power, 0.0, highest, xtol=1e-12))


@functools.lru_cache(maxsize=4096)
def _t_quantile(freedom: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))
