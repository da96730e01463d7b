"""The figures of weightings whose values are known without estimating."""

from __future__ import annotations

import numpy as np
import pytest

from rest_verl.study.gradients.figures import Quadratic
from rest_verl.study.gradients.moments import Moments


def quadratic(scale: float, batch_prompts: int = 32, extra: float = 0.0) -> Quadratic:
    """Column 0 is uniform, column 1 `scale` times it plus noise of its own."""
    random = np.random.default_rng(0)
    moments = Moments(60, 2, 20)
    for _ in range(60):
        one = random.standard_normal(20) + 0.8
        moments.add(np.stack([one, scale * one + extra * random.standard_normal(20)]))
    return Quadratic(moments.replicates(), np.array([1.0, 0.0]), batch_prompts)


def test_a_shorter_step_is_only_a_shorter_step() -> None:
    """Half of uniform: a quarter of the variance, and nothing else."""
    figures = quadratic(0.5).figures(np.array([0.0, 1.0]))
    assert figures.variance.value == pytest.approx(0.25)
    assert figures.noise_to_signal_ratio.value == pytest.approx(1)
    assert figures.cosine.value == pytest.approx(1)
    assert figures.gain.value == pytest.approx(1)
    for ratio in (figures.noise_to_signal_ratio, figures.cosine, figures.gain):
        assert ratio.ends == pytest.approx((1, 1), abs=1e-6)
        assert not ratio.num_prompts_needed


def test_a_combination_of_columns_is_a_weighting() -> None:
    figures = quadratic(0.5).figures(np.array([0.5, 1.0]))  # 1 in all
    assert figures.variance.value == pytest.approx(1)


def test_noise_costs_gain_and_no_direction() -> None:
    figures = quadratic(1.0, extra=2.0).figures(np.array([0.0, 1.0]))
    assert figures.variance.ends
    assert figures.variance.ends[0] > 1.5
    assert figures.gain.ends
    assert figures.gain.ends[1] < 1
    assert not figures.cosine.excludes(1)


@pytest.mark.parametrize("batch_prompts", [1, 8, 64])
def test_gain_by_its_definition(batch_prompts: int) -> None:
    one = quadratic(0.7, batch_prompts, extra=0.5)
    signal, square = one.replicates.signal_ACC[0], one.replicates.square_ACC[0]
    variance = np.diag(square - signal)
    length = np.sqrt(np.diag(signal) + variance / batch_prompts)
    expected = (signal[0, 1] / length[1]) / (signal[0, 0] / length[0])
    assert one.figures(np.array([0.0, 1.0])).gain.value == pytest.approx(expected)


def test_gain_goes_to_the_cosine_as_batches_grow() -> None:
    figures = quadratic(0.7, 10**9, extra=0.5).figures(np.array([0.0, 1.0]))
    assert figures.gain.value == pytest.approx(figures.cosine.value, rel=1e-6)


def test_shares_of_parts_add_up() -> None:
    """Uniform is the sum of three columns: one of signal, one of noise, and one of neither."""
    random = np.random.default_rng(1)
    moments = Moments(400, 3, 20)
    for _ in range(400):
        signal = 0.1 * random.standard_normal(20) + 1
        moments.add(np.stack([signal, random.standard_normal(20), np.zeros(20)]))
    parts = [Quadratic(moments.replicates(), np.ones(3), 32).shares(row) for row in np.eye(3)]
    for kind, expected in enumerate(([1, 0, 0], [0.01 / 1.01, 1 / 1.01, 0])):
        ratios = [part[kind] for part in parts]
        assert sum(ratio.value for ratio in ratios) == pytest.approx(1)
        for ratio, value in zip(ratios[:2], expected[:2], strict=True):
            assert ratio.ends is not None
            assert ratio.ends[0] - 0.02 < value < ratio.ends[1] + 0.02
        assert ratios[2].value == pytest.approx(0, abs=1e-12)
