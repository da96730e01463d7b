"""What ResT keeps in verl's checkpoints, and which checkpoint it reads."""

import pytest
from omegaconf import OmegaConf

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.integration.run_state import (
    STATE_FILE,
    checkpoint_to_resume,
    read_state,
    step_of,
    write_state,
)


def test_the_state_comes_back_to_the_last_bit(tmp_path):
    clock = Clock(horizon=50.0).resumed(105, 25)
    memory = EntropyMemory(share=0.9, entropy={"format": 0.1 + 0.2, "think": 1 / 3})
    write_state(tmp_path / "global_step_25", clock, memory)
    assert read_state(tmp_path / "global_step_25") == (clock, memory.entropy)


@pytest.mark.parametrize("folder", [None, "empty"])
def test_a_checkpoint_of_another_trainer_has_none(tmp_path, folder):
    assert read_state(folder and tmp_path / folder) == (None, {})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"clock": {}, "entropy": {}}', "{nope"])
def test_a_damaged_state_is_named_with_the_mend(tmp_path, text):
    (tmp_path / STATE_FILE).write_text(text)
    with pytest.raises(ValueError, match=rf"{STATE_FILE}: no state of ResT.*remove the file"):
        read_state(tmp_path)


def config_of(folder, mode, path=None):
    trainer = {"resume_mode": mode, "default_local_dir": str(folder), "resume_from_path": path}
    return OmegaConf.create({"trainer": trainer})


def test_the_checkpoint_is_the_one_that_verl_resumes_from(tmp_path):
    assert checkpoint_to_resume(config_of(tmp_path, "auto")) is None
    for step in (2, 10):
        (tmp_path / f"global_step_{step}").mkdir()
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("10")
    latest = checkpoint_to_resume(config_of(tmp_path, "auto"))
    assert latest == tmp_path / "global_step_10"
    assert step_of(latest) == 10
    assert checkpoint_to_resume(config_of(tmp_path, "disable")) is None
    chosen = str(tmp_path / "global_step_2")
    assert checkpoint_to_resume(config_of(tmp_path, "resume_path", chosen)) == (
        tmp_path / "global_step_2"
    )
