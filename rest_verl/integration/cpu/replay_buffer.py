"""verl's replay buffers, asked more often: 2 s between looks are a sixth of a tiny run's step.

Chosen by `trainer.v1.sampler.custom_sampler.{path=pkg://rest_verl.integration.cpu.replay_buffer,
name=QuickReplayBuffer}`; QuickReplayBufferAsync for the asynchronous trainers. verl tells a chosen
buffer nothing of `algorithm.filter_groups`.
"""

from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

POLL_SECONDS = 0.25


class QuickReplayBuffer(ReplayBuffer):
    """ReplayBuffer that looks for finished groups every POLL_SECONDS."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"poll_interval": POLL_SECONDS, **kwargs})


class QuickReplayBufferAsync(ReplayBufferAsync):
    """ReplayBufferAsync that looks for finished groups every POLL_SECONDS."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"poll_interval": POLL_SECONDS, **kwargs})
