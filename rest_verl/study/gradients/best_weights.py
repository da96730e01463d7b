"""The weights by region that gain most on this policy, and what they gain on other prompts.

The weights v have mean 1 over the tokens of the whole sample and lie within the bounds; the same
for all responses, where presets scale each response to mean 1. Chosen and judged on the same
prompts, they would flatter themselves: they are chosen on each half of the prompts and judged on
the other, and once on all for the table.

Shape letters: R regions, C columns, M blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from rest_verl.study.gradients.figures import Quadratic, joint_interval
from rest_verl.study.gradients.intervals import Ratio
from rest_verl.study.gradients.moments import Moments

_STARTS = 12


@dataclass(frozen=True, kw_only=True)
class BestWeights:
    """The weights with the greatest gain, in the order of `Region`; None: the region is absent."""

    weights: list[float | None]
    halves: list[list[float | None]]
    """Those chosen on each half alone: how far they agree says how firm they are."""
    gain: Ratio
    """On prompts that they were not chosen on; over uniform's."""
    low: float
    high: float
    """The bounds."""


def best_weights(
    moments: Moments,
    share_R: np.ndarray,
    *,
    batch_prompts: int,
    low: float,
    high: float,
    seed: int,
) -> BestWeights:
    """See above.

    Args:
        moments: Of all prompts; the first column is `uniform`, the last are the regions.
        share_R: Of all tokens, that each region has.
        batch_prompts: Prompts of a training batch.
        low, high: Bounds of the weights, around 1.
        seed: Of the optimiser's starts.
    """
    present = np.flatnonzero(share_R > 0)
    place_of_R = moments.num_columns - len(share_R) + present
    uniform_C = np.eye(moments.num_columns)[0]

    def combined(weights_R: np.ndarray) -> np.ndarray:
        weights_C = np.zeros(moments.num_columns)
        weights_C[place_of_R] = weights_R
        return weights_C

    def chosen(on: Quadratic) -> np.ndarray:
        def gain(weights_R: np.ndarray) -> float:
            weights_C = combined(weights_R)
            return float(on.alignment(weights_C)[0] / on.length(weights_C)[0])

        return _greatest(gain, share_R[present], low, high, seed)

    def listed(weights_R: np.ndarray) -> list[float | None]:
        by_region = dict(zip(present.tolist(), weights_R.tolist(), strict=True))
        return [by_region.get(region) for region in range(len(share_R))]

    blocks = np.arange(moments.num_blocks)
    whole, *halves = (
        Quadratic(moments.replicates(chosen_blocks), uniform_C, batch_prompts)
        for chosen_blocks in (blocks, blocks[::2], blocks[1::2])
    )
    picks = [chosen(half) for half in halves]
    judged = [
        (half.replicates, half.gain(combined(pick)))
        for half, pick in zip(halves, reversed(picks), strict=True)
    ]
    return BestWeights(
        weights=listed(chosen(whole)),
        halves=[listed(pick) for pick in picks],
        gain=joint_interval(judged),
        low=low,
        high=high,
    )


def _greatest(
    gain: Callable[[np.ndarray], float], share_R: np.ndarray, low: float, high: float, seed: int
) -> np.ndarray:
    """The weights of mean 1 within the bounds for which `gain` is greatest."""
    share_R = share_R / share_R.sum()
    ones_R = np.ones(len(share_R))
    unit = abs(gain(ones_R)) or 1.0  # so that the optimiser's tolerance means something
    random = np.random.default_rng(seed)
    starts = [ones_R, *random.uniform(low, high, (_STARTS, len(share_R)))]
    found = [
        minimize(
            lambda weights_R: -gain(weights_R) / unit,
            start,
            method="SLSQP",
            bounds=[(low, high)] * len(share_R),
            constraints={"type": "eq", "fun": lambda weights_R: share_R @ weights_R - 1.0},
        )
        for start in starts
    ]
    succeeded = [(one.fun, one.x) for one in found if one.success]
    return min(succeeded, key=lambda one: one[0], default=(0.0, ones_R))[1]
