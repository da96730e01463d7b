"""From entropies to base weights: a rule, a scale, and bounds (docs/method.md, section 3.2).

A cell is whatever has one weight: a region of the batch, a region of a response, or a token.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig

# Shape letters: C cells, R responses' rows that are solved side by side.

DELTA = 1e-8
"""Only keeps sums of nothing from becoming 0 / 0. In float64 it is below what a float32 weight can
show, so a row of ones stays a row of ones (the released code has the same constant)."""


def base_weights(entropy: Tensor, count: Tensor, config: ReSTConfig) -> Tensor:
    """Weights of cells from their entropies: the rule, scaled, within the bounds.

    Args:
        entropy: Mean entropy (nats) of each cell, float64, any shape; finite where `count` is 0.
        count: Tokens of each cell, of that shape.
        config: `entropy_rule`, `scale` and what goes with them.

    Returns:
        Weights of that shape, each 0 or in [w_min, w_max].
    """
    weights = entropy_weights(entropy, count, config)
    if config.scale == "mean":
        total = (weights * count).sum().clamp_min(DELTA)
        weights = weights * (count.sum() / total)
    elif config.scale == "calibrated":
        factor = clipping_factor(
            weights.reshape(1, -1), count.reshape(1, -1), low=config.w_min, high=config.w_max
        )
        weights = weights * factor.reshape(())
    return torch.where(weights > 0, weights.clamp(config.w_min, config.w_max), weights)


def entropy_weights(entropy: Tensor, count: Tensor, config: ReSTConfig) -> Tensor:
    """g(H) of the method: weight of an entropy (nats), before scaling."""
    if config.entropy_rule == "top":
        return (entropy >= _top_threshold(entropy[count > 0], config.top_share)).double()
    floored = entropy.clamp_min(config.entropy_floor)
    return 1 / floored if config.entropy_rule == "inverse" else -1 / torch.expm1(-floored)


def _top_threshold(entropy_C: Tensor, share: float) -> float:
    """The least of the highest entropies that make up that share of the cells, one at least."""
    if not len(entropy_C):
        return math.inf
    # 0.07 · 100 is just above 7 to the machine, and is 7
    num_chosen = max(1, math.ceil(share * len(entropy_C) - 1e-9))
    rank = len(entropy_C) - num_chosen + 1
    return float(entropy_C.kthvalue(rank).values)


def clipping_factor(
    weights: Tensor, count: Tensor, *, low: float, high: float, total: Tensor | None = None
) -> Tensor:
    """The factor s for which Σ count · clip(s · weights, low, high) = total, row by row.

    The sum is a broken line in s, each of its corners a weight that meets a bound; so s is exact.

    Args:
        weights: Weights above 0, float64, (R, C).
        count: Tokens of each, (R, C); cells of none have no say.
        low, high: Bounds; a row can be solved where `total` is between what all weights at `low`
            and all at `high` come to.
        total: What the sum is to be, (R, 1); None: the row's count, for weights of mean 1.

    Returns:
        (R, 1); of a row without tokens, 1.
    """
    num_tokens = count.sum(-1, keepdim=True)
    total = num_tokens if total is None else total
    corners, order = torch.cat([low / weights, high / weights], -1).sort(-1)
    slopes = torch.cat([count * weights, -count * weights], -1).gather(-1, order).cumsum(-1)
    rises = slopes[..., :-1] * corners.diff(dim=-1)
    sums = low * num_tokens + torch.cat([torch.zeros_like(num_tokens), rises.cumsum(-1)], -1)
    place = (sums < total).sum(-1, keepdim=True).clamp(1, sums.shape[-1] - 1)
    before = place - 1
    slope = slopes.gather(-1, before)
    rest = (total - sums.gather(-1, before)) / torch.where(slope > 0, slope, 1.0)
    factor = corners.gather(-1, before) + torch.where(slope > 0, rest, 0.0)

    # The corners' sums have been added up in a row; the weights between the bounds say it exactly.
    scaled = factor * weights
    is_free = (scaled > low) & (scaled < high)
    fixed = (count * scaled.clamp(low, high)).masked_fill(is_free, 0.0).sum(-1, keepdim=True)
    free = (count * weights).masked_fill(~is_free, 0.0).sum(-1, keepdim=True)
    exact = torch.where(free > 0, (total - fixed) / torch.where(free > 0, free, 1.0), factor)
    return torch.where(num_tokens > 0, exact, 1.0)
