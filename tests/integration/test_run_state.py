"""What ResT keeps in verl's checkpoints, and which checkpoint it reads."""

import json
import math
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.algorithm.regions import Region
from rest_verl.integration.run_state import (
    STATE_FILE,
    checkpoint_to_resume,
    read_state,
    step_of,
    write_state,
)

NAMES = [region.name.lower() for region in Region]


def test_the_state_comes_back_to_the_last_bit(tmp_path):
    clock = Clock(horizon=50.0).resumed(105, 25)
    memory = EntropyMemory(share=0.9, entropy={"format": 0.1 + 0.2, "think": 1 / 3})
    write_state(tmp_path / "global_step_25", clock, memory)
    assert read_state(tmp_path / "global_step_25") == (clock, memory.entropy)


@given(
    entropy=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 20)),
    horizon=st.floats(1, 1e6),
    step=st.integers(1, 1000),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_state_comes_back_to_the_last_bit(tmp_path, entropy, horizon, step):
    clock = Clock(horizon=math.pi * step).resumed(horizon, step)
    write_state(tmp_path, clock, EntropyMemory(share=0.5, entropy=dict(entropy)))
    found_clock, found_entropy = read_state(tmp_path)
    assert found_clock == clock
    assert {name: value.hex() for name, value in found_entropy.items()} == {
        name: value.hex() for name, value in entropy.items()
    }


def test_a_second_save_of_a_step_takes_the_place_of_the_first(tmp_path):
    write_state(tmp_path, Clock(horizon=9.0), EntropyMemory(share=0.5, entropy={"name": 1.0}))
    write_state(tmp_path, Clock(horizon=7.0), EntropyMemory(share=0.5))
    assert read_state(tmp_path) == (Clock(horizon=7.0), {})
    assert [file.name for file in tmp_path.iterdir()] == [STATE_FILE]


@pytest.mark.parametrize("folder", [None, "absent", "empty"])
def test_a_checkpoint_of_another_trainer_has_none(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert read_state(folder and tmp_path / folder) == (None, {})


CLOCK = {"horizon": 50.0, "anchors": [[0.0, 0.0]]}
DAMAGED = {
    "empty": "",
    "cut off": '{"clock": {"horizon": 50.0, "anc',
    "a list": "[]",
    "nothing in it": "{}",
    "no clock": json.dumps({"entropy": {}}),
    "an empty clock": json.dumps({"clock": {}, "entropy": {}}),
    "no entropies": json.dumps({"clock": CLOCK}),
    "entropies in a list": json.dumps({"clock": CLOCK, "entropy": [1.0]}),
    "an entropy of no region": json.dumps({"clock": CLOCK, "entropy": {"naem": 1.0}}),
    "an entropy that is none": json.dumps({"clock": CLOCK, "entropy": {"name": None}}),
    "an entropy that is not a number": json.dumps({"clock": CLOCK, "entropy": {"name": math.nan}}),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_state_is_named_with_the_mend(tmp_path, damage):
    (tmp_path / STATE_FILE).write_text(DAMAGED[damage])
    with pytest.raises(
        ValueError, match=rf"{STATE_FILE}: no state of ResT.*remove the file"
    ) as raised:
        read_state(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_bytes_that_are_no_text_are_damage_too(tmp_path):
    (tmp_path / STATE_FILE).write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match="no state of ResT"):
        read_state(tmp_path)


# ---- which checkpoint ---------------------------------------------------------------------------


def config_of(folder, mode, path=None):
    trainer = {"resume_mode": mode, "default_local_dir": str(folder), "resume_from_path": path}
    return OmegaConf.create({"trainer": {**trainer, "del_local_ckpt_after_load": False}})


def verls(config):
    """Folder and step that verl's own trainer resumes from; None and 0 where it does not."""
    trainer = MagicMock(
        spec_set=["actor_rollout_wg", "use_critic", "trainer_mode", "config", "global_steps"]
    )
    trainer.config, trainer.use_critic, trainer.trainer_mode = config, False, "sync"
    PPOTrainer._load_checkpoint(trainer)
    calls = trainer.actor_rollout_wg.load_checkpoint.mock_calls
    folder = Path(calls[0].kwargs["local_path"]).parent if calls else None
    return folder, trainer.global_steps


def make(folder, *names, latest=None):
    for name in names:
        (folder / name).mkdir(parents=True)
    if latest is not None:
        (folder / "latest_checkpointed_iteration.txt").write_text(latest)


# what there is, the tracker, then mode and path -> the checkpoint's name
PLACES = {
    "nothing yet": ([], None, "auto", None, None),
    "the tracker's, not the highest": (
        ["global_step_2", "global_step_10", "global_step_30"], "10", "auto", None, "global_step_10",
    ),
    "a tracker whose folder is gone": (["global_step_2"], "10", "auto", None, None),
    "folders that were never completed": (["global_step_2"], None, "auto", None, None),
    "disabled": (["global_step_2"], "2", "disable", None, None),
    "a path": (
        ["global_step_2", "global_step_9"], "9", "resume_path", "global_step_2", "global_step_2",
    ),
    "a renamed copy": (
        ["best_global_step_2"], None, "resume_path", "best_global_step_2", "best_global_step_2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_relative", [False, True], ids=["absolute", "relative"])
@pytest.mark.parametrize("place", PLACES)
def test_the_checkpoint_is_the_one_that_verl_resumes_from(
    tmp_path, monkeypatch, place, is_relative
):
    names, latest, mode, path, expected = PLACES[place]
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "runs", *names, latest=latest)
    folder = "runs" if is_relative else tmp_path / "runs"
    config = config_of(folder, mode, path and f"{folder}/{path}")
    found = checkpoint_to_resume(config)
    assert found == (None if expected is None else tmp_path / "runs" / expected)
    assert (found, 0 if found is None else step_of(found)) == verls(config)


@pytest.mark.parametrize("path", [None, "final", "12", "global_step_", "x/global_step_12/actor"])
def test_a_path_that_verl_refuses_is_refused_before_any_worker_starts(tmp_path, path):
    config = config_of(tmp_path, "resume_path", path)
    with pytest.raises((AssertionError, ValueError)):
        verls(config)
    with pytest.raises(ValueError, match=rf"resume_from_path={path}: .*ends in global_step_<step>"):
        checkpoint_to_resume(config)
