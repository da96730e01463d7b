"""Intervals of ratios of estimates over prompts: jackknife variances, Fieller's limits.

- Variances come from leaving out blocks of prompts. Drawing prompts with replacement would be
  wrong: a prompt drawn twice is correlated with itself, and the noise passes for signal.
- A squared length estimated from pairs is mostly of second order, and the jackknife's variance
  counts that part twice; Efron and Stein (Annals of Statistics 9, 1981) take it out by leaving out
  two.
- A ratio whose denominator is hardly known has no normal distribution. Fieller's limits (1954) are
  the θ for which A - θ B is within its own error of 0; where B itself is, there is no bound.

Shape letters: A replicates, M blocks.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from rest_verl.study.gradients.moments import Replicates

CONFIDENCE = 0.95
WANTED = 0.1
"""Half-width of an interval that tells something of a ratio to uniform's; of other ratios, as a
share of the estimate."""


@dataclass(frozen=True)
class Variances:
    """Of a numerator and a denominator."""

    covariance: np.ndarray
    """Of (A, B), (2, 2)."""
    second_order: float
    """Share of it that falls with the square of the number of prompts, in [0, 1]."""
    degrees_of_freedom: int


@dataclass(frozen=True)
class Ratio:
    """An estimate with its interval; None: no bound."""

    value: float | None
    """None: the denominator's estimate is not above 0."""
    low: float | None
    high: float | None
    num_prompts_needed: int | None
    """About as many give a half-width of `WANTED`; None: it has that, or nothing can be said."""

    def as_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return asdict(self)

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval; None: without bounds."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def excludes(self, number: float) -> bool:
        """Whether the interval has bounds, and `number` is not between them."""
        return self.ends is not None and not self.ends[0] <= number <= self.ends[1]


def jackknife(replicates: Replicates, top_A: np.ndarray, bottom_A: np.ndarray) -> Variances:
    """Variances of a figure's numerator and denominator, from their replicates."""
    num = replicates.num_blocks
    whole, without_one, without_two = replicates.split(np.stack([top_A, bottom_A], axis=-1))
    spread = without_one - without_one.mean(0)
    covariance = (num - 1) / num * spread.T @ spread
    # What leaving out two does beyond leaving out each: the second-order terms alone.
    first, second = np.triu_indices(num, 1)
    beyond = (
        num * whole
        - (num - 1) * (without_one[first] + without_one[second])
        + (num - 2) * without_two
    )
    beyond = beyond - beyond.mean(0)
    excess = beyond.T @ beyond / (num * (num - 1))
    # Along the ratio: of A - θ B at its estimate.
    along = np.array([1.0, -whole[0] / whole[1] if whole[1] else 0.0])
    jack = float(along @ covariance @ along)
    # Where all is of second order, the excess is half: an estimate beyond that is noise.
    share = min(max(float(along @ excess @ along) / jack, 0.0), 0.5) if jack > 0 else 0.0
    return Variances((1 - share) * covariance, share / (1 - share), num - 1)


def ratio_interval(
    top: float,
    bottom: float,
    variances: Variances,
    num_prompts: int,
    *,
    limits: tuple[float, float] = (-math.inf, math.inf),
    relative: bool = False,
) -> Ratio:
    """Fieller's interval of top / bottom, at `CONFIDENCE`.

    Args:
        top, bottom: The estimates from all prompts.
        variances: Theirs.
        num_prompts: Prompts that they are from.
        limits: What the ratio cannot exceed.
        relative: The half-width that is wanted is a share of the estimate.
    """
    if bottom <= 0:
        return Ratio(None, None, None, None)
    value = top / bottom
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, variances.degrees_of_freedom))
    squares = t**2 * variances.covariance
    ends = _fieller(top, bottom, squares)
    widest = 2 * WANTED * (abs(value) if relative else 1.0)
    if ends and ends[1] - ends[0] <= widest:
        needed = None
    else:
        share = _share_left(top, bottom, squares, widest)
        needed = _prompts_with(share, variances.second_order, num_prompts)
    low, high = (min(max(end, limits[0]), limits[1]) for end in ends) if ends else (None, None)
    return Ratio(value, low, high, needed)


def _fieller(top: float, bottom: float, squares: np.ndarray) -> tuple[float, float] | None:
    """The θ with (top - θ bottom)² at most `squares` along (1, -θ); None: without bounds."""
    (aa, ab), (_, bb) = squares.tolist()
    leading = bottom**2 - bb
    if leading <= 0:
        return None
    half = top * bottom - ab
    root = math.sqrt(max(half**2 - leading * (top**2 - aa), 0.0))  # below 0 by rounding alone
    return (half - root) / leading, (half + root) / leading


def _share_left(top: float, bottom: float, squares: np.ndarray, widest: float) -> float:
    """The share of the variances with which the interval would be `widest`; 0: none is."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        ends = _fieller(top, bottom, middle * squares)
        fits = ends is not None and ends[1] - ends[0] <= widest
        low, high = (middle, high) if fits else (low, middle)
    return low


def _prompts_with(share: float, second_order: float, num_prompts: int) -> int | None:
    """Prompts that leave that share of the variances: one part of them falls as 1 / P, the other
    as 1 / P²."""
    if share <= 0:
        return None
    first = 1 - second_order
    growth = (first + math.sqrt(first**2 + 4 * second_order * share)) / (2 * share)
    return max(num_prompts + 1, math.ceil(num_prompts * growth))
