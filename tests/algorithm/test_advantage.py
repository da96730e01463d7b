"""Group-relative advantages by hand, and the same bits as verl's GRPO estimator."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.algorithm.advantage import rest_advantage, verl_advantage

ROOT2 = 2**0.5
MASK = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]])
INDEX = np.array(["a", "b", "a", "c"], dtype=object)
REWARDS = torch.tensor([3.0, 5.0, 1.0, -2.0])


def test_by_hand():
    # group a: 3 and 1, mean 2, sample standard deviation √2; b and c have one response each
    advantages, returns = rest_advantage(REWARDS, MASK, INDEX, epsilon=0.0)
    expected = [
        [1 / ROOT2, 1 / ROOT2, 0],
        [5, 0, 0],
        [-1 / ROOT2, -1 / ROOT2, -1 / ROOT2],
        [-2, -2, 0],
    ]
    torch.testing.assert_close(advantages, torch.tensor(expected))
    assert returns is advantages


def test_without_standard_deviation_and_with_weights():
    weights = torch.tensor([[1.5, 0.5, 0.0], [1.0, 0, 0], [2.0, 0.5, 0.5], [1.0, 1.0, 0]])
    advantages, _ = rest_advantage(REWARDS, MASK, INDEX, norm_by_std=False, weights=weights)
    assert advantages.tolist() == [[1.5, 0.5, 0], [5, 0, 0], [-2, -0.5, -0.5], [-2, -2, 0]]


def test_equal_rewards_have_no_advantage():
    advantages, _ = rest_advantage(torch.full((4,), 0.7), MASK, np.zeros(4, dtype=int))
    assert advantages.abs().max() < 1e-6


@pytest.mark.parametrize(
    "index", [["x", "y", "x", "z"], torch.tensor([4, 9, 4, 0]), np.array([1, 2, 1, 3])]
)
def test_kinds_of_index(index):
    assert torch.equal(
        rest_advantage(REWARDS, MASK, index)[0], rest_advantage(REWARDS, MASK, INDEX)[0]
    )


def test_token_level_rewards_are_summed_and_left_alone():
    rewards = torch.tensor([[1.0, 0, 2], [0, 0, 5], [0, 1, 0], [-2, 0, 0]])
    before = rewards.clone()
    advantages, _ = rest_advantage(rewards, MASK, INDEX)
    assert torch.equal(advantages, rest_advantage(REWARDS, MASK, INDEX)[0])
    assert torch.equal(rewards, before)


def test_refused():
    with pytest.raises(ValueError, match="index has 3 entries for 4 responses"):
        rest_advantage(REWARDS, MASK, INDEX[:3])
    with pytest.raises(ValueError, match="lacks uid"):
        verl_advantage(REWARDS[:, None], MASK)


def test_adapter_reads_verls_switch():
    rewards = REWARDS[:, None].expand(-1, 3) / 3
    given_false = {"norm_adv_by_std_in_grpo": False}
    for config, norm_by_std in ((None, True), ({}, True), (given_false, False)):
        advantages, _ = verl_advantage(
            rewards, MASK, index=INDEX, config=config, reward_baselines=SimpleNamespace()
        )
        expected, _ = rest_advantage(rewards, MASK, INDEX, norm_by_std=norm_by_std)
        assert torch.equal(advantages, expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    num_rows=st.integers(1, 12),
    num_groups=st.integers(1, 5),
    norm_by_std=st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_the_bits_of_verls_grpo(seed, num_rows, num_groups, norm_by_std):
    core_algos = pytest.importorskip(
        "verl.trainer.ppo.core_algos", reason="compares with verl's estimator"
    )
    rng = np.random.default_rng(seed)
    rewards = torch.tensor(rng.normal(size=(num_rows, 4)), dtype=torch.float32)
    mask = torch.tensor(rng.integers(0, 2, size=(num_rows, 4)))
    index = np.array([f"uid{i}" for i in rng.integers(num_groups, size=num_rows)], dtype=object)
    theirs, _ = core_algos.compute_grpo_outcome_advantage(
        rewards, mask, index, norm_adv_by_std_in_grpo=norm_by_std
    )
    ours, _ = verl_advantage(
        rewards, mask, index=index, config={"norm_adv_by_std_in_grpo": norm_by_std}
    )
    assert torch.equal(ours, theirs)
