"""Which configurations and command lines ResT refuses, and with which words."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from rest_verl.algorithm.presets import PRESETS, ReSTConfig
from rest_verl.checks import (
    ReSTConfigError,
    check_arguments,
    check_config,
    describe_weights,
    in_force,
    uses_rest,
)
from rest_verl.hydra_callback import CheckConfig

SYNC = {"trainer.v1.trainer_mode": "rest_sync"}
LOSS_MODE = "actor_rollout_ref.actor.policy_loss.loss_mode"
BYPASS = "algorithm.rollout_correction.bypass_mode"


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


@pytest.mark.parametrize("loss_mode", ["vanilla", "rest", "gspo", "clip_cov", None])
def test_other_loss_modes_pass(loss_mode):
    assert check_config(tree({**SYNC, LOSS_MODE: loss_mode})) == ReSTConfig()


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


def test_the_group_brings_the_callback(verl_config):
    with_hydra = verl_config("+rest=paper", return_hydra_config=True)
    assert with_hydra.hydra.callbacks.rest_verl._target_ == "rest_verl.hydra_callback.CheckConfig"


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
