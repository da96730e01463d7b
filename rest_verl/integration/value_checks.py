"""Values with which no run can work, and values that are hardly meant.

Each check takes verl's composed configuration and returns one message, which names the setting and
the mend, or None. Neither verl nor Ray is needed here.
"""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rest_verl.integration.estimator_checks import ESTIMATOR
from rest_verl.integration.names import ADVANTAGE_ESTIMATOR, TURN_ESTIMATOR

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"

COUNTS = (
    "trainer.nnodes",
    "trainer.n_gpus_per_node",
    "trainer.total_epochs",
    "trainer.total_training_steps",
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    f"{ACTOR}.ppo_mini_batch_size",
    f"{ACTOR}.ppo_micro_batch_size_per_gpu",
    f"{ACTOR}.ppo_max_token_len_per_gpu",
    f"{ACTOR}.ppo_epochs",
    f"{ACTOR}.ulysses_sequence_parallel_size",
    f"{ROLLOUT}.n",
    f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
    f"{ROLLOUT}.tensor_model_parallel_size",
    f"{ROLLOUT}.data_parallel_size",
    f"{ROLLOUT}.pipeline_model_parallel_size",
    f"{ROLLOUT}.max_num_seqs",
)
"""Whole numbers above 0, where they are set."""

SHARES = (f"{ROLLOUT}.top_p", f"{ROLLOUT}.gpu_memory_utilization")
"""Above 0 and at most 1."""

NOT_NEGATIVE = (
    f"{ACTOR}.optim.lr",
    f"{ACTOR}.optim.weight_decay",
    f"{ACTOR}.clip_ratio_low",
    f"{ACTOR}.clip_ratio_high",
)

SENSIBLE = {
    f"{ACTOR}.optim.lr": (1e-9, 1e-2),
    f"{ACTOR}.optim.weight_decay": (0, 1),
    f"{ACTOR}.optim.clip_grad": (1e-3, 100),
    f"{ACTOR}.clip_ratio_low": (1e-5, 1),
    f"{ACTOR}.clip_ratio_high": (1e-5, 10),
    f"{ACTOR}.entropy_coeff": (0, 0.1),
    f"{ACTOR}.kl_loss_coef": (0, 1),
    f"{ACTOR}.ppo_epochs": (1, 16),
    f"{ROLLOUT}.temperature": (0.1, 2),
    f"{ROLLOUT}.n": (1, 512),
    "data.max_response_length": (16, 1_000_000),
    "algorithm.gamma": (0.5, 1),
    "algorithm.lam": (0.5, 1),
}
"""Where values of published runs lie, with room to both sides."""

GROUP_ESTIMATORS = (
    "grpo",
    "grpo_vectorized",
    "grpo_passk",
    "gdpo",
    "gpg",
    "opo",
    "rloo",
    "rloo_vectorized",
    "reinforce_plus_plus_baseline",
    "optimal_token_baseline",
    "tir_optimal_token_baseline",
    ADVANTAGE_ESTIMATOR,
    TURN_ESTIMATOR,
)
"""Estimators that compare the answers of one prompt with each other."""


def possible_values(config: DictConfig) -> str | None:
    """Counts that count something, shares between 0 and 1, nothing negative that must not be."""
    for path in COUNTS:
        value = OmegaConf.select(config, path)
        if value is not None and (type(value) is not int or value < 1):
            return f"{path}={value}: must be a whole number above 0"
    for path, value in _numbers(config, SHARES):
        if not 0 < value <= 1:
            return f"{path}={value}: must be above 0 and at most 1"
    for path, value in _numbers(config, NOT_NEGATIVE):
        if not value >= 0:  # NaN as well
            return f"{path}={value}: must not be negative"
    return None


def groups_that_teach(config: DictConfig) -> str | None:
    """Can the answers of a prompt differ, and are there several where they are compared?"""
    if OmegaConf.select(config, "trainer.val_only"):
        return None
    temperature, top_k = f"{ROLLOUT}.temperature", f"{ROLLOUT}.top_k"
    same = "all answers to a prompt are then the same, and none can be better than another"
    value = OmegaConf.select(config, temperature)
    if not isinstance(value, int | float):
        return f"{temperature}={value}: must be a number. Set {temperature}=1.0"
    if value <= 0:
        return f"{temperature}={value}: {same}. Set {temperature}=1.0"
    if OmegaConf.select(config, top_k) == 1:
        return f"{top_k}=1: {same}. Set {top_k}=-1 (no limit)"
    estimator = OmegaConf.select(config, ESTIMATOR)
    if estimator in GROUP_ESTIMATORS and OmegaConf.select(config, f"{ROLLOUT}.n") == 1:
        return (
            f"{ROLLOUT}.n=1: {ESTIMATOR}={estimator} compares the answers to a prompt with each "
            f"other, and one has none beside it. Set {ROLLOUT}.n=4 or more"
        )
    return None


def unusual_values(config: DictConfig) -> list[str]:
    """A warning for each value far from where such values lie."""
    return [
        f"{path}={value}: such values lie between {low:g} and {high:g}; is it meant?"
        for path, (low, high) in SENSIBLE.items()
        for _, value in _numbers(config, (path,))
        if not low <= value <= high
    ]


def _numbers(config: DictConfig, paths: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """(path, value) of those that are set to a number."""
    for path in paths:
        value = OmegaConf.select(config, path)
        if isinstance(value, int | float):
            yield path, value
