"""Entropy and advantage of each token: as a dump has them, else from the model and the scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch

from rest_verl.algorithm.advantage import rest_advantage
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.viewing.tokens.rollout import Rollout

EntropyOf = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], Sequence[np.ndarray]]
"""(prompts' ids, responses' ids) -> entropies (nats) at the tokens of each response."""


def entropies_of(
    rollouts: Sequence[Rollout],
    ids: Sequence[np.ndarray],
    prompt_ids: Sequence[np.ndarray],
    config: ReSTConfig,
    entropy_of: EntropyOf | None,
) -> tuple[list[np.ndarray] | None, str]:
    """Entropies and where they are from: the dump if it has them all, else the model."""
    dumped = [rollout.entropy for rollout in rollouts if rollout.entropy is not None]
    if len(dumped) == len(rollouts):
        return [row.astype(np.float32) for row in dumped], "dump"
    if not config.needs_entropy or entropy_of is None:
        return None, "none"
    return [row.astype(np.float32) for row in entropy_of(prompt_ids, ids)], "model"


def advantages_of(
    rollouts: Sequence[Rollout], ids: Sequence[np.ndarray]
) -> tuple[list[np.ndarray] | None, str]:
    """Advantages of tokens, NaN where unknown, and where they are from: the dump or the scores."""
    unknown = [np.full(len(row), np.nan, dtype=np.float32) for row in ids]
    if any(rollout.advantage is not None for rollout in rollouts):
        pairs = zip(rollouts, unknown, strict=True)
        return [
            nans if rollout.advantage is None else rollout.advantage.astype(np.float32)
            for rollout, nans in pairs
        ], "dump"
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, rollout in enumerate(rollouts):
        if rollout.group is not None:
            groups[rollout.group].append(row)
    known = False
    for rows in groups.values():
        scores = [rollouts[row].score for row in rows]
        one_each = len({rollouts[row].session for row in rows}) == len(rows)
        if len(rows) < 2 or not one_each or None in scores:
            continue
        reward_B = torch.tensor(scores, dtype=torch.float32)
        advantage_B1, _ = rest_advantage(reward_B, torch.ones(len(rows), 1), [0] * len(rows))
        for row, advantage in zip(rows, advantage_B1[:, 0].tolist(), strict=True):
            unknown[row][:] = advantage
        known = True
    return (unknown, "scores") if known else (None, "none")
