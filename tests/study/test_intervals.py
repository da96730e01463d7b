"""Intervals of ratios: they cover what they should, and say when nothing can be said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.study.gradients.figures import NAMES, Quadratic
from rest_verl.study.gradients.intervals import (
    WANTED,
    Ratio,
    Variances,
    jackknife,
    ratio_interval,
)
from rest_verl.study.gradients.moments import Moments

BATCH = 32
UNIFORM, OTHER = np.eye(2)


class Known:
    """Gaussian gradients whose signal is a hundredth of their noise, of `uniform` and another.

    With `uneven`, six of ten prompts have no gradient, and the others' sizes are log-normal.
    """

    size = 300
    mean_CD = np.zeros((2, size))
    mean_CD[0, 0] = 1.0
    mean_CD[1, :2] = 0.6, 0.25
    scale_C = np.array([1.0, 0.65])
    scale_D = np.exp(-np.arange(size) / 100)
    scale_D *= math.sqrt(100 / (scale_D**2).sum())
    correlation = 0.9

    def __init__(self, uneven: bool = False) -> None:
        self.uneven = uneven
        # a prompt's size k: E k = 1 for the signal, and E k² for what its spread adds to the noise
        self.mean_square = math.exp(1.28) / (0.4 * math.exp(0.64)) if uneven else 1.0

    def draw(self, random: np.random.Generator, num_prompts: int) -> Quadratic:
        moments = Moments(num_prompts, 2, self.size)
        for _ in range(num_prompts):
            noise = random.standard_normal((2, self.size))
            noise[1] = self.correlation * noise[0] + math.sqrt(1 - self.correlation**2) * noise[1]
            noise *= self.scale_C[:, None] * self.scale_D
            size = 1.0
            if self.uneven:
                size = (random.random() < 0.4) * random.lognormal(0, 0.8) / 0.4 / math.exp(0.32)
            moments.add(size * (self.mean_CD + noise / math.sqrt(self.mean_square)))
        return Quadratic(moments.replicates(), UNIFORM, BATCH)

    def truth(self) -> dict[str, float]:
        inner = self.mean_CD @ self.mean_CD.T
        signal = np.diag(inner)
        variance = 100 * self.scale_C**2 + (self.mean_square - 1) * signal
        length = np.sqrt(signal + variance / BATCH)
        noise_to_signal = variance / signal
        return {
            "variance": variance[1] / variance[0],
            "noise_to_signal": noise_to_signal[1],
            "noise_to_signal_ratio": noise_to_signal[1] / noise_to_signal[0],
            "cosine": inner[0, 1] / math.sqrt(signal[0] * signal[1]),
            "gain": inner[0, 1] * length[0] / (signal[0] * length[1]),
        }


@pytest.fixture(scope="module", params=[False, True], ids=["prompts alike", "prompts uneven"])
def samples(request: pytest.FixtureRequest) -> tuple[Known, list[Quadratic]]:
    known, random = Known(request.param), np.random.default_rng(0)
    return known, [known.draw(random, 200) for _ in range(250)]


@pytest.mark.parametrize("name", NAMES)
def test_the_intervals_cover_the_truth(samples: tuple[Known, list[Quadratic]], name: str) -> None:
    """In 95 % of 250 samples, give or take three standard errors (1.4 % each); uneven prompts may
    have it more often, since intervals without bounds are among theirs."""
    known, drawn = samples
    truth = known.truth()[name]
    ratios = [getattr(sample.figures(OTHER), name) for sample in drawn]
    covered = np.mean([not ratio.excludes(truth) for ratio in ratios])
    assert np.mean([ratio.ends is not None for ratio in ratios]) > (0.7 if known.uneven else 0.95)
    assert 0.95 - 0.042 <= covered <= (1.0 if known.uneven else 0.95 + 0.042)


@pytest.mark.parametrize("name", NAMES)
def test_the_estimates_are_centred(samples: tuple[Known, list[Quadratic]], name: str) -> None:
    known, drawn = samples
    truth = known.truth()[name]
    values = [getattr(sample.figures(OTHER), name).value for sample in drawn]
    assert np.median(values) == pytest.approx(truth, rel=0.08 if known.uneven else 0.04)


def test_the_needed_number_of_prompts_is_enough() -> None:
    """Said from 120 prompts; as many then give such an interval, within a factor of two."""
    random = np.random.default_rng(1)
    said = [Known().draw(random, 120).figures(OTHER).gain.num_prompts_needed for _ in range(30)]
    assert None not in said
    needed = int(np.median([number for number in said if number]))
    assert needed > 120
    widths = []
    for _ in range(15):
        ends = Known().draw(random, needed).figures(OTHER).gain.ends
        assert ends
        widths.append(ends[1] - ends[0])
    assert WANTED / 2 < np.median(widths) / 2 < 1.5 * WANTED


def test_variances_of_a_mean_are_the_textbook_ones() -> None:
    """A first-order figure: the sample variance over the number, nothing of second order."""
    gradients = np.random.default_rng(2).standard_normal((40, 2, 1))
    moments = Moments(40, 2, 1)
    for one in gradients:
        moments.add(one)
    replicates = moments.replicates()
    top_A, bottom_A = replicates.square_ACC[:, 0, 0], replicates.square_ACC[:, 1, 1]
    variances = jackknife(replicates, top_A, bottom_A)
    exact = np.cov((gradients[:, :, 0] ** 2).T) / 40
    np.testing.assert_allclose(variances.covariance, exact, rtol=1e-9)
    assert variances.second_order == pytest.approx(0, abs=1e-9)


def test_variances_of_a_squared_length_are_not_counted_twice() -> None:
    """Pure noise: the estimate is of second order, 2 tr(Σ²) / P² in variance."""
    random = np.random.default_rng(3)
    estimated, values = [], []
    for _ in range(300):
        moments = Moments(30, 1, 50)
        for one in random.standard_normal((30, 1, 50)):
            moments.add(one)
        replicates = moments.replicates()
        signal_A = replicates.signal_ACC[:, 0, 0]
        estimated.append(jackknife(replicates, signal_A, np.ones_like(signal_A)))
        values.append(signal_A[0])
    ratio = np.mean([one.covariance[0, 0] for one in estimated]) / np.var(values)
    assert 0.8 < ratio < 1.35  # the plain jackknife has 2
    assert np.mean([one.second_order for one in estimated]) > 0.7


def given_variances(aa: float, bb: float, ab: float = 0.0, second_order: float = 0.0) -> Variances:
    return Variances(np.array([[aa, ab], [ab, bb]]), second_order, 10**6)


@settings(deadline=None)
@given(
    st.floats(-5, 5), st.floats(0.5, 5), st.floats(0, 0.05), st.floats(0, 0.05), st.floats(-1, 1)
)
def test_the_ends_are_where_the_difference_is_within_its_error(
    top: float, bottom: float, aa: float, bb: float, correlation: float
) -> None:
    ab = correlation * math.sqrt(aa * bb)
    ratio = ratio_interval(top, bottom, given_variances(aa, bb, ab), 100)
    assert ratio.value == pytest.approx(top / bottom)
    if ratio.ends is None:
        assert bottom**2 <= 1.96**2 * bb * (1 + 1e-3) + 1e-9
        return
    for end in ratio.ends:
        error = math.sqrt(max(aa - 2 * end * ab + end**2 * bb, 0))
        assert abs(top - end * bottom) == pytest.approx(1.96 * error, rel=1e-3, abs=1e-5)
    assert ratio.ends[0] <= top / bottom + 1e-9
    assert ratio.ends[1] >= top / bottom - 1e-9


def test_an_uncertain_denominator_leaves_no_bounds() -> None:
    ratio = ratio_interval(1.0, 1.0, given_variances(0.01, 0.5), 100)
    assert ratio.value == 1.0
    assert ratio.ends is None
    assert not ratio.excludes(100)
    assert ratio.num_prompts_needed is not None
    assert ratio.num_prompts_needed > 100


def test_a_denominator_below_zero_leaves_nothing() -> None:
    assert ratio_interval(1.0, -0.1, given_variances(0.01, 0.5), 100) == Ratio(
        None, None, None, None
    )


@pytest.mark.parametrize(
    ("second_order", "factor"), [(0.0, 4.0), (1.0, 2.0)], ids=["1 / P", "1 / P²"]
)
def test_the_needed_number_follows_the_order(second_order: float, factor: float) -> None:
    """An error twice too large takes four times the prompts, or twice."""
    error = 2 * WANTED / 1.959964
    ratio = ratio_interval(1.0, 1.0, given_variances(error**2, 1e-12, 0.0, second_order), 100)
    assert ratio.num_prompts_needed == pytest.approx(100 * factor, abs=2)


@pytest.mark.parametrize("second_order", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("aa", "bb", "ab"), [(0.02, 0.05, 0.02), (0.3, 0.4, 0.3)])
def test_the_needed_number_gives_such_an_interval(
    aa: float, bb: float, ab: float, second_order: float
) -> None:
    """Also where the denominator makes the interval wider than its error, or boundless."""
    needed = ratio_interval(
        0.9, 1.0, given_variances(aa, bb, ab, second_order), 1000
    ).num_prompts_needed
    assert needed is not None
    share = 1000 / needed
    scale = (1 - second_order) * share + second_order * share**2
    then = given_variances(aa * scale, bb * scale, ab * scale, second_order)
    ends = ratio_interval(0.9, 1.0, then, needed).ends
    assert ends is not None
    assert ends[1] - ends[0] == pytest.approx(2 * WANTED, rel=0.01)


def test_a_narrow_interval_needs_no_more() -> None:
    assert ratio_interval(1.0, 1.0, given_variances(1e-4, 1e-4), 100).num_prompts_needed is None


def test_a_figure_that_is_no_ratio_to_uniforms_is_judged_by_its_own_size() -> None:
    wide = given_variances(1.0, 1e-9)
    assert ratio_interval(100.0, 1.0, wide, 100).num_prompts_needed is not None
    assert ratio_interval(100.0, 1.0, wide, 100, relative=True).num_prompts_needed is None


def test_limits_are_kept() -> None:
    ratio = ratio_interval(0.99, 1.0, given_variances(0.01, 0.01), 100, limits=(-1.0, 1.0))
    assert ratio.high == 1.0
