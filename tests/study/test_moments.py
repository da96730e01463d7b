"""Moments by block: what brute force over prompts gives, and right on average."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.study.gradients.moments import NUM_BLOCKS, Moments

SIZE, COLUMNS = 6, 3


def moments_of(gradients_PCD: np.ndarray) -> Moments:
    moments = Moments(len(gradients_PCD), *gradients_PCD.shape[1:])
    for gradients_CD in gradients_PCD:
        moments.add(gradients_CD)
    return moments


def pairwise(gradients_PCD: np.ndarray) -> np.ndarray:
    """The mean of <g_p, h_q> over all p ≠ q."""
    num = len(gradients_PCD)
    pairs = [
        gradients_PCD[p] @ gradients_PCD[q].T for p in range(num) for q in range(num) if p != q
    ]
    return np.mean(pairs, axis=0)


def drawn(num_prompts: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((num_prompts, COLUMNS, SIZE)) + 0.3


@pytest.mark.parametrize("num_prompts", [8, 11, NUM_BLOCKS + 30, 2 * NUM_BLOCKS])
def test_the_estimates_are_those_of_all_pairs(num_prompts: int) -> None:
    gradients = drawn(num_prompts)
    replicates = moments_of(gradients).replicates()
    np.testing.assert_allclose(replicates.signal_ACC[0], pairwise(gradients), atol=1e-12)
    squares = np.mean([one @ one.T for one in gradients], axis=0)
    np.testing.assert_allclose(replicates.square_ACC[0], squares, atol=1e-12)
    assert (replicates.num_blocks, replicates.num_prompts) == (
        min(num_prompts, NUM_BLOCKS),
        num_prompts,
    )


@pytest.mark.parametrize("num_prompts", [9, NUM_BLOCKS + 5])
def test_replicates_leave_blocks_out(num_prompts: int) -> None:
    gradients = drawn(num_prompts)
    replicates = moments_of(gradients).replicates()
    num_blocks = replicates.num_blocks
    block_P = np.arange(num_prompts) * num_blocks // num_prompts
    pairs = list(combinations(range(num_blocks), 2))
    without = [(), *((block,) for block in range(num_blocks)), *pairs]
    assert len(without) == len(replicates.signal_ACC) == len(replicates.square_ACC)
    for place in [1, 2, num_blocks, num_blocks + 1, num_blocks + 7, len(without) - 1]:
        kept = gradients[~np.isin(block_P, without[place])]
        np.testing.assert_allclose(replicates.signal_ACC[place], pairwise(kept), atol=1e-11)
    whole, one, two = replicates.split(replicates.signal_ACC)
    assert whole.shape == (COLUMNS, COLUMNS)
    assert (len(one), len(two)) == (num_blocks, len(pairs))


def test_a_choice_of_blocks_is_as_if_the_others_were_not_there() -> None:
    gradients = drawn(16)
    chosen = moments_of(gradients).replicates(np.arange(16)[::2])
    alone = moments_of(gradients[::2]).replicates()
    np.testing.assert_allclose(chosen.signal_ACC, alone.signal_ACC, atol=1e-12)
    assert chosen.num_prompts == 8


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(8, 20))
def test_zero_gradients_count_as_prompts(seed: int, num_prompts: int) -> None:
    gradients = drawn(num_prompts, seed)
    gradients[::3] = 0
    moments = Moments(num_prompts, COLUMNS, SIZE)
    for one in gradients:
        moments.add(one if one.any() else None)
    np.testing.assert_allclose(moments.replicates().signal_ACC[0], pairwise(gradients), atol=1e-12)


def test_signal_and_square_are_right_on_average() -> None:
    """Over many samples of a known distribution whose signal is a twentieth of its noise."""
    random = np.random.default_rng(0)
    mean_CD = random.standard_normal((COLUMNS, SIZE)) / 4
    factor = random.standard_normal((COLUMNS * SIZE, COLUMNS * SIZE)) / 3
    covariance = (factor @ factor.T).reshape(COLUMNS, SIZE, COLUMNS, SIZE)
    noise_CC = np.einsum("cdkd->ck", covariance)
    signals, squares = [], []
    for _ in range(2000):
        noise = (random.standard_normal((9, COLUMNS * SIZE)) @ factor.T).reshape(9, COLUMNS, SIZE)
        replicates = moments_of(mean_CD + noise).replicates()
        signals.append(replicates.signal_ACC[0])
        squares.append(replicates.square_ACC[0])
    truth = mean_CD @ mean_CD.T
    for estimates, exact in ((signals, truth), (squares, truth + noise_CC)):
        error = np.std(estimates, axis=0) / np.sqrt(len(estimates))
        assert (np.abs(np.mean(estimates, axis=0) - exact) < 4 * error).all()


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="7 prompts are too few"):
        Moments(7, 1, 1)
