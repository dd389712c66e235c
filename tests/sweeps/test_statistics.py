"""Statistics against published worked examples, and against SciPy on fresh data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kexp.sweeps.compare.statistics import holm, paired_power, paired_test, seeds_needed, summarise

# Student (1908), The probable error of a mean, Biometrika 6(1): hours of sleep gained by ten patients with two drugs,
# from Cushny and Peebles (1905). The results below are those of R's examples of `t.test` on its data set `sleep`.
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng()


def test_summary_reproduces_students_sleep_data() -> None:
    summary = summarise(SECOND_DRUG)
    assert (summary.n, summary.mean) == (10, pytest.approx(2.33))
    assert summary.sd == pytest.approx(2.002249, abs=1e-6)
    assert (summary.low, summary.high) == (pytest.approx(0.8976775, abs=1e-7), pytest.approx(3.7623225, abs=1e-7))


def test_paired_test_reproduces_students_sleep_data() -> None:
    test = paired_test(FIRST_DRUG, SECOND_DRUG)
    assert test.p == pytest.approx(0.002833, abs=5e-7)
    assert test.difference == pytest.approx(-1.58)
    assert test.difference / (test.sd / math.sqrt(test.n)) == pytest.approx(-4.0621, abs=5e-5)  # t


def test_holm_reproduces_a_worked_example() -> None:
    # Four hypotheses with p = 0.01, 0.04, 0.03, 0.005 at 5%: only the first and the last are rejected
    # (the worked example of Wikipedia's article on the Holm-Bonferroni method).
    corrected = holm([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [p <= 0.05 for p in corrected] == [True, False, False, True]


def test_power_reproduces_gpowers_worked_example() -> None:
    # G*Power 3.1 manual, "Means - difference between two dependent means (matched pairs)":
    # d_z = 0.421637, n = 50, alpha = 0.05 two-sided gives a power of 0.832114.
    assert paired_power(0.421637, 50) == pytest.approx(0.832114, abs=1e-6)


def test_seeds_needed_reproduces_cohens_medium_effect() -> None:
    # A paired test of d_z = 0.5 at 5% with a power of 80% needs 34 pairs:
    # pwr.t.test(d=0.5, power=0.8, type="paired") of R's package pwr gives n = 33.36713.
    assert seeds_needed(0.5) == 34
    assert seeds_needed(-0.5) == 34


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_summary_and_paired_test_agree_with_scipy(n: int, random: np.random.Generator) -> None:
    a, b = random.normal(0.3, 0.02, n), random.normal(0.31, 0.05, n)
    mine, theirs = paired_test(list(a), list(b)), stats.ttest_rel(a, b)
    t = mine.difference / (mine.sd / math.sqrt(n))
    assert (t, mine.p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))
    summary = summarise(list(a))
    low, high = stats.t.interval(0.95, n - 1, a.mean(), stats.sem(a))
    assert (summary.mean, summary.sd) == (pytest.approx(a.mean()), pytest.approx(a.std(ddof=1)))
    assert (summary.low, summary.high) == (pytest.approx(low), pytest.approx(high))


def test_power_agrees_with_the_noncentral_t_of_scipy(random: np.random.Generator) -> None:
    for effect, alpha in zip(random.uniform(0.05, 3, 20), random.uniform(0.001, 0.1, 20), strict=True):
        n = int(random.integers(2, 200))
        critical, shift = stats.t.ppf(1 - alpha / 2, n - 1), effect * math.sqrt(n)
        expected = stats.nct.sf(critical, n - 1, shift) + np.nan_to_num(stats.nct.cdf(-critical, n - 1, shift))
        assert paired_power(effect, n, alpha) == pytest.approx(expected, abs=1e-9)


def test_power_is_the_share_of_simulated_experiments_that_detect(random: np.random.Generator) -> None:
    effect, n = 0.9, 8
    p = stats.ttest_1samp(random.normal(effect, 1, (20_000, n)), 0, axis=1).pvalue
    assert paired_power(effect, n) == pytest.approx((p <= 0.05).mean(), abs=0.02)


def test_seeds_needed_is_the_smallest_number_with_the_power(random: np.random.Generator) -> None:
    for effect, alpha in zip(10 ** random.uniform(-0.6, 0.8, 30), 10 ** random.uniform(-4, -1, 30), strict=True):
        needed = seeds_needed(effect, alpha)
        assert needed is not None
        assert paired_power(effect, needed, alpha) >= 0.8 - 1e-9
        assert needed == 2 or paired_power(effect, needed - 1, alpha) < 0.8


def test_seeds_needed_is_none_where_no_bounded_number_suffices() -> None:
    assert seeds_needed(0.0) is None
    assert seeds_needed(0.001) is None
    assert seeds_needed(math.nan) is None


def test_paired_test_of_equal_values_finds_nothing() -> None:
    test = paired_test([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (test.difference, test.p) == (0.0, 1.0)


def test_paired_test_of_constant_differences_is_the_sign_test(random: np.random.Generator) -> None:
    for n in (2, 5, 6, 9):
        a = random.uniform(0.8, 0.9, n)
        expected = stats.binomtest(n, n).pvalue
        assert paired_test(list(a), list(a - 0.01)).p == pytest.approx(expected)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_values_give_nan_instead_of_an_answer(n: int) -> None:
    assert math.isnan(paired_test([1.0] * n, [2.0] * n).p)
    assert math.isnan(summarise([1.0] * n).sd)
    assert math.isnan(summarise([]).mean)


def test_holm_keeps_nan_and_does_not_count_it(random: np.random.Generator) -> None:
    p = random.uniform(0, 0.2, 6)
    with_nan = holm([*p[:3], math.nan, *p[3:]])
    assert math.isnan(with_nan.pop(3))
    assert with_nan == pytest.approx(holm(list(p)))
    order = np.argsort(p)
    expected = np.empty(6)
    expected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(6, 0, -1)))
    assert with_nan == pytest.approx(list(expected))
