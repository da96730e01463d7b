"""The best weights by region: found where they are known, and judged on prompts of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rest_verl.study.gradients.best_weights import BestWeights, best_weights
from rest_verl.study.gradients.figures import Quadratic
from rest_verl.study.gradients.moments import Moments

SHARE = np.array([0.4, 0.1, 0.2, 0.3, 0.0])
LOW, HIGH = 0.6, 1.2


def moments_of(
    signal_R: list[float], noise_R: list[float], num_prompts: int = 128, seed: int = 0
) -> Moments:
    """Regions with gradients in dimensions of their own; the first column is their sum."""
    random = np.random.default_rng(seed)
    size = 40
    moments = Moments(num_prompts, 1 + len(SHARE), size * len(SHARE))
    for _ in range(num_prompts):
        regions = np.zeros((len(SHARE), len(SHARE), size))
        for region, (signal, noise) in enumerate(zip(signal_R, noise_R, strict=True)):
            regions[region, region] = noise * random.standard_normal(size)
            regions[region, region, 0] += signal
        flat = regions.reshape(len(SHARE), -1)
        moments.add(np.concatenate([flat.sum(0, keepdims=True), flat]))
    return moments


def best(moments: Moments) -> BestWeights:
    found = best_weights(moments, SHARE, batch_prompts=32, low=LOW, high=HIGH, seed=0)
    assert found
    return found


def test_weight_goes_where_the_signal_is_and_the_noise_is_not() -> None:
    found = best(moments_of([1.0, 1.0, 1.0, 1.0, 0.0], [0.1, 0.1, 1.0, 1.0, 0.0], 256))
    quiet, noisy = found.weights[:2], found.weights[2:4]
    assert quiet == pytest.approx([HIGH, HIGH], abs=0.01)
    # what mean 1 leaves for the two
    assert SHARE[2:4] @ np.array(noisy, dtype=float) == pytest.approx(0.4, abs=0.01)
    assert found.gain.ends
    assert found.gain.ends[0] > 1


@pytest.mark.parametrize("seed", range(4))
def test_they_keep_to_mean_1_and_to_the_bounds(seed: int) -> None:
    random = np.random.default_rng(seed)
    moments = moments_of(random.uniform(0, 1, 5).tolist(), random.uniform(0.1, 3, 5).tolist())
    found = best(moments)
    for weights in [found.weights, *found.halves]:
        assert weights[4] is None  # absent
        present = np.array([weight for weight in weights if weight is not None])
        assert SHARE[:4] @ present == pytest.approx(1, abs=1e-6)
        assert present.min() >= LOW - 1e-9
        assert present.max() <= HIGH + 1e-9


def gain_on(moments: Moments, weights: Sequence[float | None]) -> float:
    """By the estimates from all prompts."""
    quadratic = Quadratic(moments.replicates(), np.eye(6)[0], 32)
    top_A, bottom_A = quadratic.gain(np.array([0.0, *(weight or 0.0 for weight in weights)]))
    return top_A[0] / bottom_A[0]


def test_none_can_gain_more_on_the_prompts_they_were_chosen_on() -> None:
    moments = moments_of([0.5, 0.2, 0.6, 0.4, 0.0], [0.5, 0.2, 1.5, 1.0, 0.0])
    reached = gain_on(moments, best(moments).weights)
    random = np.random.default_rng(0)
    tried = 0
    while tried < 100:
        weights_R = np.append(random.uniform(LOW, HIGH, 4), 0.0)
        weights_R /= SHARE @ weights_R
        if weights_R[:4].min() >= LOW and weights_R[:4].max() <= HIGH:
            tried += 1
            assert gain_on(moments, weights_R.tolist()) <= reached + 1e-9


def test_they_do_not_flatter_themselves() -> None:
    """Regions alike in all: any choice is chance, which gains on its own prompts alone."""
    gains, flattered = [], []
    for seed in range(12):
        moments = moments_of([0.5] * 4 + [0.0], [1.0] * 4 + [0.0], 64, seed)
        found = best(moments)
        assert found.gain.ends is None or found.gain.ends[0] <= 1
        assert found.gain.value
        gains.append(found.gain.value)
        flattered.append(gain_on(moments, found.weights))
    assert np.median(flattered) > 1.02
    assert np.median(gains) < 1.01
