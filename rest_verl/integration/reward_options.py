"""The reward's options in verl's config, for the manager `rest` and for the check before a run."""

from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from rest_verl.algorithm.clock import Clock
from rest_verl.rewards.schedule import RewardConfig

CLOCK = "clock"
"""Beside the options: the run's clock, which a `rest_*` trainer puts there for the workers."""


def reward_config_from(config: Any) -> RewardConfig:
    """RewardConfig from `reward.custom_reward_function.reward_kwargs`.

    Raises:
        ValueError: an unknown key or value, or a reward function beside the manager's own.
    """
    function = config["reward"]["custom_reward_function"]
    if function["path"] is not None:
        raise ValueError(
            "reward.reward_manager.name=rest scores by itself, but "
            f"reward.custom_reward_function.path={function['path']} is set as well: "
            "remove it, or use reward.reward_manager.name=naive"
        )
    return RewardConfig.from_options(_options(config))


def schedule_step(config: Any) -> Callable[[int], float]:
    """From a training step to the step of the reward's schedule.

    The schedule goes by the run's clock, the one of the weights: it ends when progress is 1. An
    explicit `horizon` among the reward's options (the released code's is 150) counts steps instead.
    Under verl's own trainers, which have no such clock, progress is the step's share of their
    `total_training_steps`.
    """
    options, horizon = _kwargs(config), reward_config_from(config).horizon
    if options.get("horizon") is not None:
        return float
    state = options.get(CLOCK)
    clock = _verls_clock(config) if state is None else Clock.from_state(state)
    if clock is None:
        return float
    return lambda step: float(clock.progress(step)) * horizon


def hand_over_clock(config: DictConfig, clock: Clock) -> None:
    """Puts the clock where the workers of the reward manager `rest` find it."""
    if OmegaConf.select(config, "reward.reward_manager.name") == "rest":
        with open_dict(config):
            function = config.reward.custom_reward_function
            function.reward_kwargs = {**_kwargs(config), CLOCK: clock.state()}


def _verls_clock(config: Any) -> Clock | None:
    """By the number of updates that verl's trainer writes into the config for the optimizer."""
    if not isinstance(config, DictConfig):
        return None
    updates = OmegaConf.select(config, "actor_rollout_ref.actor.optim.total_training_steps")
    mode = OmegaConf.select(config, "trainer.v1.trainer_mode")
    per_step = OmegaConf.select(config, f"trainer.v1.{mode}.parameter_sync_step") or 1
    return Clock(horizon=updates / per_step) if updates and updates > 0 else None


def _options(config: Any) -> dict[str, Any]:
    """The fields of RewardConfig that are set, and `preset`."""
    given = _kwargs(config)
    given.pop(CLOCK, None)
    if given.get("horizon", 0) is None:
        del given["horizon"]
    return given


def _kwargs(config: Any) -> dict[str, Any]:
    kwargs = config["reward"]["custom_reward_function"].get("reward_kwargs") or {}
    if isinstance(kwargs, DictConfig):
        kwargs = OmegaConf.to_container(kwargs, resolve=True)
    assert isinstance(kwargs, Mapping)
    return {str(key): value for key, value in kwargs.items()}
