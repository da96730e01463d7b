"""Which configurations ResT refuses, and with which words."""

import pytest
from check_settings import (
    BYPASS,
    DISTILLATION,
    ESTIMATOR,
    FUSED,
    GDPO,
    KEYS,
    LOSS_MODE,
    MODE,
    POOL,
    REJECTION,
    REST_MANAGER,
    ROLLOUT,
    SEPARATE,
    STRATEGY,
    SYNC,
    tree,
)
from omegaconf import OmegaConf

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.integration.checks import (
    WEIGHTED_LOSS_MODES,
    ReSTConfigError,
    check_config,
    in_force,
    uses_rest,
)
from rest_verl.integration.estimator_checks import (
    BACKENDS_WITHOUT_SQUARES,
    INCOMPATIBLE_ESTIMATORS,
    TOKEN_BASELINES,
)

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
        "exact_match, num_calls, tags_valid, calls_parse, unclosed, no_call, calls_repeated;",
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
