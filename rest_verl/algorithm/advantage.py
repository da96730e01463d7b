"""Group-relative advantages: each response is judged against the others of its prompt.

`rest_advantage` is GRPO's estimator, in the same operations as verl's, over groups instead of rows;
without the division by the standard deviation it is Dr.GRPO's. `turn_advantage` judges each turn of
a conversation by what came from it on.
"""

from __future__ import annotations

import reprlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Shape letters: B responses, T response tokens, K turns of the longest conversation.


@torch.no_grad()
def rest_advantage(
    rewards: Tensor,
    response_mask: Tensor,
    index: np.ndarray | Tensor | Sequence[Any],
    *,
    norm_by_std: bool = True,
    weights: Tensor | None = None,
    epsilon: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """(reward - group mean) / (group standard deviation + epsilon), at every sampled token.

    Args:
        rewards: One reward a response, (B,), or token-level rewards, (B, T), which are summed.
        response_mask: 1 where the policy sampled the token, (B, T).
        index: The group of each response (verl's `uid`), B strings or integers.
        norm_by_std: False: no division by the standard deviation (Dr.GRPO).
        weights: Token weights, (B, T), to multiply with, for a loss that takes no weights. Equal to
            weighting the clipped loss where weights are positive.
        epsilon: Guard of the division for a group of equal rewards.

    Returns:
        Advantages and returns, the same tensor, (B, T). A group of one response has mean 0 and
        standard deviation 1, as in verl: its advantage is its reward.

    Raises:
        ValueError: `index` does not have one entry a response.
    """
    reward_B = rewards.sum(dim=-1) if rewards.ndim == 2 else rewards
    if not reward_B.is_floating_point():
        reward_B = reward_B.float()
    groups = _groups(index, len(reward_B))
    mean_B, std_B = torch.zeros_like(reward_B), torch.ones_like(reward_B)
    for rows in groups:
        if len(rows) > 1:
            group = reward_B[rows]
            mean_B[rows], std_B[rows] = group.mean(), group.std()
    advantage_B = reward_B - mean_B
    if norm_by_std:
        advantage_B = advantage_B / (std_B + epsilon)
    advantages_BT = advantage_B.unsqueeze(-1) * response_mask
    if weights is not None:
        advantages_BT = advantages_BT * weights
    return advantages_BT, advantages_BT


@torch.no_grad()
def turn_advantage(
    turn_rewards: Tensor,
    turns: Tensor,
    index: np.ndarray | Tensor | Sequence[Any],
    *,
    outcomes: Tensor | None = None,
    turn_gamma: float = 1.0,
    outcome_weight: float = 1.0,
    norm_by_std: bool = False,
    weights: Tensor | None = None,
    epsilon: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """What came from a token's turn on, minus what came to the others of the group from it on.

    The return from turn k on is sum over j >= k of turn_gamma^(j - k) reward_j, plus
    outcome_weight * outcome; from a turn that was never reached it is 0. The baseline of response i
    at turn k is the mean of the others' returns from k on. It hangs on nothing that i did, so the
    policy's gradient is without bias even where the policy decides when to stop. With one turn this
    is `rest_advantage` without the division, times n / (n - 1) in a group of n.

    Args:
        turn_rewards: What each turn earned, (B, K); what stands at turns never reached is not read.
        turns: The turn, from 0, in which the policy sampled the token; -1 where it did not, (B, T).
        index: The group of each response (verl's `uid`), B strings or integers.
        outcomes: What the whole conversation earned, (B,); None: nothing.
        turn_gamma: Discount for each turn, in [0, 1].
        outcome_weight: Of the outcome beside the turns' rewards.
        norm_by_std: Divide by the standard deviation of the group's returns from turn 0 on, one
            number a group. As in GRPO this is no longer without bias.
        weights: Token weights, (B, T), to multiply with, as in `rest_advantage`.
        epsilon: Guard of the division for a group of equal returns.

    Returns:
        Advantages and returns, (B, T), 0 where nothing was sampled. A group of one response has
        baseline 0 and standard deviation 1.

    Raises:
        ValueError: shapes that do not fit, or a turn that `turn_rewards` has no column for.
    """
    num_turns = turn_rewards.shape[1]
    if len(turns) != len(turn_rewards) or (turns.numel() and int(turns.max()) >= num_turns):
        raise ValueError(
            f"turn_rewards of shape {tuple(turn_rewards.shape)} do not fit turns of shape "
            f"{tuple(turns.shape)} up to turn {int(turns.max())}"
        )
    last_B = turns.amax(dim=1) if turns.shape[1] else turns.new_full((len(turns),), -1)
    reached_BK = torch.arange(num_turns, device=turns.device) <= last_B[:, None]
    return_BK = torch.where(reached_BK, turn_rewards, 0.0)
    for k in reversed(range(num_turns - 1)):
        return_BK[:, k] += turn_gamma * return_BK[:, k + 1]
    if outcomes is not None:
        return_BK += outcome_weight * outcomes[:, None] * reached_BK

    advantage_BK = return_BK.clone()
    for rows in _groups(index, len(turn_rewards)):
        if len(rows) == 1:
            continue
        group = return_BK[rows]
        advantage_BK[rows] -= (group.sum(dim=0) - group) / (len(rows) - 1)
        if norm_by_std:
            advantage_BK[rows] /= group[:, 0].std() + epsilon
    sampled_BT = turns >= 0
    column_BT = turns.clamp_min(0).long()
    advantages_BT = advantage_BK.gather(1, column_BT) * sampled_BT
    if weights is not None:
        advantages_BT = advantages_BT * weights
    return advantages_BT, return_BK.gather(1, column_BT) * sampled_BT


def _groups(index: np.ndarray | Tensor | Sequence[Any], num_rows: int) -> list[list[int]]:
    """The rows of each group, in order.

    Raises:
        ValueError: `index` does not have one entry a row.
    """
    keys = index.tolist() if isinstance(index, (np.ndarray, Tensor)) else index
    if not isinstance(keys, Sequence) or isinstance(keys, str) or len(keys) != num_rows:
        raise ValueError(
            f'index must name the group of each of the {num_rows} responses, as ["a", "a", "b"], '
            f"got {reprlib.repr(keys)}"
        )
    groups: defaultdict[Any, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        groups[key].append(row)
    return list(groups.values())
