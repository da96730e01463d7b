"""The curriculum: from structure to reasoning, region weights move with training progress.

Early on the tags and scaffolding lead; as they become certain, weight moves to the arguments and
the reasoning (docs/method.md, section 3.3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.regions import Region

# Shape letters: R regions; `…` any leading axes.


def scheduled_weights(base: Tensor, clock: float | Tensor, config: ReSTConfig) -> Tensor:
    """Region weights at one moment of training, before normalisation.

    FORMAT falls to no less than `w_min`; ARGS, THINK and TEXT rise to no more than their cap; NAME
    stays. TEXT follows THINK, which the paper leaves open. A base of 0 takes the region out of
    training and stays 0.

    Args:
        base: Base weights, (…, R), each 0 or in [w_min, w_max].
        clock: Progress in [0, 1], or the step, whichever the alphas are per unit of; one number, or
            (…, 1) of the dtype and on the device of `base`.
        config: Its bounds, alphas and caps.

    Returns:
        Weights, (…, R), of the leading axes of `base` and `clock` together, and of the dtype and on
        the device of `base`.
    """
    think_top = config.w_max if config.cap_think is None else config.cap_think
    slope = {
        Region.FORMAT: -config.alpha_format,
        Region.NAME: 0.0,
        Region.ARGS: config.alpha_args,
        Region.THINK: config.alpha_think,
        Region.TEXT: config.alpha_think,
    }
    top = {
        Region.FORMAT: config.w_max,
        Region.NAME: config.w_max,
        Region.ARGS: config.w_max if config.cap_args is None else config.cap_args,
        Region.THINK: think_top,
        Region.TEXT: think_top,
    }
    slope_R = base.new_tensor([slope[region] for region in Region])
    top_R = base.new_tensor([top[region] for region in Region])
    moved = torch.minimum((base + slope_R * clock).clamp_min(config.w_min), top_R)
    return torch.where(base == 0, base, moved)
