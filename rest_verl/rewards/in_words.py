"""Why a logged answer earned what it earned, where its ground truth is one that the rule reads."""

from __future__ import annotations

import math
from typing import Any

from rest_verl.rewards.reward import tool_call_reward

_EARNED = 2
"""Sentences at the head of an explanation: what format and correctness earned."""


def reward_in_words(
    response: str, ground_truth: str | None, logged: float | None, **how: Any
) -> tuple[str, ...]:
    """Sentences on an answer; none where its ground truth says nothing to the rule.

    What format and correctness earned is said only where the rule's fixed scale gives the score
    that was logged: a run can have had another scale, or another reward.

    Args:
        response: as for `tool_call_reward`.
        ground_truth: the row's, whatever it is.
        logged: the score that the run gave; None: unknown.
        how: `syntax`, `think_is_open` and `tools`, as for `tool_call_reward`.
    """
    try:
        result = tool_call_reward(response, ground_truth or "", explain=True, **how)
    except ValueError:  # none of ours
        return ()
    is_logged = logged is not None and math.isclose(logged, result.score, abs_tol=1e-4)
    return result.why if is_logged else result.why[_EARNED:]
