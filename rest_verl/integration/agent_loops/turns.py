"""What the turns of a conversation earned and where they lie: two extra fields of a rollout.

`turn_scores` is verl's own place for rewards of turns; `turn_spans` says which tokens are whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from numbers import Real
from typing import Any

from rest_verl.environments.base import RewardsTurns, ToolEnvironment, Verdict, verdict_reward

TURN_SCORES, TURN_SPANS = "turn_scores", "turn_spans"
TOOL_CALLS = "tool_calls"
"""A third one: how often each tool that the rollout was offered was called."""


def turn_scores(environment: ToolEnvironment, num_turns: int, call_share: float) -> list[float]:
    """What each of the turns that were reached earned; empty where the environment does not say.

    Args:
        environment: Its conversation is over.
        num_turns: Turns that were reached.
        call_share: What a wrong turn with all its expected calls made counts, of a verdict.

    Raises:
        ValueError: the environment gives too few rewards, or one that is no finite number.
    """
    if not isinstance(environment, RewardsTurns):
        return []
    given = list(environment.turn_rewards())
    if len(given) < num_turns:
        raise ValueError(f"{len(given)} rewards for the {num_turns} turns that were reached")
    return [_reward(turn, value, call_share) for turn, value in enumerate(given[:num_turns])]


def _reward(turn: int, value: object, call_share: float) -> float:
    if isinstance(value, Verdict):
        return verdict_reward(value, call_share)
    if not isinstance(value, Real) or not isfinite(value):
        raise ValueError(f"the reward of turn {turn} is {value!r}, no finite number")
    return float(value)


def turn_fields(
    scores: list[float], starts: Sequence[int], response_mask: Sequence[int]
) -> dict[str, Any]:
    """The extra fields of a rollout that say what its turns earned and where they are.

    Args:
        scores: As `turn_scores` gives them.
        starts: Tokens of the response before the first one sampled in each turn, in order.
        response_mask: 1 for each sampled token.

    Returns:
        `turn_scores`, and `turn_spans`: [start, end) in the response for each turn, from its first
        sampled token to behind its last; observations in between have mask 0.
    """
    spans = []
    for start, stop in pairwise([*starts, len(response_mask)]):
        while stop > start and not response_mask[stop - 1]:
            stop -= 1
        spans.append([start, stop])
    return {TURN_SCORES: scores, TURN_SPANS: spans}
