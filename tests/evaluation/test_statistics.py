"""Intervals and tests against published values, scipy, enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rest_verl.evaluation.statistics import (
    Interval,
    Spread,
    bootstrap_interval,
    exact_paired_p,
    paired_comparison,
    spread,
    weighted_wilson_interval,
    wilson_interval,
)

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


# Newcombe, Statistics in Medicine 17 (1998) 857, table I: "score" without continuity correction.
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_published_values(correct: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipy_s(count: tuple[int, int], confidence: float) -> None:
    expected = stats.binomtest(*count).proportion_ci(confidence, method="wilson")
    interval = wilson_interval(*count, confidence)
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= interval.low <= count[0] / count[1] <= interval.high <= 1


def test_wilson_of_row_means_lies_between_whole_rows() -> None:
    low, between, high = (wilson_interval(correct, 30) for correct in (10, 10.5, 11))
    assert low.low < between.low < high.low
    assert low.high < between.high < high.high


def test_wilson_without_rows() -> None:
    assert wilson_interval(0, 0) is None
    assert weighted_wilson_interval([(1, 2, 0.5), (0, 0, 0.5)]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 5), "0 <= correct <= total"),
        ((6, 5), "0 <= correct <= total"),
        ((math.nan, 5), "0 <= correct <= total"),
        ((1, 5, 1.0), "confidence"),
        ((1, 5, 0.0), "confidence"),
    ],
)
def test_wilson_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wilson_interval(*arguments)


@given(counts)
def test_weighted_mean_of_one_category_is_wilson(count: tuple[int, int]) -> None:
    expected = wilson_interval(*count)
    assert weighted_wilson_interval([(*count, 1.0)]) == pytest.approx(expected, abs=1e-12)


def test_weighted_mean_by_hand() -> None:
    # 5 of 10 is 0.5 with ends at 0.5 ± 0.26341; two of them at weight 1/2 add in quadrature.
    half = 0.5 * math.hypot(0.26341, 0.26341)
    interval = weighted_wilson_interval([(5, 10, 0.5), (5, 10, 0.5)])
    assert interval == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)


@pytest.mark.parametrize("weights", [(0.5, 0.6), (1.5, -0.5)])
def test_weights_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        weighted_wilson_interval([(1, 2, weights[0]), (1, 2, weights[1])])
    with pytest.raises(ValueError, match="weights"):
        weighted_wilson_interval([])


def test_weighted_mean_covers_the_truth() -> None:
    totals, truths, weights = (16, 200, 50), (0.9, 0.5, 0.2), (0.25, 0.25, 0.5)
    truth = sum(t * w for t, w in zip(truths, weights, strict=True))
    draws = np.random.default_rng(0).binomial(totals, truths, size=(2000, 3))
    covered = 0
    for correct in draws:
        low, high = weighted_wilson_interval(zip(correct, totals, weights, strict=True))
        covered += low <= truth <= high
    assert 0.93 < covered / len(draws) < 0.98


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (6, 0, 2 / 2**6),
        (0, 6, 2 / 2**6),
        (7, 3, 2 * (120 + 45 + 10 + 1) / 2**10),
    ],
)
def test_mcnemar_by_hand(better: int, worse: int, p: float) -> None:
    assert exact_paired_p([1] * better + [0] * 20 + [-1] * worse) == pytest.approx(p)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_binomial_test(better: int, worse: int) -> None:
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert exact_paired_p([1] * better + [-1] * worse) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=50)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_several_samples_against_all_sign_patterns(differences: list[int]) -> None:
    signs = itertools.product((-1, 1), repeat=len(differences))
    sums = [sum(s * d for s, d in zip(pattern, differences, strict=True)) for pattern in signs]
    expected = sum(abs(total) >= abs(sum(differences)) for total in sums) / len(sums)
    assert exact_paired_p(differences) == pytest.approx(expected, rel=1e-12)


def test_bootstrap_agrees_with_theory_and_scipy() -> None:
    differences = np.random.default_rng(1).choice([-1, 0, 1], 800, p=[0.1, 0.6, 0.3])
    interval = bootstrap_interval(differences)
    half = 1.96 * differences.std() / math.sqrt(800)
    mean = differences.mean()
    assert interval == pytest.approx((mean - half, mean + half), abs=0.1 * half)
    theirs = stats.bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=2000, rng=2
    ).confidence_interval
    assert interval == pytest.approx((theirs.low, theirs.high), abs=0.1 * half)


def test_bootstrap_is_deterministic() -> None:
    differences = [i * i % 97 - 40 for i in range(300)]
    assert bootstrap_interval(differences) == bootstrap_interval(differences)
    assert bootstrap_interval(differences) == bootstrap_interval(differences[::-1])
    assert bootstrap_interval(differences) != bootstrap_interval(differences, seed=1)
    wider, narrower = bootstrap_interval(differences, 0.99), bootstrap_interval(differences, 0.8)
    assert wider.low < narrower.low < narrower.high < wider.high


def test_bootstrap_of_equal_differences_is_a_point() -> None:
    assert bootstrap_interval([-1] * 7) == Interval(-1.0, -1.0)
    with pytest.raises(ValueError, match="needs rows"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_interval([1], 1.5)


def test_spread_by_hand() -> None:
    result = spread([0.5, 0.6, 0.7])
    assert result.num_values == 3
    assert (result.mean, result.deviation, result.error) == pytest.approx(
        (0.6, 0.1, 0.1 / math.sqrt(3))
    )
    assert spread([0.25]) == Spread(1, 0.25, None, None)
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_paired_comparison_by_hand() -> None:
    first = {"a": [True], "b": [False], "c": [True], "d": [False]}
    second = {"d": [True], "c": [False], "b": [True], "a": [True]}
    result = paired_comparison(first, second)
    assert (result.rows, result.samples) == (4, 1)
    assert (result.first, result.second, result.difference) == (0.5, 0.75, 0.25)
    assert (result.better, result.worse) == (("b", "d"), ("c",))
    assert result.p == 1.0
    assert not result.more_than_noise


def test_copies_of_a_sample_are_no_evidence() -> None:
    rng = np.random.default_rng(3)
    runs = [{f"{i}": [bool(rng.random() < p)] for i in range(60)} for p in (0.4, 0.7)]
    once = paired_comparison(*runs)
    copied = paired_comparison(*({row: right * 5 for row, right in run.items()} for run in runs))
    assert copied.samples == 5
    assert copied.p == pytest.approx(once.p, rel=1e-12)
    assert copied.interval == pytest.approx(once.interval, abs=1e-12)
    assert (copied.difference, copied.better) == (pytest.approx(once.difference), once.better)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {}, "same rows"),
        ({"a": [True]}, {"b": [True]}, "same rows"),
        ({"a": [True]}, {"a": [True, True]}, "samples"),
        ({"a": [True], "b": [True] * 2}, {"a": [True], "b": [True] * 2}, "samples"),
        ({"a": []}, {"a": []}, "samples"),
    ],
)
def test_pairs_refused(first: dict, second: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_comparison(first, second)


def test_noise_is_seldom_called_a_difference() -> None:
    right = np.random.default_rng(4).random((300, 2, 120)) < 0.6
    called = 0
    for first, second in right:
        runs = [{f"{i}": [bool(r)] for i, r in enumerate(run)} for run in (first, second)]
        called += paired_comparison(*runs).more_than_noise
    assert called / len(right) <= 0.05


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clear_difference_is_found(sign: int) -> None:
    weak = {f"{i}": [i % 2 == 0] for i in range(100)}
    strong = {f"{i}": [i % 2 == 0 or i < 40] for i in range(100)}
    result = paired_comparison(*(weak, strong)[::sign])
    assert result.more_than_noise
    assert result.difference == pytest.approx(sign * 0.2)
