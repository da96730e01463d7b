"""A resumed run weighs as one that went on: what a trainer remembers is in verl's checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from toy_tokenizers import one_byte_per_token
from trainer_in_memory import CALL, THOUGHT, KeyedQueue, Parent, Trainer, batch_of, jagged, written

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration import trainer as module
from rest_verl.integration.reward_options import schedule_step
from rest_verl.integration.run_state import STATE_FILE, read_state

AVERAGED = replace(ReSTConfig.preset("paper"), entropy_ema=0.7)
# by step: with calls, then thoughts alone (FORMAT and THINK), text alone, and calls again
TEXTS = [[THOUGHT + CALL, CALL], [THOUGHT, THOUGHT + "so"], ["well", "no"], [CALL, THOUGHT + CALL]]
ROWS = ["row_0", "row_1"]


def config_of(folder, epochs=4, **settings):
    own = {"reward_kwargs": {"preset": "toolrl_scheduled"}, "path": None}
    trainer = {
        "total_epochs": epochs,
        "resume_mode": "auto",
        "resume_from_path": None,
        "default_local_dir": str(folder),
        "logger": ["console"],
        "v1": {"trainer_mode": "sync"},
    }
    return OmegaConf.create(
        {
            "trainer": trainer | settings,
            "data": {"train_files": [], "val_files": []},
            "algorithm": {"rest": {"preset": "paper", "syntax": "toolrl"}},
            "actor_rollout_ref": {"model": {"path": str(folder)}},
            "reward": {"reward_manager": {"name": "rest"}, "custom_reward_function": own},
        }
    )


def started(config, rest=AVERAGED, step=0, updates=1):
    """A trainer as verl starts it: its tokenizer, then its dataloader; `step` is loaded later."""

    class Started(Trainer):
        parameter_sync_step = updates
        trainer_name = "rest_sync"

        def __init__(self):
            self.config, self.rest_config = config, rest
            self.tokenizer, self.timing_raw = one_byte_per_token(), {}
            self._init_dataloader()
            self.global_steps = step

    return Started()


@pytest.fixture
def train(monkeypatch):
    """Does training steps of recorded batches; returns each batch's column and metrics."""
    monkeypatch.delenv("VERL_PLATFORM", raising=False)

    def run(trainer, until, updates=1):
        out = []
        for step in range(trainer.global_steps + 1, until + 1):
            trainer.global_steps = step
            for update in range(updates):
                queue, metrics = recorded(step, update), {}
                monkeypatch.setattr(module, "tq", queue)
                batch = trainer._compute_old_log_prob(batch_of(ROWS, step), metrics)
                trainer._compute_advantage(batch, metrics)
                out.append((written(queue), metrics))
        return out

    return run


def recorded(step, update):
    """The batch of a step: its texts, and entropies that no other step has."""
    texts = TEXTS[step % len(TEXTS)]
    generator = torch.Generator().manual_seed(10 * step + update)
    return KeyedQueue(
        ROWS,
        responses=jagged([list(text.encode()) for text in texts]),
        response_mask=jagged([[1] * len(text) for text in texts]),
        entropy=jagged([2 * torch.rand(len(text), generator=generator) for text in texts]),
    )


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("stop", [1, 2, 5, 7])
def test_a_resumed_run_has_the_columns_of_one_that_went_on(tmp_path, train, stop, updates):
    straight = train(started(config_of(tmp_path / "a"), updates=updates), 10, updates)
    interrupted = started(config_of(tmp_path / "b"), updates=updates)
    before = train(interrupted, stop, updates)
    interrupted._save_checkpoint()
    train(interrupted, stop + 1, updates)  # what comes after the checkpoint is lost
    resumed = started(config_of(tmp_path / "b"), step=stop, updates=updates)
    after = train(resumed, 10, updates)
    assert before + after == straight
    forgetful = started(config_of(tmp_path / "c"), step=stop, updates=updates)
    assert train(forgetful, 10, updates) != after  # so the state is what makes them equal


def test_a_region_that_is_absent_keeps_its_average_over_a_checkpoint(tmp_path, train):
    trainer = started(config_of(tmp_path))
    train(trainer, 2)  # the texts of step 1 have no call, those of step 2 no region but TEXT
    assert set(trainer.memory.entropy) == {"format", "think", "text"}
    train(trainer, 3)
    seen = dict(trainer.memory.entropy)
    assert set(seen) == {"format", "name", "args", "think", "text"}
    trainer._save_checkpoint()
    resumed = started(config_of(tmp_path), step=3)
    resumed.global_steps = 5  # text alone again
    train(resumed, 6)
    changed = {name for name, value in resumed.memory.entropy.items() if value != seen[name]}
    assert changed == {"text"}


def test_two_updates_a_step_have_the_share_of_one_step(tmp_path, monkeypatch):
    # entropy 1 in a first step, then 2 in both batches of the second: 0.25 · 1 + 0.75 · 2
    quarter = replace(AVERAGED, entropy_ema=0.25)
    trainer = started(config_of(tmp_path), quarter, updates=2)
    for step, entropy in ((1, 1.0), (1, 1.0), (2, 2.0), (2, 2.0)):
        queue = recorded(1, 0)
        queue.columns["entropy"].values().fill_(entropy)
        monkeypatch.setattr(module, "tq", queue)
        trainer.global_steps = step
        trainer._compute_advantage(batch_of(ROWS, step), {})
    assert trainer.memory.entropy == pytest.approx({"format": 1.75, "think": 1.75, "text": 1.75})


def test_without_averages_nothing_is_remembered(tmp_path, train):
    trainer = started(config_of(tmp_path), ReSTConfig.preset("paper"))
    train(trainer, 3)
    trainer._save_checkpoint()
    assert read_state(tmp_path / "global_step_3") == (Clock(horizon=40.0), {})


def test_the_state_is_there_before_verl_calls_the_checkpoint_complete(tmp_path, monkeypatch):
    trainer, seen = started(config_of(tmp_path), step=7), []
    monkeypatch.setattr(
        Parent, "_save_checkpoint", lambda self: seen.extend(Path(tmp_path).rglob(STATE_FILE))
    )
    trainer._save_checkpoint()
    assert seen == [tmp_path / "global_step_7" / STATE_FILE]


# ---- the clock ----------------------------------------------------------------------------------


def test_more_epochs_go_on_from_the_progress_that_was_reached(tmp_path, train, capsys):
    trainer = started(config_of(tmp_path))
    before = [metrics["rest/progress"] for _, metrics in train(trainer, 20)]
    trainer._save_checkpoint()
    assert "progress reaches 1 at step 40 (from trainer.total_epochs=4 of 10" in said(capsys)
    resumed = started(config_of(tmp_path, epochs=8), step=20)
    assert "progress goes on from 0.500, not from 0.250" in said(capsys)
    after = [metrics["rest/progress"] for _, metrics in train(resumed, 80)]
    assert before[-1] == 0.5
    assert after[0] == pytest.approx(0.5 + 0.5 / 60)  # 60 steps are left for the other half
    assert before + after == sorted(before + after)
    assert after[-1] == 1


def said(capsys):
    return capsys.readouterr().out


def test_the_rewards_workers_get_the_clock_of_the_weights(tmp_path, train):
    trainer = started(config_of(tmp_path))
    train(trainer, 20)
    trainer._save_checkpoint()
    config = config_of(tmp_path, epochs=8)
    resumed = started(config, step=20)
    assert schedule_step(config)(20) == 75  # half of the published 150
    assert schedule_step(config)(50) == 150 * float(resumed.clock.progress(50)) == 112.5


def test_a_chosen_checkpoint_is_the_one_that_is_read(tmp_path, train):
    trainer, states = started(config_of(tmp_path)), {}
    for step in (3, 6):
        train(trainer, step)
        trainer._save_checkpoint()
        states[step] = dict(trainer.memory.entropy)
    chosen = {"resume_mode": "resume_path", "resume_from_path": f"{tmp_path}/global_step_3"}
    assert started(config_of(tmp_path, **chosen)).memory.entropy == states[3]
    assert started(config_of(tmp_path)).memory.entropy == states[6]
    assert started(config_of(tmp_path, resume_mode="disable")).memory.entropy == {}


def test_a_damaged_state_stops_the_start(tmp_path):
    trainer = started(config_of(tmp_path), step=3)
    trainer._save_checkpoint()
    (tmp_path / "global_step_3" / STATE_FILE).write_text("{")
    with pytest.raises(ValueError, match=rf"global_step_3/{STATE_FILE}: no state of ResT"):
        started(config_of(tmp_path))
