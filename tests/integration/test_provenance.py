"""Whose word counts on the trainer's mode and the loss's mean, in every place it can be written."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import verl
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from users_configs import AGGREGATION, FILE, MODE, OWN, UsersConfig, mine, settings

from rest_verl.integration import hydra_callback
from rest_verl.integration.dry_run import compose_config
from rest_verl.integration.hydra_callback import CheckConfig
from rest_verl.integration.provenance import USERS_OWN, settle_users_own
from rest_verl.integration.run_checks import Examined

VERLS = Path(verl.__path__[0]) / "trainer" / "config"
SEPARATE = {"mode": "rest_separate_async", "mode_from": f"{FILE}: separate_async"}
WITH_REST = (*OWN, "+rest=paper")
SEARCHPATH = "hydra.searchpath=[file://{folder}]"
NAMES = "other: {mode: separate_async, ours: rest_separate_async, mean: token-mean}\n"
OURS = f"# @package _global_\n{settings('rest_separate_async', 'token-mean')}"
BOTH = mine(mode="separate_async", aggregation="token-mean")


def composed(folder, name, *overrides):
    """As Hydra hands a configuration to the callback."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), job_name="main_ppo", version_base=None):
        return compose(name, overrides=list(overrides), return_hydra_config=True)


def settled(folder, start):
    """A configuration after `settle_users_own`, and the lines for the log."""
    arguments = start.written(folder)
    own = arguments[:1] == ["--config-path"]
    overrides = arguments[len(OWN) :] if own else arguments
    name = "mine" if own else "ppo_trainer"
    GlobalHydra.instance().clear()
    with initialize_config_dir(
        str(folder if own else VERLS), job_name="main_ppo", version_base=None
    ):
        config = compose(name, overrides=overrides, return_hydra_config=True)
        return config, settle_users_own(config, name, overrides)


# The common ways are in users_configs.STARTS, which test_main_ppo.py starts for real.
PLACES = {
    "a reference to another option": UsersConfig(
        {"mine.yaml": mine(mode='"${other.mode}"')["mine.yaml"] + NAMES}, WITH_REST, **SEPARATE
    ),
    # not rest_rest_separate_async
    "a reference to one of ResT's names": UsersConfig(
        {"mine.yaml": mine(mode='"${other.ours}"')["mine.yaml"] + NAMES},
        WITH_REST,
        mode="rest_separate_async",
        mode_from=FILE,
    ),
    "a reference for the mean": UsersConfig(
        {"mine.yaml": mine(aggregation='"${other.mean}"')["mine.yaml"] + NAMES},
        WITH_REST,
        aggregation="token-mean",
        aggregation_from=FILE,
    ),
    # check_config then says what there is; a name of our making would hide the user's
    "a mode that nobody has": UsersConfig(
        mine(mode="theirs"), WITH_REST, mode="theirs", mode_from=FILE
    ),
    "a file in a package of its own": UsersConfig(
        {"exp/b.yaml": "# @package trainer.v1\ntrainer_mode: separate_async\n"},
        ("+exp=b", "+rest=paper", SEARCHPATH),
        mode="rest_separate_async",
        mode_from="{folder}/exp/b.yaml: separate_async",
    ),
    "a group put under the option's parent": UsersConfig(
        {"modes/c.yaml": "trainer_mode: separate_async\n"},
        ("+modes@trainer.v1=c", "+rest=paper", SEARCHPATH),
        mode="rest_separate_async",
        mode_from="{folder}/modes/c.yaml: separate_async",
    ),
    "a file that is put elsewhere says nothing of the option": UsersConfig(
        {"exp/d.yaml": f"# @package elsewhere\n{settings('separate_async')}"},
        ("+exp=d", "+rest=paper", SEARCHPATH),
    ),
    "a file in place of one of verl's": UsersConfig(
        {"actor/own.yaml": "defaults: [dp_actor, _self_]\nloss_agg_mode: token-mean\n"},
        ("actor@actor_rollout_ref.actor=own", "+rest=paper", SEARCHPATH),
        aggregation="token-mean",
        aggregation_from="{folder}/actor/own.yaml",
    ),
    "a file that takes the group in": UsersConfig(
        mine("ppo_trainer", "_self_", "/exp: e")
        | {"exp/e.yaml": f"# @package _global_\ndefaults: [/rest: paper]\n{settings('sync')}"},
        OWN,
        mode_from="{folder}/exp/e.yaml: sync",
    ),
    "two files: the later one": UsersConfig(
        BOTH | {"exp/f.yaml": f"# @package _global_\n{settings(aggregation='seq-mean-token-sum')}"},
        (*OWN, "+exp=f", "+rest=paper"),
        aggregation="seq-mean-token-sum",
        aggregation_from="{folder}/exp/f.yaml",
        **SEPARATE,
    ),
    # verl's file behind it has the last word without +rest, so that word is not the user's
    "a file behind which verl's comes": UsersConfig(
        mine("_self_", "ppo_trainer", mode="separate_async", aggregation="token-mean"), WITH_REST
    ),
    "a preset of the user's own": UsersConfig(
        {"rest/own.yaml": OURS.replace("_global_\n", "_global_\ndefaults: [paper, _self_]\n")},
        ("+rest=own", SEARCHPATH),
        mode="rest_separate_async",
        aggregation="token-mean",
    ),
    "within a dict on the command line": UsersConfig(
        BOTH,
        (
            *WITH_REST,
            "trainer.v1={trainer_mode: rest_colocate_async}",
            "actor_rollout_ref={actor: {loss_agg_mode: seq-mean-token-sum}}",
        ),
        "rest_colocate_async",
        "command line",
        "seq-mean-token-sum",
        "command line",
    ),
    "a dict on the command line with something else": UsersConfig(
        BOTH,
        (*WITH_REST, "trainer.v1={sampler: {max_off_policy_threshold: 2}}"),
        aggregation="token-mean",
        aggregation_from=FILE,
        **SEPARATE,
    ),
    "forced and quoted on the command line": UsersConfig(
        BOTH,
        (*WITH_REST, f"++{MODE}=rest_colocate_async", f"{AGGREGATION}='seq-mean-token-sum'"),
        "rest_colocate_async",
        "command line",
        "seq-mean-token-sum",
        "command line",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_last_word_is_the_users(tmp_path, place):
    start = PLACES[place]
    config, lines = settled(tmp_path, start)
    assert OmegaConf.select(config, MODE) == start.mode
    assert OmegaConf.select(config, AGGREGATION) == start.aggregation
    assert lines == start.lines(tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_the_dry_run_says_the_same(tmp_path, place):
    config, _ = compose_config(PLACES[place].written(tmp_path))
    assert OmegaConf.select(config, MODE) == PLACES[place].mode
    assert OmegaConf.select(config, AGGREGATION) == PLACES[place].aggregation


def test_nothing_else_changes(tmp_path):
    start = UsersConfig(BOTH, WITH_REST)
    config, _ = settled(tmp_path, start)
    before = composed(tmp_path, "mine", "+rest=paper")
    assert OmegaConf.is_struct(config)
    OmegaConf.set_struct(config, False)
    OmegaConf.set_struct(before, False)
    for key in USERS_OWN:
        assert OmegaConf.select(before, key) != OmegaConf.select(config, key)
        OmegaConf.update(before, key, OmegaConf.select(config, key))
    del before["hydra"], config["hydra"]  # which holds the time
    assert before == config


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"--config-dir /not/there: no such folder"):
        compose_config(["--config-dir", "/not/there", "+rest=paper"])


# ---- the callback -------------------------------------------------------------------------------


def test_the_callback_settles_and_says_so(tmp_path, capsys):
    start = UsersConfig(
        BOTH, WITH_REST, aggregation="token-mean", aggregation_from=FILE, **SEPARATE
    )
    start.written(tmp_path)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path), job_name="main_ppo", version_base=None):
        config = compose("mine", overrides=["+rest=paper"], return_hydra_config=True)
        CheckConfig().on_run_start(config, config_name="mine")
    assert OmegaConf.select(config, MODE) == "rest_separate_async"
    said = capsys.readouterr().out.splitlines()
    assert said[: len(USERS_OWN)] == start.lines(tmp_path)  # then what is brought


def test_what_cannot_be_settled_stops_the_run(tmp_path, monkeypatch):
    # Hydra would make a warning of any other exception, and the preset would win in silence
    monkeypatch.setattr(hydra_callback, "settle_users_own", lambda *_: {}["gone"])
    config = composed(VERLS, "ppo_trainer", "+rest=paper")
    with pytest.raises(SystemExit, match=r"^rest_verl: cannot tell where .*KeyError: 'gone'$"):
        CheckConfig().on_run_start(config, config_name="ppo_trainer")


def start_sweeps_job(folder, *overrides):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), job_name="main_ppo", version_base=None):
        overrides = ["hydra.mode=MULTIRUN", "+rest=paper", *overrides]
        config = compose("mine", overrides=overrides, return_hydra_config=True)
        CheckConfig().on_job_start(config, task_function=SimpleNamespace())


def test_a_sweep_that_would_lose_the_users_word_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hydra_callback, "examine", lambda *_: Examined([], []))
    # Hydra composes each of its jobs anew, after the only moment at which it could be put back
    UsersConfig(mine(aggregation="token-mean"), ()).written(tmp_path)
    with pytest.raises(SystemExit, match=rf"mine\.yaml\) cannot be kept.*set {AGGREGATION}=token-"):
        start_sweeps_job(tmp_path)
    start_sweeps_job(tmp_path, f"{AGGREGATION}=token-mean")  # nothing to lose
    start_sweeps_job(tmp_path, f"{AGGREGATION}=seq-mean-token-sum")
