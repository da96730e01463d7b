"""The quick replay buffers: built as verl builds a custom sampler, verl's but for the pause."""

import pytest
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from rest_verl.integration.cpu.replay_buffer import (
    POLL_SECONDS,
    QuickReplayBuffer,
    QuickReplayBufferAsync,
)


@pytest.mark.parametrize(
    ("quick", "parent"),
    [(QuickReplayBuffer, ReplayBuffer), (QuickReplayBufferAsync, ReplayBufferAsync)],
)
def test_only_the_pause_differs(quick, parent):
    given = {
        "trainer_mode": "mode",
        "trainer_config": {},
        "max_off_policy_threshold": 8,
        "max_off_policy_strategy": "drop",
        "sampler_kwargs": {},
        "refill_fn": len,
    }
    ours, verls = vars(quick(**given)), vars(parent(**given))
    assert isinstance(quick(**given), parent)
    assert ours.pop("poll_interval") == POLL_SECONDS < verls.pop("poll_interval")
    assert ours == verls
