"""verl's policy loss `rest`: ResT's objective behind verl's signature."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import agg_loss, register_policy_loss

from rest_verl.algorithm.loss import rest_policy_loss

# Shape letters: B responses, T response tokens.


@register_policy_loss("rest")
def verl_policy_loss(
    old_log_prob: Tensor,
    log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """`rest_policy_loss` as verl calls a policy loss; the trainer's column carries the weights.

    Args:
        old_log_prob, log_prob, advantages, response_mask: As for `rest_policy_loss`, (B, T).
        loss_agg_mode: One of verl's aggregation modes.
        config: verl's `ActorConfig`: clip ratios and global batch counts.
        rollout_is_weights: Token weights, (B, T), times verl's rollout correction where that is on;
            None: all ones, which is verl's vanilla loss.
    """
    assert config is not None, "verl passes its actor config to every policy loss"
    low, high = config.clip_ratio_low, config.clip_ratio_high
    return rest_policy_loss(
        log_prob,
        old_log_prob,
        advantages,
        response_mask,
        weights=torch.ones_like(log_prob) if rollout_is_weights is None else rollout_is_weights,
        clip_ratio_low=config.clip_ratio if low is None else low,
        clip_ratio_high=config.clip_ratio if high is None else high,
        clip_ratio_c=config.get("clip_ratio_c", 3.0),
        aggregate=partial(agg_loss, loss_agg_mode=loss_agg_mode, **config.global_batch_info),
    )
