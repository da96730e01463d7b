"""Which configurations and command lines ResT refuses, and with which words."""

from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest
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
    uses_rest,
)
from rest_verl.integration.estimator_checks import (
    BACKENDS_WITHOUT_SQUARES,
    INCOMPATIBLE_ESTIMATORS,
    TOKEN_BASELINES,
)
from rest_verl.integration.hydra_callback import CheckConfig
from rest_verl.rewards import RewardResult

SYNC = {"trainer.v1.trainer_mode": "rest_sync"}
MODE = "trainer.v1.trainer_mode"
LOSS_MODE = "actor_rollout_ref.actor.policy_loss.loss_mode"
BYPASS = "algorithm.rollout_correction.bypass_mode"
ROLLOUT = "actor_rollout_ref.rollout"
DISTILLATION = "distillation.distillation_loss"
ESTIMATOR = "algorithm.adv_estimator"
KEYS = "algorithm.gdpo_reward_keys"
GDPO = {**SYNC, ESTIMATOR: "gdpo", KEYS: ["format", "correctness"]}
REST_MANAGER = {
    "reward.reward_manager.name": "rest",
    "reward.custom_reward_function.path": None,
}
REJECTION = "algorithm.rollout_correction.rollout_rs"
FUSED = "actor_rollout_ref.model.use_fused_kernels"
STRATEGY = "actor_rollout_ref.actor.strategy"
POOL = "reward.reward_model.enable_resource_pool"
# what verl asserts of a separate_async run
SEPARATE = {
    MODE: "rest_separate_async",
    "data.train_batch_size": 64,
    "trainer.v1.separate_async.parameter_sync_step": 4,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 16,
    f"{ROLLOUT}.nnodes": 1,
    f"{ROLLOUT}.n_gpus_per_node": 8,
    f"{ROLLOUT}.checkpoint_engine.backend": "nccl",
}


def tree(settings: dict) -> dict:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    root: dict = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        node = root
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = value
    return root


# settings, what the message names, the mend
REFUSED = [
    ({**SYNC, "trainer.use_v1": False}, "trainer.use_v1=False", "set trainer.use_v1=True"),
    (
        {"trainer.v1.trainer_mode": "sync"},
        "trainer.v1.trainer_mode=sync",
        "Set trainer.v1.trainer_mode=rest_sync",
    ),
    ({}, "trainer.v1.trainer_mode=sync", "add +rest=paper"),  # verl's default
    ({MODE: "colocate_async"}, f"{MODE}=colocate_async", f"Set {MODE}=rest_colocate_async"),
    ({MODE: "mine"}, f"{MODE}=mine", f"Set {MODE}=rest_sync"),
    ({MODE: "rest_colocated_async"}, "no such trainer", "did you mean rest_colocate_async?"),
    (
        {MODE: "rest_x"},
        f"{MODE}=rest_x",
        "known: rest_sync, rest_colocate_async, rest_separate_async",
    ),
    (
        {**SEPARATE, "data.train_batch_size": 128},
        "data.train_batch_size=128",
        "Set data.train_batch_size=64",
    ),
    ({**SEPARATE, f"{ROLLOUT}.nnodes": 0}, f"{ROLLOUT}.nnodes=0", "take rest_colocate_async"),
    ({**SEPARATE, f"{ROLLOUT}.n_gpus_per_node": 0}, f"{ROLLOUT}.n_gpus_per_node=0", "1 or more"),
    (
        {**SEPARATE, f"{ROLLOUT}.checkpoint_engine.backend": "naive"},
        f"{ROLLOUT}.checkpoint_engine.backend=naive",
        f"Set {ROLLOUT}.checkpoint_engine.backend=nccl",
    ),
    (
        {
            **SEPARATE,
            "reward.reward_model.enable": True,
            "reward.reward_model.enable_resource_pool": False,
        },
        "reward.reward_model.enable_resource_pool=False",
        "Set reward.reward_model.enable_resource_pool=True",
    ),
    *(
        ({**SYNC, "algorithm.adv_estimator": name}, f"algorithm.adv_estimator={name}", "Use grpo")
        for name in INCOMPATIBLE_ESTIMATORS
    ),
    ({**SYNC, ESTIMATOR: "gdpo"}, f"{ESTIMATOR}=gdpo", f"Set +{KEYS}=[format,correctness]"),
    ({**GDPO, KEYS: []}, f"{ESTIMATOR}=gdpo", f"Set +{KEYS}=[format,correctness]"),
    ({**GDPO, KEYS: "format"}, f"not {KEYS}=format", f"Set +{KEYS}=[format]"),
    (
        {**GDPO, "algorithm.gdpo_reward_weights": [1.0]},
        "algorithm.gdpo_reward_weights=[1.0]",
        "Give 2, or leave algorithm.gdpo_reward_weights out",
    ),
    (
        {**GDPO, "algorithm.gdpo_reward_weights": "1,2"},
        "algorithm.gdpo_reward_weights=1,2",
        "one weight for each",
    ),
    (
        {**GDPO, **REST_MANAGER, KEYS: ["format", "corectness"]},
        f"{KEYS}=['format', 'corectness']",
        "did you mean correctness? known: score, format, correctness, format_ok, name_match, "
        "exact_match, num_calls;",
    ),
    (
        {**GDPO, "algorithm.use_kl_in_reward": True},
        "algorithm.use_kl_in_reward=True",
        "Set algorithm.use_kl_in_reward=False",
    ),
    (
        {**GDPO, "reward.reward_model.enable": True, POOL: False},
        f"{POOL}=False",
        f"Set {POOL}=True",
    ),
    *(
        refused
        for name in TOKEN_BASELINES
        for refused in (
            ({**SYNC, ESTIMATOR: name, FUSED: True}, f"{FUSED}=True", f"Set {FUSED}=False"),
            *(
                (
                    {**SYNC, ESTIMATOR: name, STRATEGY: backend},
                    f"{STRATEGY}={backend}",
                    f"Use fsdp2, or {ESTIMATOR}=grpo",
                )
                for backend in BACKENDS_WITHOUT_SQUARES
            ),
            *(
                (
                    {**SYNC, ESTIMATOR: name, REJECTION: way},
                    f"{REJECTION}={way}",
                    "whole sequences (seq_mean_k1)",
                )
                for way in ("token_k1", "seq_mean_k1, token_k3")
            ),
        )
    ),
    (
        {**SYNC, "algorithm.use_pf_ppo": True},
        "algorithm.use_pf_ppo=True",
        "Set algorithm.use_pf_ppo=False",
    ),
    (
        {**SYNC, "distillation.enabled": True, f"{DISTILLATION}.use_task_rewards": False},
        f"{DISTILLATION}.use_task_rewards=False",
        f"Set {DISTILLATION}.use_task_rewards=True",
    ),
    (
        {**SYNC, "distillation.enabled": True, f"{DISTILLATION}.use_policy_gradient": True},
        f"{DISTILLATION}.use_policy_gradient=True",
        f"Set {DISTILLATION}.use_policy_gradient=False",
    ),
    ({**SYNC, BYPASS: True}, f"{BYPASS}=True", f"Set {BYPASS}=False"),
    ({**SYNC, LOSS_MODE: "geo_mean"}, f"{LOSS_MODE}=geo_mean", "Use rest or vanilla"),
    ({**SYNC, LOSS_MODE: "bypass_mode"}, f"{LOSS_MODE}=bypass_mode", "Use rest or vanilla"),
    (
        {**SYNC, "algorithm.rest.gama_name": 1},
        "algorithm.rest.gama_name",
        "did you mean algorithm.rest.gamma_name?",
    ),
    ({**SYNC, "algorithm.rest.preset": "papper"}, "'papper'", "did you mean paper?"),
    ({**SYNC, "algorithm.rest.w_min": "low"}, "algorithm.rest.w_min", "must be a finite number"),
]


@pytest.mark.parametrize("as_config", [dict, OmegaConf.create], ids=["dict", "DictConfig"])
@pytest.mark.parametrize(("settings", "name", "mend"), REFUSED)
def test_refused_configurations(settings, name, mend, as_config):
    with pytest.raises(ReSTConfigError) as refusal:
        check_config(as_config(tree(settings)))
    message = str(refusal.value)
    assert name in message
    assert mend in message
    assert "\n" not in message


@pytest.mark.parametrize("loss_mode", [*WEIGHTED_LOSS_MODES, None])
def test_weighted_loss_modes_pass(loss_mode):
    assert check_config(tree({**SYNC, LOSS_MODE: loss_mode})) == ReSTConfig()


def test_a_loss_that_nothing_registered_is_refused(monkeypatch):
    core_algos = pytest.importorskip("verl.trainer.ppo.core_algos")
    with pytest.raises(ReSTConfigError, match=r"loss_mode=vanila: .* did you mean vanilla\?"):
        check_config(tree({**SYNC, LOSS_MODE: "vanila"}))
    # a library that only the workers import may register it
    external = {"actor_rollout_ref.model.external_lib": "my_losses"}
    assert check_config(tree({**SYNC, LOSS_MODE: "vanila", **external})) == ReSTConfig()
    monkeypatch.setitem(core_algos.POLICY_LOSS_REGISTRY, "mine", lambda **_: None)
    config = tree({**SYNC, LOSS_MODE: "mine"})
    line = in_force(config, check_config(config), "rest_sync")[1]
    assert "loss mine (yours: it must apply rollout_is_weights)" in line


@pytest.mark.parametrize(
    "settings",
    [
        SEPARATE,
        {MODE: "rest_colocate_async"},
        {MODE: "rest_separate_async"},  # what a command line does not set is not judged
        {**SEPARATE, "reward.reward_model.enable": True},
        # switched off, it may say what it likes
        {**SYNC, "distillation.enabled": False, f"{DISTILLATION}.use_policy_gradient": True},
        {**SYNC, "distillation.enabled": True, f"{DISTILLATION}.use_task_rewards": True},
        {**SYNC, "data.train_batch_size": 3},  # separate_async's rule is not sync's
        GDPO,
        {**GDPO, "algorithm.gdpo_reward_weights": [1.0, 2.0]},
        {**GDPO, KEYS: ["my_part"]},  # another reward manager's
        {**GDPO, **REST_MANAGER},
        {**GDPO, **REST_MANAGER, KEYS: ["official", "turns_right"]},  # rest_tool_env's
        {**GDPO, FUSED: True, STRATEGY: "torchtitan", REJECTION: "token_k1"},
        {**GDPO, "reward.reward_model.enable": False, POOL: False},
        *({**SYNC, ESTIMATOR: name} for name in TOKEN_BASELINES),
        *({**SYNC, ESTIMATOR: name, REJECTION: "seq_mean_k1"} for name in TOKEN_BASELINES),
        {**SYNC, ESTIMATOR: "grpo", FUSED: True, REJECTION: "token_k1"},
        {**SYNC, ESTIMATOR: TOKEN_BASELINES[0], "algorithm.use_kl_in_reward": True},
    ],
)
def test_accepted_settings(settings):
    assert check_config(tree(settings)) == ReSTConfig()


def test_accepted_configuration_gives_the_options():
    settings = {**SYNC, "trainer.use_v1": True, BYPASS: False}
    options = {"algorithm.rest.preset": "static", "algorithm.rest.w_max": 2.0}
    config = check_config(tree({**settings, **options}))
    assert (config.w_min, config.w_max, config.alpha_args) == (0.6, 2.0, 0.0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"trainer.v1.trainer_mode": "sync", LOSS_MODE: "vanilla"}, False),
        ({"reward.reward_manager.name": "rest"}, False),  # the reward works with any algorithm
        (SYNC, True),
        ({LOSS_MODE: "rest"}, True),
        ({"algorithm.adv_estimator": "rest"}, True),
        ({"algorithm.rest.w_max": 2}, True),
    ],
)
def test_uses_rest(settings, expected):
    assert uses_rest(tree(settings)) is expected


def test_callback_stops_the_run():
    # Hydra turns an Exception of a callback into a warning; SystemExit is none
    with pytest.raises(SystemExit) as stop:
        CheckConfig().on_job_start(OmegaConf.create({"trainer": {"use_v1": False}}))
    assert str(stop.value.code).startswith("rest_verl: trainer.use_v1=False")
    CheckConfig().on_job_start(OmegaConf.create(tree(SYNC)))


# arguments, what the message names, the mend
REFUSED_ARGUMENTS = [
    (["algorithm.adv_estimator=rest"], "trainer.v1.trainer_mode=sync", "add +rest=paper"),
    ([f"{LOSS_MODE}=rest"], "trainer.v1.trainer_mode=sync", "add +rest=paper"),
    # with a + Hydra accepts the option, and verl's own trainer would not look at it
    (["+algorithm.rest.w_max=2"], "trainer.v1.trainer_mode=sync", "add +rest=paper"),
    (
        ["trainer.v1.trainer_mode=rest_sync", "trainer.use_v1=False"],
        "trainer.use_v1=False",
        "set trainer.use_v1=True",
    ),
    *(
        (
            ["+rest=paper", f"{plus}algorithm.rest.gama_name=1"],
            "unknown option algorithm.rest.gama_name",
            "did you mean algorithm.rest.gamma_name?",
        )
        for plus in ("", "+", "++")
    ),
    (
        ["trainer.v1.trainer_mode=rest_sync", "algorithm.adv_estimator=gdpo"],
        "algorithm.adv_estimator=gdpo",
        f"Set +{KEYS}=[format,correctness]",
    ),
    (
        [
            "trainer.v1.trainer_mode=rest_sync",
            f"algorithm.adv_estimator={TOKEN_BASELINES[0]}",
            f"{FUSED}=True",
        ],
        f"{FUSED}=True",
        f"Set {FUSED}=False",
    ),
    (["+rest=paper", "algorithm.rest.zzz=1"], "algorithm.rest.zzz", "known: preset, scope"),
    (["+rest=paper", "algorithm.rest.preset=static"], "algorithm.rest.preset", "+rest=static"),
]


@pytest.mark.parametrize(("arguments", "name", "mend"), REFUSED_ARGUMENTS)
def test_refused_arguments(arguments, name, mend):
    with pytest.raises(ReSTConfigError) as refusal:
        check_arguments(["data.train_files=[a.parquet,b.parquet]", *arguments])
    message = str(refusal.value)
    assert name in message
    assert mend in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["algorithm.adv_estimator=grpo", "trainer.use_v1=False"],  # a run without ResT
        ["+rest=paper", "algorithm.adv_estimator=rest"],
        ["+rest=paper", "algorithm.rest.gamma_name=1.0", "++algorithm.rest.w_max=1.5"],
        ["trainer.v1.trainer_mode=rest_sync", "+algorithm.rest.w_max=1.5"],
        ["reward.reward_manager.name=rest"],
        [
            "trainer.v1.trainer_mode=rest_sync",
            "algorithm.adv_estimator=gdpo",
            f"+{KEYS}=[format,correctness]",
            "+algorithm.gdpo_reward_weights=[1,2]",
        ],
        # the group may be in that file's defaults
        ["--config-name", "mine", "algorithm.adv_estimator=rest"],
        ["--config-path=/mine", "algorithm.adv_estimator=rest"],
        ["-cn", "mine", "algorithm.adv_estimator=rest"],
        # Hydra's to refuse or to read
        ["+data.x=[1,", "~algorithm.rest.w_max", "data.y={a:b,c:${d}}", "=", "nonsense"],
    ],
)
def test_accepted_arguments(arguments):
    check_arguments(arguments)


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


def test_a_value_that_does_not_parse_is_left_to_hydra():
    check_arguments(["+rest=paper", "algorithm.rest.w_max=[1"])
