"""Group-relative advantages: each response is judged against the others of its prompt.

GRPO's estimator, in the same operations as verl's, over groups instead of rows; without the
division by the standard deviation it is Dr.GRPO's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Shape letters: B responses, T response tokens.


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
    groups: defaultdict[Any, list[int]] = defaultdict(list)
    keys = index.tolist() if isinstance(index, (np.ndarray, Tensor)) else index
    if len(keys) != len(reward_B):
        raise ValueError(f"index has {len(keys)} entries for {len(reward_B)} responses")
    for row, key in enumerate(keys):
        groups[key].append(row)

    mean_B, std_B = torch.zeros_like(reward_B), torch.ones_like(reward_B)
    for rows in groups.values():
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
