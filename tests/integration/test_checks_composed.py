"""The checks on verl's composed configuration, and what the log says is in force."""

from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest
from check_settings import (
    LOSS_MODE,
    MODE,
    SEPARATE,
    SYNC,
    tree,
)
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.presets import PRESETS
from rest_verl.integration.checks import (
    ADDED_SETTINGS_READ,
    WEIGHTED_LOSS_MODES,
    ReSTConfigError,
    check_arguments,
    check_config,
    describe_weights,
    in_force,
)
from rest_verl.integration.estimator_checks import (
    TOKEN_BASELINES,
)
from rest_verl.rewards import RewardResult


@pytest.fixture(scope="module")
def verl_config():
    """Composes verl's unmodified training configuration, as `main_ppo` does."""
    GlobalHydra.instance().clear()
    verl = Path(find_spec("verl").origin).parent
    with initialize_config_dir(str(verl / "trainer" / "config"), version_base=None):
        yield lambda *arguments, **kw: compose("ppo_trainer", overrides=list(arguments), **kw)


def leaves(config, path: str = "") -> dict:
    if not isinstance(config, dict):
        return {path: config}
    found: dict = {}
    for key, value in config.items():
        found |= leaves(value, f"{path}.{key}" if path else str(key))
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_the_group_changes_what_it_says_and_nothing_else(verl_config, preset):
    plain = leaves(OmegaConf.to_container(verl_config(), resolve=False))
    config = verl_config(f"+rest={preset}")
    composed = leaves(OmegaConf.to_container(config, resolve=False))
    assert plain.keys() <= composed.keys()
    changed = {key: value for key, value in composed.items() if plain.get(key, "none") != value}
    options = {key: changed.pop(key) for key in list(changed) if key.startswith("algorithm.rest.")}
    assert changed == {
        "trainer.v1.trainer_mode": "rest_sync",
        "actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-mean",
    }
    assert options["algorithm.rest.preset"] == preset
    assert check_config(config) == ReSTConfig.preset(preset)


# verl's settings, as one would add them to a command line, that compose with ResT
COMPOSES = [
    *([f"{LOSS_MODE}={mode}"] for mode in WEIGHTED_LOSS_MODES),
    ["algorithm.rollout_correction.rollout_is=token"],
    ["algorithm.rollout_correction.rollout_rs=seq_mean_k1"],
    [
        "algorithm.norm_adv_by_std_in_grpo=False",
        "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm",
        "actor_rollout_ref.actor.loss_scale_factor=2048",
    ],
    ["algorithm.filter_groups.enable=True", "algorithm.filter_groups.metric=score"],
    ["actor_rollout_ref.actor.use_kl_loss=True"],
    ["algorithm.use_kl_in_reward=True"],
    ["actor_rollout_ref.actor.entropy_coeff=0.01"],
    ["actor_rollout_ref.model.lora_rank=32"],
    ["actor_rollout_ref.actor.use_dynamic_bsz=True"],
    [
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size=2",
        "actor_rollout_ref.model.use_remove_padding=True",
    ],
    ["algorithm.adv_estimator=gae"],
    *([f"algorithm.adv_estimator={name}"] for name in TOKEN_BASELINES),
    ["distillation.enabled=True"],
    ["trainer.v1.trainer_mode=rest_colocate_async"],
    [f"{key}={value}" for key, value in SEPARATE.items()],
]


@pytest.fixture(scope="module")
def static_config(verl_config):
    return verl_config("+rest=static")


@pytest.mark.parametrize("arguments", COMPOSES, ids=" ".join)
def test_verls_settings_that_compose(static_config, arguments):
    check_arguments(["+rest=static", *arguments])
    # the composed configuration refuses keys that verl does not have
    config = OmegaConf.merge(static_config, OmegaConf.from_dotlist(arguments))
    assert check_config(config) == ReSTConfig.preset("static")


def test_gdpo_composes_with_what_a_user_adds(verl_config):
    added = ["+algorithm.gdpo_reward_keys=[format,name_match]", "reward.reward_manager.name=rest"]
    arguments = ["+rest=static", "algorithm.adv_estimator=gdpo", *added]
    check_arguments(arguments)
    assert check_config(verl_config(*arguments)) == ReSTConfig.preset("static")


def test_the_settings_that_verl_reads_and_its_yaml_lacks():
    algorithm = pytest.importorskip("verl.trainer.config.algorithm")
    names = {setting.removeprefix("algorithm.").rstrip("=") for setting in ADDED_SETTINGS_READ}
    assert names <= {field.name for field in fields(algorithm.AlgoConfig)}


def test_the_parts_that_gdpo_may_name_are_the_rewards():
    names = [field.name for field in fields(RewardResult)]
    assert list(RewardResult(**dict.fromkeys(names, 0)).as_dict()) == names


def test_megatrons_configuration_composes(verl_config):
    config = verl_config("+rest=static", "model_engine=megatron")
    assert config.actor_rollout_ref.actor.strategy == "megatron"
    assert check_config(config) == ReSTConfig.preset("static")


def test_verls_defaults_do_not_suit_separate_async(static_config):
    mode = OmegaConf.from_dotlist([f"{MODE}=rest_separate_async"])
    with pytest.raises(ReSTConfigError, match=r"rollout\.nnodes=0: rest_separate_async"):
        check_config(OmegaConf.merge(static_config, mode))


def test_the_group_brings_the_callback(verl_config):
    with_hydra = verl_config("+rest=paper", return_hydra_config=True)
    assert (
        with_hydra.hydra.callbacks.rest_verl._target_
        == "rest_verl.integration.hydra_callback.CheckConfig"
    )


def test_the_users_arguments_win(verl_config):
    config = verl_config(
        "algorithm.adv_estimator=rloo",
        "actor_rollout_ref.actor.loss_agg_mode=token-mean",
        "algorithm.rest.w_max=1.5",
        "+rest=paper",  # wherever it stands
    )
    assert config.algorithm.adv_estimator == "rloo"
    assert config.actor_rollout_ref.actor.loss_agg_mode == "token-mean"
    assert check_config(config).w_max == 1.5


def test_in_force_lines():
    settings = {
        "algorithm.adv_estimator": "rloo",
        LOSS_MODE: "rest",
        "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
        "algorithm.rest": {"preset": "static", "w_max": 2.0},
    }
    config = tree({**SYNC, **settings})
    assert in_force(config, check_config(config), "rest_sync") == [
        "[rest] trainer rest_sync, weights: preset static with w_max=2.0",
        "[rest] advantage rloo, loss rest, aggregation token-mean (paper: seq-mean-token-mean)",
    ]
    config["actor_rollout_ref"]["actor"]["loss_agg_mode"] = "seq-mean-token-mean"
    assert in_force(config, check_config(config), "rest_sync")[1].endswith("seq-mean-token-mean")


def test_a_preset_as_it_is_has_nothing_to_add():
    assert describe_weights({}, ReSTConfig()) == "preset paper"
