"""Which estimators of advantages a run can have, and what each of them asks of the configuration.

Three of verl's need inputs that its v1 trainers do not give them; `estimators` hands those over,
where there are any to hand over. Neither verl nor Ray is needed here.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.integration.names import TURN_ESTIMATOR
from rest_verl.options.names import did_you_mean
from rest_verl.rewards import RewardResult

GDPO = "gdpo"
TOKEN_BASELINES = ("optimal_token_baseline", "tir_optimal_token_baseline")
COMPLETED_ESTIMATORS = (GDPO, *TOKEN_BASELINES)
"""verl's estimators that get more than its v1 trainers give."""

INCOMPATIBLE_ESTIMATORS = {
    "remax": "verl's v1 trainers, which ResT needs, do not sample the greedy responses that it "
    "compares with (reward_baselines)",
}

# torchtitan and automodel are verl's engines that leave the request for sum_pi_squared unread.
BACKENDS_WITHOUT_SQUARES = ("torchtitan", "automodel")

ESTIMATOR = "algorithm.adv_estimator"
KEYS = "algorithm.gdpo_reward_keys"
WEIGHTS = "algorithm.gdpo_reward_weights"
REJECTION = "algorithm.rollout_correction.rollout_rs"

Get = Callable[[str], Any]
"""From a setting's path to its value, None where it is not set."""


def check_estimator(get: Get) -> None:
    """Is `algorithm.adv_estimator` one that can be had with the settings around it?

    Raises:
        ValueError: it cannot; the message names the setting and the mend.
    """
    estimator = get(ESTIMATOR)
    if estimator in INCOMPATIBLE_ESTIMATORS:
        raise ValueError(
            f"{ESTIMATOR}={estimator}: {INCOMPATIBLE_ESTIMATORS[estimator]}. Use grpo or rest"
        )
    if estimator == GDPO:
        _check_gdpo(get)
    if estimator in TOKEN_BASELINES:
        _check_token_baseline(get, estimator)
    _check_turns(get, estimator)


def _check_gdpo(get: Get) -> None:
    keys, weights = get(KEYS), get(WEIGHTS)
    if not keys or isinstance(keys, str):
        given = "" if not keys else f", not {KEYS}={keys}"
        example = keys or "format,correctness"
        raise ValueError(
            f"{ESTIMATOR}=gdpo normalises the reward's parts one by one and needs a list of their "
            f"names{given}. Set +{KEYS}=[{example}]"
        )
    if weights is not None and not (isinstance(weights, Sequence) and len(weights) == len(keys)):
        raise ValueError(
            f"{WEIGHTS}={weights}: gdpo takes one weight for each of {KEYS}={keys}. "
            f"Give {len(keys)}, or leave {WEIGHTS} out"
        )
    if get("reward.reward_manager.name") == "rest":
        _check_parts(keys)
    if get("algorithm.use_kl_in_reward"):
        raise ValueError(
            "algorithm.use_kl_in_reward=True: gdpo adds up the reward's parts and would not see "
            "the penalty. Set algorithm.use_kl_in_reward=False "
            "(and actor_rollout_ref.actor.use_kl_loss=True)"
        )
    if (
        get("reward.reward_model.enable")
        and get("reward.reward_model.enable_resource_pool") is False
    ):
        raise ValueError(
            "reward.reward_model.enable_resource_pool=False: a reward model on the trainer's "
            "devices gives gdpo no parts of the reward. "
            "Set reward.reward_model.enable_resource_pool=True"
        )


def _check_parts(keys: Sequence[str]) -> None:
    """Are these parts of a reward that comes with ReST's manager, or with its environments?"""
    from rest_verl.environments.tally import Tally  # few runs need it, all import this module

    of_manager = [field.name for field in fields(RewardResult)]
    of_environments = list(Tally().reward_info())
    known = [*of_manager, *(part for part in of_environments if part not in of_manager)]
    for key in keys:
        if key not in known:
            raise ValueError(
                f"{KEYS}={keys}: with reward.reward_manager.name=rest the reward has no part "
                f"{key}; {did_you_mean(key, known)}known: {', '.join(of_manager)}; "
                f"of a rest_tool_env conversation: {', '.join(of_environments)}"
            )


def _check_token_baseline(get: Get, estimator: str) -> None:
    if get("actor_rollout_ref.model.use_fused_kernels"):
        raise ValueError(
            f"actor_rollout_ref.model.use_fused_kernels=True: {estimator} needs the sum of the "
            "squared probabilities, for which fused kernels have no logits. "
            "Set actor_rollout_ref.model.use_fused_kernels=False"
        )
    backend = get("actor_rollout_ref.actor.strategy")
    if backend in BACKENDS_WITHOUT_SQUARES:
        raise ValueError(
            f"actor_rollout_ref.actor.strategy={backend}: verl's workers do not compute the "
            f"sum_pi_squared that {estimator} needs under it. Use fsdp2, or {ESTIMATOR}=grpo"
        )
    if any(way.strip().startswith("token_") for way in str(get(REJECTION) or "").split(",")):
        raise ValueError(
            f"{REJECTION}={get(REJECTION)}: {estimator} reads the reward at the last token, and "
            "where that token is rejected counts the answer as one of reward 0. "
            f"Set {REJECTION} to a way that rejects whole sequences (seq_mean_k1)"
        )


def _check_turns(get: Get, estimator: Any) -> None:
    if estimator == TURN_ESTIMATOR:
        if get("algorithm.use_kl_in_reward"):
            raise ValueError(
                f"algorithm.use_kl_in_reward=True: {TURN_ESTIMATOR} credits whole turns and would "
                "spread the penalty of a token over all of them. Set "
                "algorithm.use_kl_in_reward=False (and actor_rollout_ref.actor.use_kl_loss=True)"
            )
        return
    for name in ("turn_gamma", "outcome_weight"):
        value, usual = get(f"algorithm.rest.{name}"), getattr(ReSTConfig, name)
        if value is not None and value != usual:
            raise ValueError(
                f"algorithm.rest.{name}={value}: only the estimator {TURN_ESTIMATOR} reads it. Set "
                f"{ESTIMATOR}={TURN_ESTIMATOR}, or leave it at {usual}"
            )
