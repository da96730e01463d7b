"""Estimates over seeds and rows: intervals, exact tests, and the seeds that a difference needs.

The definitions of the interquartile mean and of the probability of improvement are those of Agarwal
et al. 2021 ("Deep reinforcement learning at the edge of the statistical precipice"; rliable).

Shape letters: A arms (or other conditions with the same seeds), S seeds, N held-out rows,
R resamples. An outcome that is no mean over rows has N = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from rest_verl.evaluation.statistics import CONFIDENCE, Interval

RESAMPLES = 10_000
MOST_SEEDS = 20
"""2¹⁹ sign patterns; the test enumerates them all."""
POWER = 0.8

Statistic = Callable[[np.ndarray], np.ndarray]
"""(A, …, S) outcomes -> (…)."""


class Estimate(NamedTuple):
    """A number and what is known of it."""

    value: float
    interval: Interval | None
    """Percentile bootstrap at `CONFIDENCE`; None for a single seed."""

    def within(self, low: float, high: float) -> Estimate:
        """The same, of what can be no lower and no higher."""
        if self.interval is None:
            return self
        ends = (min(max(end, low), high) for end in self.interval)
        return Estimate(self.value, Interval(*ends))


def interquartile_mean(values_1XS: np.ndarray) -> np.ndarray:
    """Mean over seeds without the lowest and the highest quarter (rounded down) of them."""
    return stats.trim_mean(values_1XS[0], 0.25, axis=-1)


def median(values_1XS: np.ndarray) -> np.ndarray:
    """Of values that may be infinite."""
    return np.median(values_1XS[0], axis=-1)


def contrast(*coefficients_A: float) -> Statistic:
    """The mean over seeds of a sum of the conditions: `contrast(1, -1)` is first minus second."""
    return lambda values_AXS: np.tensordot(coefficients_A, values_AXS, axes=1).mean(axis=-1)


def improvement(values_2XS: np.ndarray) -> np.ndarray:
    """Probability that a run of the first condition is better than one of the second.

    Over all S² pairs of seeds, equal ones counting half: Mann and Whitney's U / S².
    """
    first, second = values_2XS[0][..., :, None], values_2XS[1][..., None, :]
    return ((first > second) + 0.5 * (first == second)).mean(axis=(-2, -1))


def bootstrap(values_ASN: np.ndarray, statistic: Statistic) -> Estimate:
    """The statistic of each seed's mean over rows, with its interval over seeds and rows.

    What is drawn, with replacement, are seeds and rows, each whole: a seed with all its conditions,
    for they are paired, and a row with all its answers of every condition and seed, for all were
    asked the same rows. Such a crossed bootstrap counts three times what a seed and a row have only
    together (Owen 2007). Drawing seeds alone and rows alone counts it once each, so the three
    variances tell how much it is, and the interval is narrowed accordingly. Where N = 1, seeds
    alone are drawn.

    Same input, same interval. Over three seeds intervals are too narrow where seeds differ much.

    Raises:
        ValueError: no seeds, or no rows.
    """
    num_seeds, num_rows = values_ASN.shape[1:]
    if not num_seeds or not num_rows:
        raise ValueError("an estimate needs seeds and rows")
    means_AS = values_ASN.mean(axis=-1)
    value = float(statistic(means_AS))
    if num_seeds == 1:
        return Estimate(value, None)
    seeds_RS = _seed_draws(num_seeds)
    drawn_R = of_seeds_R = statistic(means_AS[:, seeds_RS])
    if num_rows > 1:
        means_ARS = np.moveaxis(values_ASN @ _row_shares(num_rows).T, -1, 1)
        of_rows_R = statistic(means_ARS)
        both_R = statistic(np.take_along_axis(means_ARS, seeds_RS[None], axis=-1))
        seeds, rows, crossed = (float(np.var(drawn)) for drawn in (of_seeds_R, of_rows_R, both_R))
        # seeds + e, rows + e and seeds + rows + 3e are known; wanted is seeds + rows + e.
        wanted = max(2 * (seeds + rows) - crossed, seeds, rows)
        drawn_R = value + (both_R - value) * math.sqrt(wanted / crossed if crossed else 1)
    # An outcome that is no mean over rows may be infinite: nothing to interpolate there.
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(drawn_R, tails, method="inverted_cdf")
    return Estimate(value, Interval(float(low), float(high)))


@lru_cache(maxsize=4)
def _row_shares(num_rows: int) -> np.ndarray:
    """(R, N): how much of each resample each row is."""
    even = np.full(num_rows, 1 / num_rows)
    return np.random.default_rng(0).multinomial(num_rows, even, size=RESAMPLES) / num_rows


@lru_cache(maxsize=32)
def _seed_draws(num_seeds: int) -> np.ndarray:
    """(R, S): which seeds each resample has."""
    return np.random.default_rng(1).integers(num_seeds, size=(RESAMPLES, num_seeds))


def sign_flip_p(differences_S: Sequence[float] | np.ndarray) -> float:
    """Two-sided exact p of "no difference" from paired differences.

    Without a difference each pair's is as likely to have the opposite sign; p is the share of all
    2^S sign patterns whose sum is at least as far from 0 as the sum observed. It speaks of other
    seeds on these rows, and cannot be less than 2^(1 - S).

    Raises:
        ValueError: no pair, or more than `MOST_SEEDS`.
    """
    num_seeds = len(differences_S)
    if not 1 <= num_seeds <= MOST_SEEDS:
        raise ValueError(f"the exact test takes 1 to {MOST_SEEDS} pairs, not {num_seeds}")
    # A pattern and its opposite are equally far from 0: the first sign can stay.
    patterns = np.arange(2 ** (num_seeds - 1))[:, None] >> np.arange(num_seeds) & 1
    sums = (1 - 2 * patterns) @ np.asarray(differences_S, dtype=float)
    rounding = 1e-12 * np.abs(differences_S).sum()
    return float(np.mean(np.abs(sums) >= abs(sums[0]) - rounding))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values adjusted for their number (Holm 1979), in the same order."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    rising = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(rising, 1)
    return adjusted.tolist()


class SeedsNeeded(NamedTuple):
    """How many pairs show a difference, at the observed spread and at the ends of its interval."""

    low: int
    number: int
    high: int


def seeds_needed(
    differences_S: Sequence[float] | np.ndarray, difference: float
) -> SeedsNeeded | None:
    """Pairs with which a two-sided t-test at 1 - `CONFIDENCE` finds `difference` at `POWER`.

    At least as many as the sign-flip test needs for any p below that level. The interval is that of
    the differences' standard deviation (chi-square). None for less than two pairs.
    """
    free = len(differences_S) - 1
    if free < 1:
        return None
    deviation = float(np.std(differences_S, ddof=1))
    ends = stats.chi2.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], free)
    low, high = deviation * np.sqrt(free / ends)
    return SeedsNeeded(*(_pairs(abs(difference), sd) for sd in (low, deviation, high)))


def _pairs(difference: float, deviation: float) -> int:
    """Pairs for a mean difference, where single differences have that standard deviation."""
    tail = (1 - CONFIDENCE) / 2
    # 2^(1 - number) < 1 - CONFIDENCE
    least = math.floor(1 - math.log2(1 - CONFIDENCE)) + 1
    if not deviation:
        return least
    effect = difference / deviation
    # The normal approximation needs fewer pairs than the t-test, by about two.
    normal = ((stats.norm.isf(tail) + stats.norm.ppf(POWER)) / effect) ** 2
    number = max(least, math.floor(normal))
    while _power(number, effect, tail) < POWER:
        number += 1
    return number


def _power(number: int, effect: float, tail: float) -> float:
    """Of a t-test on that many pairs, for a mean of `effect` standard deviations."""
    free = number - 1
    return float(stats.nct.sf(stats.t.isf(tail, free), free, effect * math.sqrt(number)))
