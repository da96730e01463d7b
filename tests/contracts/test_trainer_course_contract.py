"""The course of verl's trainers that rest_verl counts on: of the start, a step and validation."""

import itertools
from unittest.mock import MagicMock

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

from verl.trainer.ppo.v1 import trainer_base

import rest_verl.plugin  # noqa: F401 (verl loads it by itself where it is installed)
from rest_verl.integration.validation_mark import VALIDATION_MARK


def without_init(name, **attributes):
    trainer = object.__new__(trainer_base.get_trainer_cls(name))
    vars(trainer).update(attributes)
    return trainer


class Reached(Exception):
    pass


def test_order_of_a_start(monkeypatch):
    """The steps are known before anything is made that is told of the clock."""
    trainer, reward_loop = MagicMock(), MagicMock()
    monkeypatch.setattr(trainer_base, "RewardLoopManager", reward_loop)
    trainer._init_resource_pool_mgr.side_effect = Reached
    with pytest.raises(Reached):
        trainer_base.PPOTrainer._setup(trainer)
    started = [name for name, *_ in trainer.method_calls]
    assert started[:2] == ["_init_tokenizer", "_init_dataloader"]
    assert not reward_loop.called


def test_the_loader_settles_the_steps(compose_verl, monkeypatch):
    monkeypatch.setattr(trainer_base, "create_rl_dataset", lambda *_, **__: list(range(13)))
    for number, total in (("null", 6), ("5", 5)):
        config = compose_verl(
            "data.train_batch_size=4",
            "data.dataloader_num_workers=0",
            "trainer.total_epochs=2",
            f"trainer.total_training_steps={number}",
        )
        trainer = without_init(
            "sync",
            config=config,
            trainer_mode="sync",
            parameter_sync_step=2,
            tokenizer=None,
            processor=None,
        )
        trainer._init_dataloader()
        assert (trainer.steps_per_epoch, trainer.total_training_steps) == (3, total)
        # What the reward's schedule goes by under verl's own trainers: updates, not steps.
        assert trainer.config.actor_rollout_ref.actor.optim.total_training_steps == 2 * total


def test_order_of_a_step():
    """Entropies come before the weights, and nothing else writes the column before the update."""
    trainer, batch = MagicMock(), MagicMock(extra_info={})
    trainer.replay_buffer.sample.return_value = (batch, {})
    trainer.use_reference_policy = trainer.use_critic = False
    trainer.config.trainer.critic_warmup, trainer.global_steps = 0, 1
    trainer_base.PPOTrainer._step_once(trainer, {}, {}, sample_batch_size=4)
    steps = [
        name for name, *_ in trainer.method_calls if name.startswith(("_comp", "_upd", "_bal"))
    ]
    assert steps == [
        "_balance_batch",  # adds padding rows
        "_compute_old_log_prob",
        "_compute_advantage",
        "_update_actor",
    ]
    for before, after in itertools.pairwise(steps):  # what is returned is gone on with
        ((given,), keywords) = getattr(trainer, after).call_args
        assert given is getattr(trainer, before).return_value
        assert set(keywords) == {"metrics"}


def test_validation_takes_whole_batches_from_the_loader(compose_verl, monkeypatch):
    trainer = without_init("rest_sync", config=compose_verl())
    loader = trainer.val_dataloader = [{"raw_prompt": np.array(["a", "b"], dtype=object)}]
    make_tensordict, batches = trainer_base.tu.get_tensordict, []

    def capture(batch):
        batches.append(make_tensordict(batch))
        raise Reached

    monkeypatch.setattr(trainer_base.tu, "get_tensordict", capture)
    with pytest.raises(Reached):
        trainer._validate()
    assert trainer.val_dataloader is loader
    # The agent loop's worker takes a row's value from a NonTensorStack as `column[i].data`.
    assert [row.data for row in batches[0].get(VALIDATION_MARK)] == [True, True]
