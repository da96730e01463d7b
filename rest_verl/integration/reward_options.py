"""The reward's options in verl's config, for the manager `rest` and for the check before a run."""

from typing import Any

from rest_verl.rewards.schedule import RewardConfig


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
    return RewardConfig.from_options(dict(function.get("reward_kwargs") or {}))
