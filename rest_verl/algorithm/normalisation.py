"""Weights of mean 1 over a response, none above the ceiling (docs/method.md, section 3.4).

Where `weights_per` is `turn`, what is called a response here is one turn of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rest_verl.algorithm.config import NormaliseOver
from rest_verl.algorithm.scaling import DELTA, clipping_factor

# Shape letters: B responses, C cells of a response (regions, or its tokens).


def normalised(
    weights_BC: Tensor,
    count_BC: Tensor,
    *,
    over: NormaliseOver,
    cap: float,
    held_BC: Tensor | None = None,
) -> Tensor:
    """The weights, times one factor a response, so that their mean over its tokens is 1.

    A weight that would exceed the ceiling stays there, and the others take up what it leaves. Where
    too few tokens train for that (`sampled` only), all of them are at the ceiling.

    Args:
        weights_BC: Weights, not negative, float64, (B, C) or (1, C).
        count_BC: Tokens of each cell, (B, C).
        over: The tokens that the mean is over: the `trained`, of weight above 0, or all `sampled`.
        cap: The ceiling, at least 1.
        held_BC: Final weights of cells that the factor leaves alone, NaN elsewhere.

    Returns:
        (B, C); a response without tokens that train has zeros, or what its cells would weigh.
    """
    trained_BC = count_BC * (weights_BC > 0)
    mass_B1 = (trained_BC if over == "trained" else count_BC).sum(1, keepdim=True)
    if held_BC is not None:
        is_held = ~held_BC.isnan()
        mass_B1 = mass_B1 - (count_BC * held_BC.nan_to_num()).sum(1, keepdim=True)
        trained_BC = trained_BC.masked_fill(is_held, 0.0)
    # what is held can leave less than one token's worth: only nothing at all is guarded against
    mean_B1 = (weights_BC * trained_BC).sum(1, keepdim=True) / mass_B1.clamp_min(DELTA)
    result_BC = weights_BC / (mean_B1 + DELTA)
    exceeds_B = ((result_BC > cap) & (trained_BC > 0)).any(1)
    if exceeds_B.any():
        result_BC[exceeds_B] = _under_ceiling(
            weights_BC.expand_as(result_BC)[exceeds_B],
            trained_BC[exceeds_B],
            mass_B1[exceeds_B],
            cap,
        )
    return result_BC if held_BC is None else torch.where(is_held, held_BC, result_BC)


def _under_ceiling(weights_BC: Tensor, trained_BC: Tensor, mass_B1: Tensor, cap: float) -> Tensor:
    is_trained = weights_BC > 0
    # A cell without weight has no tokens here; 1 only keeps it from dividing.
    positive_BC = torch.where(is_trained, weights_BC, 1.0)
    most_B1 = cap * trained_BC.sum(1, keepdim=True)
    factor_B1 = clipping_factor(positive_BC, trained_BC, low=0.0, high=cap, total=mass_B1)
    reached_BC = torch.where(mass_B1 < most_B1, (factor_B1 * positive_BC).clamp_max(cap), cap)
    return torch.where(is_trained, reached_BC, 0.0)
