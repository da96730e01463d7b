"""verl's advantage estimators of ours: `rest` behind verl's signature, and the name `rest_turn`."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from rest_verl.algorithm.advantage import rest_advantage
from rest_verl.integration.names import ADVANTAGE_ESTIMATOR, TURN_ESTIMATOR

# Shape letters: B responses, T response tokens.


@register_adv_est(ADVANTAGE_ESTIMATOR)
def verl_advantage(
    token_level_rewards: Tensor,
    response_mask: Tensor,
    index: np.ndarray | None = None,
    config: Any = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """`rest_advantage` as verl calls an estimator; other estimators' inputs are left alone.

    Args:
        token_level_rewards: Rewards, (B, T).
        response_mask: 1 where the policy sampled the token, (B, T).
        index: verl's `uid` of each response.
        config: verl's `algorithm` section; `norm_adv_by_std_in_grpo` is read from it (default
            True).

    Raises:
        ValueError: `index` is missing.
    """
    if index is None:
        raise ValueError("the estimator rest compares responses of one prompt: the batch lacks uid")
    norm_by_std = True if config is None else config.get("norm_adv_by_std_in_grpo", True)
    return rest_advantage(token_level_rewards, response_mask, index, norm_by_std=norm_by_std)


@register_adv_est(TURN_ESTIMATOR)
def turns_are_missing(*_: Any, **__: Any) -> NoReturn:
    """verl gives an estimator no turns: the rest_* trainers never call this (see `estimators`).

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"algorithm.adv_estimator={TURN_ESTIMATOR} needs the turns of each rollout, which only the "
        "rest_* trainers hand over. Add +rest=paper, or set trainer.v1.trainer_mode=rest_sync"
    )
