"""Group-relative advantages by hand."""

import numpy as np
import pytest
import torch

from rest_verl.algorithm.advantage import rest_advantage

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


def test_whole_numbers_are_rewards_as_well():
    whole = rest_advantage(REWARDS.long(), MASK, INDEX)[0]
    assert torch.equal(whole, rest_advantage(REWARDS, MASK, INDEX)[0])


def test_refused():
    with pytest.raises(ValueError, match=r"each of the 4 responses, as .*got"):
        rest_advantage(REWARDS, MASK, INDEX[:3])
