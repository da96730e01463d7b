"""verl's replay buffer, asked more often: its 2 s between looks are a sixth of a tiny run's step.

Chosen by `trainer.v1.sampler.custom_sampler.{path=pkg://rest_verl.cpu.replay_buffer,
name=QuickReplayBuffer}`.
"""

from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

POLL_SECONDS = 0.25


class QuickReplayBuffer(ReplayBuffer):
    """ReplayBuffer that looks for finished groups every POLL_SECONDS."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"poll_interval": POLL_SECONDS, **kwargs})
