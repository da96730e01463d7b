"""The objective: PPO's clipped loss, dual clip too, token by token (docs/method.md, section 4).

`rest_policy_loss` is the whole objective, for a trainer of one's own as for verl's. The per-token
arithmetic repeats verl's vanilla loss operation for operation, so that weights of one give its very
bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.weighting import EntropyMemory, PerRow, token_weights

# Shape letters: B responses, T response tokens.

_MAX_LOG_RATIO = 20.0  # exp(20) ≈ 5e8: ratios stay finite in float32, as in verl
_EPSILON = 1e-8  # verl's guard of a mean over no tokens


def rest_policy_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    *,
    weights: Tensor | None = None,
    regions: Tensor | np.ndarray | None = None,
    entropy: Tensor | np.ndarray | None = None,
    progress: PerRow | None = None,
    step: PerRow | None = None,
    config: ReSTConfig | str = "paper",
    memory: EntropyMemory | None = None,
    turns: Tensor | np.ndarray | None = None,
    clip_ratio_low: float = 0.2,
    clip_ratio_high: float = 0.2,
    clip_ratio_c: float = 3.0,
    aggregate: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """ResT's policy loss: token weights, given or made here, times the clipped objective.

    Args:
        log_prob: Log-probabilities under the policy, (B, T); the gradient flows through these.
        old_log_prob: Log-probabilities under the old policy, (B, T).
        advantages: Advantages, (B, T).
        response_mask: 1 or True where the policy sampled the token, (B, T).
        weights: Token weights, (B, T); or else `regions`.
        regions: `Region` of each token, (B, T); labels of masked tokens are not read.
        entropy, progress, step, config, memory, turns: As for `token_weights`.
        clip_ratio_low: The ratio is clipped below at 1 - this.
        clip_ratio_high: The ratio is clipped above at 1 + this.
        clip_ratio_c: Dual clip: bound of ratio times |advantage| where the advantage is negative,
            above 1.
        aggregate: (loss (B, T), mask (B, T)) -> scalar; default: mean over each response's tokens,
            then over the responses that have any.

    Returns:
        The scalar loss, and floats to log under verl's names (`actor/pg_clipfrac`, `actor/ppo_kl`,
        `actor/pg_clipfrac_lower`), with the statistics of `token_weights` if it made the weights.

    Raises:
        ValueError: Both or neither of `weights` and `regions`; a sampled token without a region;
            `clip_ratio_c` not above 1; or as `token_weights`.
    """
    if (weights is None) == (regions is None):
        raise ValueError("pass either weights or regions (with entropy and progress), not both")
    if clip_ratio_c <= 1:
        raise ValueError(f"clip_ratio_c must be above 1, got {clip_ratio_c}")
    stats: dict[str, float] = {}
    if weights is None:
        assert regions is not None
        weights, stats = token_weights(
            _masked_regions(regions, response_mask),
            entropy,
            progress,
            config=config,
            step=step,
            memory=memory,
            turns=turns,
        )

    log_ratio = torch.clamp(log_prob - old_log_prob, min=-_MAX_LOG_RATIO, max=_MAX_LOG_RATIO)
    ratio = torch.exp(log_ratio)
    plain = -advantages * ratio
    clipped = -advantages * torch.clamp(ratio, 1 - clip_ratio_low, 1 + clip_ratio_high)
    pessimistic = torch.maximum(plain, clipped)
    ceiling = -advantages * clip_ratio_c
    negative = advantages < 0
    loss_BT = torch.where(negative, torch.min(ceiling, pessimistic), pessimistic) * weights
    loss = (aggregate or _seq_mean_token_mean)(loss_BT, response_mask)

    with torch.no_grad():
        metrics = {
            "actor/pg_clipfrac": torch.gt(clipped, plain).float(),
            "actor/ppo_kl": -log_ratio,
            "actor/pg_clipfrac_lower": torch.gt(pessimistic, ceiling) * negative.float(),
        }
        means = {name: _masked_mean(value, response_mask) for name, value in metrics.items()}
    return loss, {**{name: mean.item() for name, mean in means.items()}, **stats}


def _masked_regions(regions: Tensor | np.ndarray, response_mask: Tensor) -> Tensor:
    """Labels with -1 wherever the mask is 0: the mask may have lost tokens since labelling."""
    mask_BT = response_mask.bool()
    region_BT = torch.as_tensor(regions, device=mask_BT.device)
    if region_BT.shape != mask_BT.shape:
        raise ValueError(
            f"regions {tuple(region_BT.shape)} and response_mask {tuple(mask_BT.shape)} must have "
            "the same shape"
        )
    if (mask_BT & (region_BT < 0)).any():
        raise ValueError(
            "regions lacks a label (-1) where response_mask is 1: label with this response_mask"
        )
    return region_BT.masked_fill(~mask_BT, -1)


def _seq_mean_token_mean(loss_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over each response's tokens, then over the responses that have any."""
    count_B = mask_BT.sum(-1)
    loss_B = torch.sum(torch.where(mask_BT.bool(), loss_BT, 0.0), -1) / (count_B + _EPSILON)
    return loss_B.sum() / (count_B > 0).sum().clamp_min(1)


def _masked_mean(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return torch.where(mask_BT.bool(), values_BT, 0.0).sum() / (mask_BT.sum() + _EPSILON)
