"""Is this run's configuration one that ResT can train with? Asked before any worker starts.

`check_config` is called by the Hydra callback that `+rest=<preset>` brings (in the driver, before
Ray starts) and again by the trainers; `check_arguments` by the Hydra plugin, before Hydra composes.
Neither needs verl or Ray.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from rest_verl.algorithm.presets import refuse_unknown_options
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.environments.options import tool_environment_options
from rest_verl.rewards.options import reward_config_from

TRAINER_PREFIX = "rest_"
DEFAULT_TRAINER = "sync"  # verl's
OBJECTIVE_AGGREGATION = "seq-mean-token-mean"

SETTINGS_READ = (
    "algorithm.rest.",
    "algorithm.adv_estimator=",
    "algorithm.rollout_correction.bypass_mode=",
    "actor_rollout_ref.actor.policy_loss.loss_mode=",
    "actor_rollout_ref.rollout.custom.rest_tool_env.",
    "trainer.use_v1=",
    "trainer.v1.trainer_mode=",
)
"""How the arguments begin that set what `check_config` reads."""

INCOMPATIBLE_LOSS_MODES = {
    "geo_mean": "it averages log-weights over a sequence, and normalised weights vanish in that",
    "bypass_mode": "it ignores per-token weights and computes no entropy of the old policy",
}


class ReSTConfigError(ValueError):
    """A setting that ResT cannot train with; the message names it and the mend."""


def _get(config: Any, path: str, default: Any = None) -> Any:
    for key in path.split("."):
        if not isinstance(config, Mapping) and not hasattr(config, "get"):
            return default
        config = config.get(key)
        if config is None:
            return default
    return config


def uses_rest(config: Any) -> bool:
    """True where the config asks for any part of ResT's algorithm."""
    return (
        _get(config, "algorithm.rest") is not None
        or _get(config, "algorithm.adv_estimator") == "rest"
        or _get(config, "actor_rollout_ref.actor.policy_loss.loss_mode") == "rest"
        or str(_get(config, "trainer.v1.trainer_mode", "")).startswith(TRAINER_PREFIX)
    )


def check_config(config: Any) -> ReSTConfig:
    """Returns the run's ReSTConfig.

    Args:
        config: verl's composed `ppo_trainer` config (a DictConfig or plain nested dicts). Without
            `algorithm.rest` the preset is `paper`.

    Raises:
        ReSTConfigError: a setting that cannot work with ResT, or an unknown `algorithm.rest` key.
    """
    if not _get(config, "trainer.use_v1", True):
        raise ReSTConfigError(
            "trainer.use_v1=False: verl's old trainer has no place for token weights. "
            "Remove it or set trainer.use_v1=True"
        )
    mode = _get(config, "trainer.v1.trainer_mode", DEFAULT_TRAINER)
    if not str(mode).startswith(TRAINER_PREFIX):
        raise ReSTConfigError(
            f"trainer.v1.trainer_mode={mode}: only the rest_* trainers apply ResT's token weights. "
            "Set trainer.v1.trainer_mode=rest_sync (or add +rest=paper and do not set the mode)"
        )
    if _get(config, "algorithm.rollout_correction.bypass_mode", False):
        raise ReSTConfigError(
            "algorithm.rollout_correction.bypass_mode=True: verl then skips the old policy's "
            "forward pass, and with it the entropy that ResT's weights come from. "
            "Set algorithm.rollout_correction.bypass_mode=False"
        )
    loss_mode = _get(config, "actor_rollout_ref.actor.policy_loss.loss_mode", "vanilla")
    if loss_mode in INCOMPATIBLE_LOSS_MODES:
        raise ReSTConfigError(
            f"actor_rollout_ref.actor.policy_loss.loss_mode={loss_mode} cannot take ResT's token "
            f"weights: {INCOMPATIBLE_LOSS_MODES[loss_mode]}. Use rest or vanilla"
        )
    try:
        tool_environment_options(config)
        if _get(config, "reward.reward_manager.name") == "rest":
            reward_config_from(config)
        return ReSTConfig.from_options(dict(_get(config, "algorithm.rest", {})))
    except ValueError as error:
        raise ReSTConfigError(str(error)) from error


def check_arguments(arguments: list[str]) -> None:
    """Checks what no composed configuration shows.

    A misspelt option never gets into one: Hydra refuses it first, with the advice to put a `+` in
    front. Without `+rest=<preset>` there is no callback that would check the rest. And a preset's
    label changed by hand looks like a preset.

    Args:
        arguments: The command line, `sys.argv[1:]`.

    Raises:
        ReSTConfigError: As `check_config`, or `algorithm.rest.preset` among the arguments.
    """
    given = [argument.lstrip("+") for argument in arguments]
    try:
        read = [text for text in given if text.startswith(SETTINGS_READ)]
        settings = OmegaConf.from_dotlist(read)
    except YAMLError:
        return  # no value at all; Hydra says so next, and where
    options = _get(settings, "algorithm.rest", {})
    try:
        refuse_unknown_options(options)
    except ValueError as error:
        raise ReSTConfigError(str(error)) from error
    if "preset" in options:
        raise ReSTConfigError(
            "algorithm.rest.preset on the command line changes no weight: +rest=<preset> spells "
            f"out every field. Use +rest={options['preset']} instead"
        )
    # With a configuration file of the user's own, the group may be among its defaults.
    has_callback = any(text.startswith(("rest=", "-c", "--config")) for text in given)
    if uses_rest(settings) and not has_callback:
        check_config(settings)


def describe_weights(config: Any, rest: ReSTConfig) -> str:
    """The preset's name and whatever in `algorithm.rest` departs from it."""
    preset = _get(config, "algorithm.rest.preset", "paper")
    values, usual = asdict(rest), asdict(ReSTConfig.preset(preset))
    changed = [f"{key}={value}" for key, value in values.items() if value != usual[key]]
    return " ".join([f"preset {preset}", *(["with", *changed] if changed else [])])


def in_force(config: Any, rest: ReSTConfig, trainer: str) -> list[str]:
    """A few lines that say what this run trains with, for the start of the log."""
    loss_mode = _get(config, "actor_rollout_ref.actor.policy_loss.loss_mode", "vanilla")
    aggregation = _get(config, "actor_rollout_ref.actor.loss_agg_mode")
    paper = "" if aggregation == OBJECTIVE_AGGREGATION else f" (paper: {OBJECTIVE_AGGREGATION})"
    return [
        f"[rest] trainer {trainer}, weights: {describe_weights(config, rest)}",
        f"[rest] advantage {_get(config, 'algorithm.adv_estimator')}, loss {loss_mode}, "
        f"aggregation {aggregation}{paper}",
    ]
