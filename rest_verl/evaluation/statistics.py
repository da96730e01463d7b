"""Intervals and tests for accuracies, in which the unit is the row.

A row is one question, and rows are what another data set would have had others of. Several samples
of one row are no further rows: they enter as the row's mean. So an interval over N rows with K
samples each is that of N draws, not of N·K, and two runs are compared by each row's difference.

Shape letters: N rows, M samples a row, D distinct values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
RESAMPLES = 10_000
"""Bootstrap resamples: another seed moves an end of a 95 % interval by about 1 % of its width."""


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


class Spread(NamedTuple):
    """What repeated measurements of one number say of it."""

    num_values: int
    mean: float
    deviation: float | None
    """Sample standard deviation (divisor count - 1); None for a single measurement."""
    error: float | None
    """Standard error of the mean; None for a single measurement."""


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two runs on the same rows; a difference is the second's accuracy minus the first's."""

    rows: int
    samples: int
    """Of each row, in both runs."""
    first: float
    """Accuracy of the first run: mean over rows, and over their samples."""
    second: float
    difference: float
    interval: Interval
    """Of the difference (`bootstrap_interval`)."""
    p: float
    """`exact_paired_p`: McNemar's exact p with one sample a row."""
    better: tuple[str, ...]
    """Rows with more right samples in the second run, in the order of the first."""
    worse: tuple[str, ...]
    """Rows with fewer."""

    @property
    def more_than_noise(self) -> bool:
        """Whether the test and the interval both say so, at the level of `CONFIDENCE`."""
        return self.p < 1 - CONFIDENCE and not self.interval.low <= 0 <= self.interval.high


def paired_comparison(
    first: Mapping[str, Sequence[bool]], second: Mapping[str, Sequence[bool]]
) -> PairedComparison:
    """Compares two runs, each row id -> which of its samples are right.

    Raises:
        ValueError: no rows, other rows, or not the same number of samples for each row.
    """
    if not first or first.keys() != second.keys():
        raise ValueError("two runs are compared on the same rows, at least one")
    counts = {len(samples) for run in (first, second) for samples in run.values()}
    samples = counts.pop()
    if counts or not samples:
        raise ValueError("two runs are compared on the same number of samples of each row")
    gained = {row: sum(second[row]) - sum(right) for row, right in first.items()}
    differences_N = list(gained.values())
    per_row = bootstrap_interval(differences_N)
    attempts = len(first) * samples
    return PairedComparison(
        rows=len(first),
        samples=samples,
        first=sum(map(sum, first.values())) / attempts,
        second=sum(map(sum, second.values())) / attempts,
        difference=sum(differences_N) / attempts,
        interval=Interval(per_row.low / samples, per_row.high / samples),
        p=exact_paired_p(differences_N),
        better=tuple(row for row, gain in gained.items() if gain > 0),
        worse=tuple(row for row, gain in gained.items() if gain < 0),
    )


def wilson_interval(correct: float, total: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's score interval of an accuracy; None without rows (Wilson 1927).

    Args:
        correct: the number of right rows; with several samples a row, the sum of the rows' means.
        total: the number of rows.

    Raises:
        ValueError: unless 0 <= correct <= total and 0 < confidence < 1.
    """
    if not 0 <= correct <= total:
        raise ValueError(f"need 0 <= correct <= total, got {correct} of {total}")
    _check_confidence(confidence)
    if total == 0:
        return None
    z = float(special.ndtri((1 + confidence) / 2))
    wrong = total - correct
    centre = (correct + z * z / 2) / (total + z * z)
    half = z / (total + z * z) * math.sqrt(correct * wrong / total + z * z / 4)
    # At the ends the formula is exact but for rounding.
    return Interval(
        0.0 if correct == 0 else centre - half, 1.0 if correct == total else centre + half
    )


def weighted_wilson_interval(
    parts: Iterable[tuple[float, int, float]], confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of a weighted mean of independent accuracies; None if a part has no rows.

    BFCL's group accuracies are such means of its categories. The distances of the parts' Wilson
    ends from the parts' accuracies are weighted and added in quadrature (Newcombe's square-and-add
    method, as generalised by Zou and Donner 2008). For one part it is Wilson's interval itself.

    Args:
        parts: (correct, total, weight) each, as for `wilson_interval`; the weights add up to 1.

    Raises:
        ValueError: as `wilson_interval`, or weights that are negative or do not add up to 1.
    """
    parts = list(parts)
    weights = [weight for *_, weight in parts]
    if min(weights, default=0) < 0 or not math.isclose(math.fsum(weights), 1):
        raise ValueError(f"weights must not be negative and must add up to 1, got {weights}")
    mean = below = above = 0.0
    for correct, total, weight in parts:
        interval = wilson_interval(correct, total, confidence)
        if interval is None:
            return None
        accuracy = correct / total
        mean += weight * accuracy
        below += (weight * (accuracy - interval.low)) ** 2
        above += (weight * (interval.high - accuracy)) ** 2
    return Interval(max(0.0, mean - math.sqrt(below)), min(1.0, mean + math.sqrt(above)))


def spread(values: Sequence[float]) -> Spread:
    """Mean and spread of an accuracy over seeds or samples.

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("the spread of no values is not defined")
    number, mean = len(values), float(np.mean(values))
    if number == 1:
        return Spread(1, mean, None, None)
    deviation = float(np.std(values, ddof=1))
    return Spread(number, mean, deviation, deviation / math.sqrt(number))


def exact_paired_p(differences_N: Sequence[int]) -> float:
    """Two-sided p of "the runs are equally good" from each row's difference in right samples.

    The exact sign-flip test: if neither run is better, each row's difference is as likely to have
    the opposite sign, and p is the share of all sign patterns whose sum is at least as far from 0.
    With one sample a row the differences are -1, 0 and 1, and this is McNemar's exact test on the
    discordant rows (the binomial test with 1/2).
    """
    sizes_D, counts_D = np.unique(np.abs(differences_N), return_counts=True)
    observed = abs(int(np.sum(differences_N)))
    # Rows of one size d sum to d·(2·heads - n): the sums of all rows are the convolution.
    chance = np.ones(1)
    for size, count in zip(sizes_D, counts_D, strict=True):
        if size == 0:
            continue
        of_size = np.zeros(2 * size * count + 1)
        of_size[:: 2 * size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, of_size)
    middle = len(chance) // 2
    tail = float(chance[middle + observed :].sum())
    return min(1.0, 2 * tail)


def bootstrap_interval(
    differences_N: Sequence[float],
    confidence: float = CONFIDENCE,
    *,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of the mean difference; what is drawn are whole rows.

    Same input and seed, same interval. Drawing N rows with replacement is drawing how often each
    distinct value comes up, so a resample costs D and not N.

    Raises:
        ValueError: no rows, or a confidence outside (0, 1).
    """
    if not len(differences_N):
        raise ValueError("the interval of a difference needs rows")
    _check_confidence(confidence)
    values_D, counts_D = np.unique(np.asarray(differences_N, dtype=float), return_counts=True)
    total = len(differences_N)
    drawn_RD = np.random.default_rng(seed).multinomial(total, counts_D / total, size=RESAMPLES)
    low, high = np.quantile(
        drawn_RD @ values_D / total, [(1 - confidence) / 2, (1 + confidence) / 2]
    )
    return Interval(float(low), float(high))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
