"""Is this run's configuration one that ResT can train with? Asked before any worker starts.

`check_config` is one of the checks of `run_checks` (in the driver, before Ray starts), and the
trainers call it again; `check_arguments` is called by the Hydra plugin, before Hydra composes.
Neither needs verl or Ray.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from rest_verl.algorithm.config import refuse_unknown_options
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration.agent_loops.options import tool_environment_options
from rest_verl.integration.estimator_checks import KEYS, REJECTION, WEIGHTS, check_estimator
from rest_verl.integration.names import ADVANTAGE_ESTIMATOR, TRAINERS, TURN_ESTIMATOR
from rest_verl.integration.reward_options import reward_config_from
from rest_verl.options.names import did_you_mean

DEFAULT_TRAINER = "sync"  # verl's
OBJECTIVE_AGGREGATION = "seq-mean-token-mean"

LOSS_MODE = "actor_rollout_ref.actor.policy_loss.loss_mode"
BYPASS = "algorithm.rollout_correction.bypass_mode"

SETTINGS_READ = (
    "algorithm.rest.",
    "algorithm.rest=",
    "algorithm.adv_estimator=",
    "algorithm.use_kl_in_reward=",
    "algorithm.use_pf_ppo=",
    f"{BYPASS}=",
    f"{LOSS_MODE}=",
    f"{REJECTION}=",
    "actor_rollout_ref.actor.strategy=",
    "actor_rollout_ref.model.use_fused_kernels=",
    "actor_rollout_ref.rollout.custom.rest_tool_env.",
    "distillation.enabled=",
    "distillation.distillation_loss.",
    "trainer.use_v1=",
    "trainer.v1.trainer_mode=",
)
"""How the arguments begin that set what `check_config` reads whatever the trainer."""

ADDED_SETTINGS_READ = (f"{KEYS}=", f"{WEIGHTS}=")
"""The same, of settings that verl reads and its YAML lacks."""

# docs/composition.md has the whole table; tests/integration/test_composition*.py hold it to verl.
WEIGHTED_LOSS_MODES = (
    "rest",
    "vanilla",
    "gspo",
    "cispo",
    "sapo",
    "gpg",
    "clip_cov",
    "kl_cov",
    "dppo_tv",
    "dppo_kl",
    "dro",
)
"""verl's losses (and ours) that multiply each token's term by its weight."""

INCOMPATIBLE_LOSS_MODES = {
    "geo_mean": "it takes the geometric mean of a sequence's weights, one factor of at most 1 for "
    "all its tokens and almost 0 where a weight is 0, so no token outweighs another",
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
        or _get(config, "algorithm.adv_estimator") in (ADVANTAGE_ESTIMATOR, TURN_ESTIMATOR)
        or _get(config, LOSS_MODE) == "rest"
        or str(_get(config, "trainer.v1.trainer_mode", "")).startswith("rest_")
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
    _check_trainer(config)
    if _get(config, BYPASS, False):
        raise ReSTConfigError(
            f"{BYPASS}=True: verl then skips the old policy's forward pass, and with it the "
            f"entropy that ResT's weights come from. Set {BYPASS}=False"
        )
    _check_loss(config)
    _check_distillation(config)
    if _get(config, "algorithm.use_pf_ppo", False):
        raise ReSTConfigError(
            "algorithm.use_pf_ppo=True: verl's v1 trainers, which ResT needs, resample advantages "
            "without their responses. Set algorithm.use_pf_ppo=False"
        )
    try:
        check_estimator(partial(_get, config))
        tool_environment_options(config)
        if _get(config, "reward.reward_manager.name") == "rest":
            reward_config_from(config)
        return ReSTConfig.from_options(dict(_options(config)))
    except ValueError as error:
        raise ReSTConfigError(str(error)) from error


def _options(config: Any) -> Mapping[str, Any]:
    """`algorithm.rest`, empty where it is not set."""
    options = _get(config, "algorithm.rest", {})
    if not isinstance(options, Mapping):
        raise ReSTConfigError(
            f"algorithm.rest={options}: a preset is a configuration group. Use +rest={options}"
        )
    return options


def _check_trainer(config: Any) -> None:
    mode = str(_get(config, "trainer.v1.trainer_mode", DEFAULT_TRAINER))
    setting = f"trainer.v1.trainer_mode={mode}"
    if mode in TRAINERS:
        if mode == "rest_separate_async":
            _check_separate_async(config)
    elif mode.startswith("rest_"):
        if os.environ.get("VERL_USE_EXTERNAL_MODULES"):
            return  # they may register a subclass of ours
        raise ReSTConfigError(
            f"{setting}: no such trainer; {did_you_mean(mode, TRAINERS)}"
            f"known: {', '.join(TRAINERS)}"
        )
    else:
        ours = f"rest_{mode}" if f"rest_{mode}" in TRAINERS else "rest_sync"
        raise ReSTConfigError(
            f"{setting}: only the rest_* trainers apply ResT's token weights. "
            f"Set trainer.v1.trainer_mode={ours} (or add +rest=paper and do not set the mode)"
        )


def _check_separate_async(config: Any) -> None:
    """What verl asserts of this trainer, before anything starts; absent settings are not judged."""
    batch = _get(config, "data.train_batch_size")
    sync_step = _get(config, "trainer.v1.separate_async.parameter_sync_step")
    mini_batch = _get(config, "actor_rollout_ref.actor.ppo_mini_batch_size")
    if None not in (batch, sync_step, mini_batch) and batch != sync_step * mini_batch:
        raise ReSTConfigError(
            f"data.train_batch_size={batch}: rest_separate_async trains in parameter_sync_step x "
            f"ppo_mini_batch_size = {sync_step} x {mini_batch} = {sync_step * mini_batch} prompts "
            f"a step. Set data.train_batch_size={sync_step * mini_batch}, or change "
            "trainer.v1.separate_async.parameter_sync_step or "
            "actor_rollout_ref.actor.ppo_mini_batch_size"
        )
    for name in ("nnodes", "n_gpus_per_node"):
        path = f"actor_rollout_ref.rollout.{name}"
        count = _get(config, path)
        if count is not None and count <= 0:
            raise ReSTConfigError(
                f"{path}={count}: rest_separate_async samples on GPUs of its own, beside those of "
                f"trainer.nnodes. Set {path} to 1 or more, or take rest_colocate_async"
            )
    backend = "actor_rollout_ref.rollout.checkpoint_engine.backend"
    if _get(config, backend) == "naive":
        raise ReSTConfigError(
            f"{backend}=naive: it cannot carry weights to the other GPUs that rest_separate_async "
            f"samples on. Set {backend}=nccl (or nixl, mooncake)"
        )
    if _get(config, "reward.reward_model.enable", False) and not _get(
        config, "reward.reward_model.enable_resource_pool", True
    ):
        raise ReSTConfigError(
            "reward.reward_model.enable_resource_pool=False: under rest_separate_async sampling "
            "never pauses to lend its GPUs to a reward model. Set "
            "reward.reward_model.enable_resource_pool=True"
        )


def _check_loss(config: Any) -> None:
    mode = _get(config, LOSS_MODE, "vanilla")
    if mode in INCOMPATIBLE_LOSS_MODES:
        raise ReSTConfigError(
            f"{LOSS_MODE}={mode} cannot take ResT's token weights: "
            f"{INCOMPATIBLE_LOSS_MODES[mode]}. Use rest or vanilla"
        )
    # Importing verl would be slow, but where it is loaded its registry has every loss of a plugin.
    core_algos = sys.modules.get("verl.trainer.ppo.core_algos")
    if mode in WEIGHTED_LOSS_MODES or core_algos is None:
        return
    workers_may_register = _get(config, "actor_rollout_ref.model.external_lib") is not None
    if mode not in core_algos.POLICY_LOSS_REGISTRY and not workers_may_register:
        raise ReSTConfigError(
            f"{LOSS_MODE}={mode}: no such loss; {did_you_mean(mode, WEIGHTED_LOSS_MODES)}"
            f"known: {', '.join(WEIGHTED_LOSS_MODES)}"
        )


def _check_distillation(config: Any) -> None:
    if not _get(config, "distillation.enabled", False):
        return
    path = "distillation.distillation_loss"
    if not _get(config, f"{path}.use_task_rewards", True):
        raise ReSTConfigError(
            f"{path}.use_task_rewards=False: verl then trains on the teacher alone and drops the "
            f"policy loss that ResT weights. Set {path}.use_task_rewards=True"
        )
    if _get(config, f"{path}.use_policy_gradient", False):
        raise ReSTConfigError(
            f"{path}.use_policy_gradient=True: verl multiplies the teacher's term by the weight "
            "column too, unpadded against padded, and stops at the first update. "
            f"Set {path}.use_policy_gradient=False"
        )


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
    # What an argument refers to is known once all are composed; the callback looks then.
    given = [argument.lstrip("+") for argument in arguments if "${" not in argument]
    try:
        read = [text for text in given if text.startswith(SETTINGS_READ + ADDED_SETTINGS_READ)]
        settings = OmegaConf.from_dotlist(read)
    except YAMLError:
        return  # no value at all; Hydra says so next, and where
    options = _options(settings)
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
    loss_mode = _get(config, LOSS_MODE, "vanilla")
    own = "" if loss_mode in WEIGHTED_LOSS_MODES else " (yours: it must apply rollout_is_weights)"
    aggregation = _get(config, "actor_rollout_ref.actor.loss_agg_mode")
    paper = "" if aggregation == OBJECTIVE_AGGREGATION else f" (paper: {OBJECTIVE_AGGREGATION})"
    return [
        f"[rest] trainer {trainer}, weights: {describe_weights(config, rest)}",
        f"[rest] advantage {_get(config, 'algorithm.adv_estimator')}, loss {loss_mode}{own}, "
        f"aggregation {aggregation}{paper}",
    ]
