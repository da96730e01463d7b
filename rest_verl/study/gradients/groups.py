"""A group: the responses to one prompt, with what weights and gradients need to know of them.

Shape letters: G responses per group, B responses of a batch, T response tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rest_verl.algorithm.advantage import rest_advantage


@dataclass(frozen=True, kw_only=True)
class Response:
    """One response; arrays are aligned with its tokens, (T,)."""

    token_ids: np.ndarray
    """Observations among them, int64."""
    region: np.ndarray
    """`Region`, -1 where the policy did not sample the token, int8."""
    entropy: np.ndarray
    """Of the policy's prediction (nats), float32."""
    score_norm: np.ndarray
    """1 - Σ p² of that prediction, float32."""
    reward: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """The responses to one prompt."""

    prompt_ids: Sequence[int]
    responses: Sequence[Response]

    def advantages(self) -> Tensor:
        """GRPO's, float64 (G,)."""
        reward_G = torch.tensor([response.reward for response in self.responses]).double()
        ones_G1 = torch.ones(len(reward_G), 1)
        return rest_advantage(reward_G, ones_G1, [0] * len(reward_G))[0][:, 0]

    @property
    def has_gradient(self) -> bool:
        """Whether its rewards differ: equal ones have advantage 0."""
        return len({response.reward for response in self.responses}) > 1


def padded(rows: Sequence[np.ndarray], fill: int | float) -> Tensor:
    """Rows of different lengths as one tensor, (B, T)."""
    table = np.full((len(rows), max(map(len, rows))), fill, dtype=rows[0].dtype)
    for target, row in zip(table, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(table)


def check_fits(model: Any, where: str, prompt_ids: Sequence[int], num_tokens: int) -> None:
    """ValueError for a prompt that the model cannot read, or has no places left behind."""
    num_embeddings = model.get_input_embeddings().num_embeddings
    wrong = [id_ for id_ in prompt_ids if not 0 <= id_ < num_embeddings]
    if wrong:
        raise ValueError(
            f"{where}: token id {wrong[0]} is outside the model's {num_embeddings} embeddings; "
            "name the model that belongs to these prompts with --model"
        )
    places = getattr(model.config, "max_position_embeddings", None)
    if places is not None and len(prompt_ids) + num_tokens > places:
        raise ValueError(
            f"{where}: prompt and response take up to {len(prompt_ids) + num_tokens} tokens, the "
            f"model has {places} places; leave out long prompts or lower --max-tokens"
        )
