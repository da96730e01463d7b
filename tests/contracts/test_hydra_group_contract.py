"""rest_verl's configuration groups on verl's own configuration, and the check that they bring."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="verl is not installed")

import verl
from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobStatus, run_job
from hydra.errors import MissingConfigException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

import rest_verl.config
from rest_verl.integration import hydra_callback
from rest_verl.integration.checks import SETTINGS_READ, check_config
from rest_verl.integration.names import TRAINERS
from rest_verl.integration.overrides import composition_error
from rest_verl.integration.run_checks import Examined

FOLDER = Path(next(iter(rest_verl.config.__path__)))
GROUPS = [
    (group, file.stem) for group in ("rest", "tool_env") for file in (FOLDER / group).glob("*.yaml")
]
OURS = ("algorithm.rest", "hydra.callbacks", "actor_rollout_ref.rollout.custom")
"""What verl has no key for: its dataclasses leave the last two free, and its trainers the first."""


def leaves(node, path=""):
    """The paths of a mapping's values, without those of our own sections."""
    for key, value in node.items():
        below = f"{path}{key}"
        if below.startswith(OURS):
            continue
        if isinstance(value, Mapping | DictConfig):
            yield from leaves(value, f"{below}.")
        else:
            yield below, value


def has(config, path):
    *sections, key = path.split(".")
    section = OmegaConf.select(config, ".".join(sections))
    return section is not None and key in section


def test_a_misspelt_preset_is_answered_with_the_nearest(compose_verl):
    with pytest.raises(MissingConfigException) as caught:
        compose_verl("+rest=papr")
    assert composition_error(caught.value, compose_verl()).startswith(
        "+rest=papr: 'papr' is unknown; did you mean paper? known: calibrated, no_think, official"
    )


@pytest.mark.parametrize(("group", "name"), GROUPS)
def test_a_group_composes_and_sets_keys_of_verls_only(compose_verl, group, name):
    own = OmegaConf.load(FOLDER / group / f"{name}.yaml")
    usual, composed = compose_verl(), compose_verl(f"+{group}={name}", return_hydra_config=True)
    touched = dict(leaves(own))
    assert touched
    for path, value in touched.items():
        assert has(usual, path), path
        assert OmegaConf.select(composed, path) == value
    for path in OURS:
        assert not OmegaConf.select(usual, path)
    # A preset brings a check, which passes it.
    assert len(Callbacks(composed).callbacks) == (group == "rest")
    if group == "rest":
        check_config(composed)


def test_both_groups_are_found():
    assert {group for group, _ in GROUPS} == {"rest", "tool_env"}


class Recorder(Mapping):
    """A configuration that notes which keys are asked for: path, and whether it is there."""

    def __init__(self, config, asked, path=""):
        self.config, self.asked, self.path = config, asked, path

    def __getitem__(self, key):
        path = f"{self.path}{key}"
        self.asked[path] = key in self.config
        if not self.asked[path] or OmegaConf.is_missing(self.config, key):
            raise KeyError(key)
        value = self.config[key]
        return Recorder(value, self.asked, f"{path}.") if isinstance(value, DictConfig) else value

    def __iter__(self):
        return iter(self.config)

    def __len__(self):
        return len(self.config)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_setting_that_is_checked_is_verls(compose_verl, trainer):
    """A key that verl renamed would be read as absent, and its check would pass in silence."""
    config = compose_verl(
        f"trainer.v1.trainer_mode={trainer}",
        "reward.reward_manager.name=rest",
        "distillation.enabled=True",
        "data.train_batch_size=256",
        "trainer.v1.separate_async.parameter_sync_step=1",
        "actor_rollout_ref.rollout.nnodes=1",
        "actor_rollout_ref.rollout.checkpoint_engine.backend=nccl",
    )
    asked = {}
    check_config(Recorder(config, asked))
    assert len(asked) > 20
    assert {path for path, is_there in asked.items() if not is_there} == {
        "algorithm.rest",
        "actor_rollout_ref.rollout.custom",
        "reward.custom_reward_function.reward_kwargs",
    }


def test_verl_leaves_room_for_what_a_user_adds():
    from verl.workers.config import RolloutConfig

    assert "custom" in {field.name for field in fields(RolloutConfig)}
    sources = [file.read_text("utf-8") for file in Path(verl.__path__[0]).rglob("*.py")]
    assert any('get("reward_kwargs"' in text for text in sources)
    # The section has verl's dataclass as its _target_, which would refuse our options.
    to_dataclass = re.compile(r"(omega_conf_to_dataclass|instantiate)\([\w.]*config\.algorithm\b")
    assert not any(to_dataclass.search(text) for text in sources)


def test_every_argument_that_is_checked_sets_a_key_of_verls(compose_verl):
    usual = compose_verl()
    paths = {beginning.rstrip(".=") for beginning in SETTINGS_READ}
    ours = {"algorithm.rest", "actor_rollout_ref.rollout.custom.rest_tool_env"}
    assert {path for path in paths if not has(usual, path)} == ours


def job(config, task, tmp_path):
    """Hydra's own way from a composed configuration to the program's function."""
    OmegaConf.set_readonly(config.hydra, False)
    OmegaConf.set_struct(config, False)
    config.hydra.run.dir, config.hydra.output_subdir = str(tmp_path), None
    config.hydra.job.chdir = False
    context = HydraContext(config_loader=None, callbacks=Callbacks(config))
    return run_job(task, config, "hydra.run.dir", None, context, configure_logging=False)


def test_the_check_runs_before_the_program(compose_verl, tmp_path):
    started = []
    good = compose_verl("+rest=paper", return_hydra_config=True)
    with pytest.MonkeyPatch.context() as patch:  # verl's own configuration names no model
        patch.setattr(hydra_callback, "examine", lambda *_: Examined([], []))
        assert job(good, started.append, tmp_path).status is JobStatus.COMPLETED
    assert started[0].trainer.v1.trainer_mode == "rest_sync"
    started.clear()
    wrong = compose_verl(
        "+rest=paper", "algorithm.rollout_correction.bypass_mode=True", return_hydra_config=True
    )
    # An ordinary exception would be a mere warning to Hydra.
    with pytest.raises(SystemExit, match=r"^rest_verl: algorithm\.rollout_correction\.bypass_mode"):
        job(wrong, started.append, tmp_path)
    assert started == []
