"""Estimates of the study against scipy, enumeration, tables and simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recipes.evidence.statistics import (
    Estimate,
    Interval,
    bootstrap,
    contrast,
    holm,
    improvement,
    interquartile_mean,
    median,
    seeds_needed,
    sign_flip_p,
)

numbers = st.floats(-1, 1, allow_subnormal=False)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([3.0], 3.0),
        ([1.0, 2.0, 9.0], 4.0),  # a quarter of three is none
        ([-99.0, 1.0, 2.0, 99.0], 1.5),
        ([99.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, -99.0], 2.5),  # two at either end
        ([99.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, -99.0], 4.5),  # two, of ten
    ],
)
def test_interquartile_mean(values: list[float], mean: float) -> None:
    assert interquartile_mean(np.array([values])) == pytest.approx(mean)


@given(st.lists(numbers, min_size=1, max_size=8), st.lists(numbers, min_size=1, max_size=8))
def test_improvement_is_mann_and_whitney_s(first: list[float], second: list[float]) -> None:
    shorter = min(len(first), len(second))
    pair = np.array([first[:shorter], second[:shorter]])
    u = stats.mannwhitneyu(*pair, alternative="greater").statistic
    assert improvement(pair) == pytest.approx(u / shorter**2)


@given(st.lists(numbers, min_size=1, max_size=8))
def test_the_sign_flip_p_is_that_of_all_patterns(differences: list[float]) -> None:
    patterns = itertools.product((-1, 1), repeat=len(differences))
    sums = [abs(np.dot(pattern, differences)) for pattern in patterns]
    observed, slack = abs(sum(differences)), 1e-12 * np.abs(differences).sum()
    assert sign_flip_p(differences) == pytest.approx(np.mean(np.array(sums) >= observed - slack))


def test_the_sign_flip_p_is_scipy_s() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, size=10)
    expected = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=2**10
    )
    assert sign_flip_p(differences) == pytest.approx(expected.pvalue)
    assert 0.01 < expected.pvalue < 0.9


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.1] * 10, 2 / 2**10),
        ([-0.1] * 10, 2 / 2**10),
        ([0.3, 0.2, 0.1], 2 / 8),
        ([0.3, 0.2, -0.1], 4 / 8),
        ([1.0, -1.0], 1),
        ([0.0, 0.0, 0.0], 1),
        ([0.0, 0.2, 0.2], 4 / 8),
        ([0.5], 1),
    ],
)
def test_sign_flip_p_by_hand(differences: list[float], p: float) -> None:
    assert sign_flip_p(differences) == pytest.approx(p)


def test_the_sign_flip_p_is_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(0)
    found = np.array([sign_flip_p(rng.normal(size=8)) for _ in range(400)])
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(found <= level) - level) < 3.5 * np.sqrt(level * (1 - level) / 400)


@pytest.mark.parametrize("number", [0, 21])
def test_too_few_or_too_many_pairs(number: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 20 pairs, not {number}"):
        sign_flip_p([0.1] * number)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.6], [1, 1]),
        ([0.2, 0.01], [0.2, 0.02]),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), max_size=9))
def test_holm_lies_between_p_and_bonferroni_s(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, found in zip(p_values, adjusted, strict=True):
        assert p <= found <= min(1, p * len(p_values)) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert sorted(adjusted) == [adjusted[place] for place in order]


# Paired t-test, two-sided 5 %, power 80 %: the usual tables (Cohen 1988).
@pytest.mark.parametrize(("difference", "pairs"), [(1.0, 10), (0.5, 34), (0.2, 199), (0.8, 15)])
def test_seeds_needed_by_the_tables(difference: float, pairs: int) -> None:
    one = np.array([-1.0, 1.0]) / np.sqrt(2)  # a standard deviation of 1
    found = seeds_needed(one, difference)
    assert found is not None
    assert found.number == pairs
    assert found.low < pairs < found.high


def test_more_pairs_seen_narrow_the_number_needed() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for pairs in (3, 10, 100):
        found = seeds_needed(stats.zscore(rng.normal(size=pairs), ddof=1), 0.5)
        assert found is not None
        assert found.number == 34
        widths.append(found.high / found.low)
    assert widths == sorted(widths, reverse=True)
    # Ends of the interval of a standard deviation from 100 draws (chi-square with 99).
    assert widths[-1] == pytest.approx((1.1617 / 0.8780) ** 2, rel=0.06)


def test_a_large_difference_needs_what_the_exact_test_needs() -> None:
    found = seeds_needed([0.0100, 0.0101, 0.0099], 0.02)
    assert found is not None
    assert found.number == 6  # 2 / 2^6 < 0.05 < 2 / 2^5
    assert seeds_needed([0.01, 0.01], 0.02) == (6, 6, 6)
    assert seeds_needed([0.01], 0.02) is None


def test_one_seed_has_no_interval() -> None:
    assert bootstrap(np.array([[[0.0, 1.0, 1.0, 1.0]]]), interquartile_mean) == (0.75, None)


def test_nothing_has_no_estimate() -> None:
    for shape in ((1, 0, 4), (1, 4, 0)):
        with pytest.raises(ValueError, match="needs seeds and rows"):
            bootstrap(np.zeros(shape), interquartile_mean)


def test_an_interval_over_seeds_alone_is_scipy_s() -> None:
    values = np.random.default_rng(2).normal(size=12)
    value, interval = bootstrap(values[None, :, None], interquartile_mean)
    assert value == pytest.approx(stats.trim_mean(values, 0.25))
    expected = stats.bootstrap(
        (values,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert interval == pytest.approx(expected, abs=0.04)


def test_equal_input_gives_an_equal_interval() -> None:
    values = np.random.default_rng(2).random((2, 5, 20))
    assert bootstrap(values, improvement) == bootstrap(values.copy(), improvement)


def test_no_spread_is_an_interval_of_one_point() -> None:
    assert bootstrap(np.ones((2, 3, 4)), contrast(1, -1)) == (0, (0, 0))


def test_infinite_outcomes() -> None:
    steps = np.array([20.0, 25.0, 30.0, np.inf, np.inf])
    value, interval = bootstrap(steps[None, :, None], median)
    assert value == 30
    assert interval is not None
    assert interval.low in {20, 25}
    assert interval.high == np.inf
    assert bootstrap(np.full((1, 3, 1), np.inf), median) == (np.inf, (np.inf, np.inf))


def test_contrasts_by_hand() -> None:
    values = np.array([[1.0, 2.0], [0.0, 4.0], [3.0, 3.0], [5.0, 1.0]])[..., None]
    assert bootstrap(values, contrast(1, -1, 0, 0)).value == pytest.approx(-0.5)
    assert bootstrap(values, contrast(-1, 1, 1, -1)).value == pytest.approx(0.5)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(-0.5, 0.5))
def test_a_paired_interval_does_not_see_what_both_arms_share(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    shared, own = rng.random((1, 5, 10)), rng.random((2, 5, 10))
    alone = bootstrap(own, contrast(1, -1))
    both = bootstrap(own + 7 * shared + shift, contrast(1, -1))
    assert both.value == pytest.approx(alone.value)
    assert both.interval == pytest.approx(alone.interval)


# Standard deviations of seeds, of rows, and of what a seed and a row have only together.
@pytest.mark.parametrize(
    ("of_seeds", "of_rows", "together"),
    [
        (0.05, 0.05, 0.5),  # a crossed bootstrap without correction covers 99.8 % here
        (0.03, 0.35, 0.3),  # seeds alone cover about 50 %
        (0.10, 0.05, 0.2),  # rows alone cover about 30 %
    ],
)
def test_intervals_cover_the_truth(of_seeds: float, of_rows: float, together: float) -> None:
    rng = np.random.default_rng(5)
    trials, seeds, rows = 250, 10, 25
    covered = 0
    for _ in range(trials):
        values_1SN = (
            rng.normal(0, of_seeds, (1, seeds, 1))
            + rng.normal(0, of_rows, (1, 1, rows))
            + rng.normal(0, together, (1, seeds, rows))
        )
        interval = bootstrap(values_1SN, interquartile_mean).interval
        assert interval is not None
        covered += interval.low <= 0 <= interval.high
    assert 0.9 <= covered / trials <= 0.985


def test_an_interval_ends_where_the_number_does() -> None:
    estimate = Estimate(0.5, Interval(-0.04, 1.04))
    assert estimate.within(0, 1) == (0.5, Interval(0, 1))
    assert Estimate(0.5, None).within(0, 1) == (0.5, None)
    assert Estimate(0.5, Interval(0.2, 0.7)).within(0, 1).interval == Interval(0.2, 0.7)
