"""Rule-based rewards for tool calls: pure functions of text, without verl."""

from rest_verl.rewards.reward import RewardResult, compute_score, tool_call_reward
from rest_verl.rewards.schedule import RewardConfig

__all__ = ["RewardConfig", "RewardResult", "compute_score", "tool_call_reward"]
