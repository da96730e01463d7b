"""An advantage estimator as verl's trainer calls it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

core_algos = pytest.importorskip("verl.trainer.ppo.core_algos", reason="verl is not installed")

from rest_verl.algorithm.advantage import rest_advantage  # noqa: E402
from rest_verl.integration.advantage import verl_advantage  # noqa: E402

MASK = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]])
INDEX = np.array(["a", "b", "a", "c"], dtype=object)
REWARDS = torch.tensor([3.0, 5.0, 1.0, -2.0])


def test_without_groups_it_refuses():
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
