"""verl's checkpoints, in which ResT keeps its state: what is written, and which one is resumed."""

import re
from unittest.mock import MagicMock

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

from rest_verl.integration.run_state import STATE_FILE, checkpoint_to_resume, step_of


@pytest.fixture
def trainer(compose_verl, tmp_path):
    """What verl's methods for checkpoints see of a trainer, at step 12."""
    trainer = MagicMock(use_critic=False, trainer_mode="sync", global_steps=12)
    trainer.config = compose_verl(f"trainer.default_local_dir={tmp_path}")
    trainer.train_dataloader.state_dict.return_value = {}
    return trainer


def test_a_checkpoint_is_a_folder_that_may_hold_a_file_of_ours(trainer, tmp_path):
    folder = tmp_path / "global_step_12"
    folder.mkdir()
    (folder / STATE_FILE).write_text("{}")
    PPOTrainer._save_checkpoint(trainer)
    assert {file.name for file in folder.iterdir()} == {STATE_FILE, "data.pt"}
    (path, *_), _ = trainer.actor_rollout_wg.save_checkpoint.call_args
    assert path == str(folder / "actor")
    assert find_latest_ckpt_path(str(tmp_path)) == str(folder)


def test_a_checkpoint_counts_once_it_is_complete(trainer, tmp_path):
    """Why our state is written before verl's own: what is cut off is not resumed from."""
    trainer.train_dataloader.state_dict.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        PPOTrainer._save_checkpoint(trainer)
    assert (tmp_path / "global_step_12").is_dir()
    assert find_latest_ckpt_path(str(tmp_path)) is None


RESUMED = {
    "auto": (["trainer.resume_mode=auto"], 12),
    "disable": (["trainer.resume_mode=disable"], 0),
    "resume_path": (
        ["trainer.resume_mode=resume_path", "trainer.resume_from_path={}/global_step_4"],
        4,
    ),
}


@pytest.mark.parametrize("mode", RESUMED)
def test_verl_resumes_from_the_folder_that_we_read(trainer, compose_verl, tmp_path, mode):
    settings, step = RESUMED[mode]
    PPOTrainer._save_checkpoint(trainer)
    (tmp_path / "global_step_4").mkdir()
    settings = [setting.format(tmp_path) for setting in settings]
    trainer.config = compose_verl(f"trainer.default_local_dir={tmp_path}", *settings)
    PPOTrainer._load_checkpoint(trainer)
    assert trainer.global_steps == step
    folder = checkpoint_to_resume(trainer.config)
    assert folder == (tmp_path / f"global_step_{step}" if step else None)
    assert (step_of(folder) if folder else 0) == step


def test_a_first_run_resumes_from_nothing(trainer, compose_verl, tmp_path):
    trainer.config = compose_verl(f"trainer.default_local_dir={tmp_path}/none")
    assert trainer.config.trainer.resume_mode == "auto"  # verl's default
    PPOTrainer._load_checkpoint(trainer)
    assert trainer.global_steps == 0
    assert checkpoint_to_resume(trainer.config) is None


def test_verl_refuses_a_path_that_names_no_step(trainer, compose_verl, tmp_path):
    trainer.config = compose_verl(
        "trainer.resume_mode=resume_path", f"trainer.resume_from_path={tmp_path}/final"
    )
    with pytest.raises(AssertionError, match=re.escape("must specify the global_steps")):
        PPOTrainer._load_checkpoint(trainer)
