"""Where a ResT run's files go, and what it writes down of itself."""

import json

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict
from test_provenance import VERLS, composed

from rest_verl.algorithm.clock import Clock
from rest_verl.files.run_folder import open_run
from rest_verl.integration import run_record
from rest_verl.integration.run_record import LOGGER, VALIDATIONS, bring_files, run_folder, write_run

PATH = "ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH"
FOLDER = "trainer.default_local_dir=/runs/a/checkpoints"
BROUGHT = {
    VALIDATIONS: "/runs/a/validation",
    LOGGER: ["console", "wandb", "file"],
    PATH: "/runs/a/verl_metrics.jsonl",
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("VERL_FILE_LOGGER_PATH", "VERL_FILE_LOGGER_ROOT"):
        monkeypatch.delenv(name, raising=False)


def brought(folder, name, *overrides):
    overrides = [FOLDER, "+rest=paper", *overrides]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), job_name="main_ppo", version_base=None):
        config = compose(name, overrides=overrides, return_hydra_config=True)
        before = OmegaConf.to_container(config, resolve=False)
        lines = bring_files(config, name, overrides)
    after = OmegaConf.to_container(config, resolve=False)
    found = {key: OmegaConf.select(config, key) for key in BROUGHT}
    changed = {
        key: value
        for key, value in found.items()
        if value != OmegaConf.select(OmegaConf.create(before), key)
    }
    assert [line.split("=")[0] for line in lines] == [f"[rest] {key}" for key in changed]
    assert (before == after) == (not changed)
    return changed


@pytest.mark.parametrize(
    ("overrides", "users"),
    [
        pytest.param([], set(), id="nothing of the user's"),
        pytest.param(["trainer.logger=[console]"], {LOGGER, PATH}, id="loggers"),
        pytest.param(["trainer.validation_data_dir=null"], {VALIDATIONS}, id="no dump wanted"),
        pytest.param([f"+{PATH}=/x.jsonl"], {PATH}, id="the metrics' file"),
    ],
)
def test_what_the_user_has_set_stays(overrides, users):
    expected = {key: value for key, value in BROUGHT.items() if key not in users}
    assert brought(VERLS, "ppo_trainer", *overrides) == expected


def test_a_file_of_the_users_counts_as_well(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "hydra: {searchpath: [pkg://verl.trainer.config]}\n"
        "defaults: [ppo_trainer, _self_]\ntrainer: {logger: [console, tensorboard]}\n"
    )
    assert brought(tmp_path, "mine") == {VALIDATIONS: BROUGHT[VALIDATIONS]}


def test_a_variable_of_the_users_says_where_metrics_go(monkeypatch):
    monkeypatch.setenv("VERL_FILE_LOGGER_ROOT", "/elsewhere")
    assert PATH not in brought(VERLS, "ppo_trainer")


@pytest.mark.parametrize(
    ("checkpoints", "folder"),
    [("/runs/a/checkpoints", "/runs/a"), ("/checkpoints/project/a", "/checkpoints/project/a")],
)
def test_the_folder_is_that_of_the_checkpoints(checkpoints, folder):
    config = OmegaConf.create({"trainer": {"default_local_dir": checkpoints}})
    assert str(run_folder(config)) == folder


@pytest.fixture
def config(tmp_path):
    """verl's configuration as a trainer has it: without Hydra's section, verl's trainer mode."""
    composed_config = composed(
        VERLS,
        "ppo_trainer",
        "+rest=static",
        f"trainer.default_local_dir={tmp_path}/checkpoints",
        f"trainer.rollout_data_dir={tmp_path}/rollouts",
        "trainer.validation_data_dir=/elsewhere",
        "trainer.logger=[console,file]",
        "trainer.v1.trainer_mode=sync",
        "actor_rollout_ref.model.path=org/model",
        "data.train_files=[a.parquet]",
        "+ray_kwargs.ray_init.runtime_env.env_vars.WANDB_API_KEY=hidden",
    )
    GlobalHydra.instance().clear()
    with open_dict(composed_config):
        del composed_config["hydra"]
    return composed_config


def test_what_a_run_writes_down(config, tmp_path, monkeypatch):
    monkeypatch.setattr(run_record, "commits", lambda: {"rest_verl": "abc"})
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(tmp_path / "verl_metrics.jsonl"))
    for _ in range(2):  # resumed
        write_run(config, "rest_sync", Clock(horizon=36.0), 36)
    about = json.loads((tmp_path / "run.json").read_text())
    starts = about.pop("starts")
    assert about == {
        "trainer": "rest_sync",
        "preset": "static",
        "model": "org/model",
        "steps": 36,
        "clock": {"horizon": 36.0, "anchors": [[0.0, 0.0]]},
        "rest": OmegaConf.to_container(config.algorithm.rest),
        "chat_template_kwargs": {},
        "tool_env": {},
        "train_files": ["a.parquet"],
        "val_files": config.data.val_files,
        "files": {
            "metrics": "verl_metrics.jsonl",
            "rollouts": "rollouts",
            "validation": "/elsewhere",
            "checkpoints": "checkpoints",
        },
    }
    assert [start["commits"] for start in starts] == [{"rest_verl": "abc"}] * 2
    assert starts[0]["packages"]["verl"] == "0.9.1"
    assert open_run(tmp_path).text("preset") == "static"


def test_the_configuration_comes_back_without_secrets(config, tmp_path):
    write_run(config, "rest_sync", Clock(horizon=36.0), 36)
    text = (tmp_path / "config.yaml").read_text()
    assert "hidden" not in text
    written = OmegaConf.create(text)
    assert written.trainer.v1.trainer_mode == "rest_sync"  # with which it can be started again
    assert written.algorithm.rest == config.algorithm.rest
    assert "${" not in text
