"""verl's own advantage step with ResT behind it: rollout correction, sessions, penalties."""

import numpy as np
import pytest
import torch
from advantage_step import (
    BATCH,
    GRPO,
    KEYS,
    ReSTTrainer,
    advantage_step,
    assert_rows_equal,
    float32,
)
from recorded_batch import REWARDS
from torch.nn.utils.rnn import pad_sequence
from verl.trainer.ppo.rollout_corr_helper import SUPPORTED_ROLLOUT_RS_OPTIONS
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl_loss_path import COLUMN

from rest_verl.algorithm.weighting import ReSTConfig, token_weights


def test_refused_pf_ppo_gives_rows_the_advantages_of_others(monkeypatch):
    torch.manual_seed(0)
    settings = ("algorithm.adv_estimator=gae", "algorithm.lam=0.9")
    plain = advantage_step(PPOTrainerSync, monkeypatch, *settings)
    resampled = advantage_step(PPOTrainerSync, monkeypatch, *settings, "algorithm.use_pf_ppo=True")
    assert torch.equal(resampled.columns["responses"].values(), plain.columns["responses"].values())
    changed = [
        not torch.equal(one, other)
        for one, other in zip(resampled.rows("advantages"), plain.rows("advantages"), strict=True)
    ]
    assert sum(changed) >= 3


def test_rollout_correction_by_token_is_multiplied(monkeypatch):
    queue = advantage_step(
        ReSTTrainer, monkeypatch, GRPO, "algorithm.rollout_correction.rollout_is=token"
    )
    for i, weights in enumerate(BATCH.weights("paper")):
        ratio = (BATCH.old_log_probs[i] - BATCH.log_probs[i]).exp().clamp(max=2.0).float()
        torch.testing.assert_close(queue.rows(COLUMN)[i], weights * ratio)


def test_rollout_correction_by_sequence_is_multiplied(monkeypatch):
    queue = advantage_step(
        ReSTTrainer, monkeypatch, GRPO, "algorithm.rollout_correction.rollout_is=sequence"
    )
    for i, weights in enumerate(BATCH.weights("paper")):
        log_ratio = (BATCH.old_log_probs[i] - BATCH.log_probs[i])[BATCH.masks[i]].sum()
        ratio = log_ratio.exp().clamp(max=2.0).float()
        torch.testing.assert_close(queue.rows(COLUMN)[i], weights * ratio)


# verl's ways to reject -> bounds under which they reject a part of the recorded batch
REJECTIONS = {
    "token_k1": "0.5_1.5",
    "token_k2": "0.02",
    "token_k3": "0.02",
    "seq_sum_k1": "0.2_5.0",
    "seq_sum_k2": "10.0",
    "seq_sum_k3": "10.0",
    "seq_mean_k1": "0.95_1.05",
    "seq_mean_k2": "0.25",
    "seq_mean_k3": "0.5",
    "seq_max_k2": "3.0",
    "seq_max_k3": "6.0",
}


@pytest.mark.parametrize("way", sorted(SUPPORTED_ROLLOUT_RS_OPTIONS))
def test_what_is_rejected_weighs_nothing_and_changes_no_label(monkeypatch, way):
    """Labels come from all that was sampled, entropies and weights from what is kept."""
    queue = advantage_step(
        ReSTTrainer,
        monkeypatch,
        GRPO,
        f"algorithm.rollout_correction.rollout_rs={way}",
        f"algorithm.rollout_correction.rollout_rs_threshold={REJECTIONS[way]}",
    )
    kept = pad_sequence(queue.rows("response_mask"), batch_first=True).bool()
    sampled = pad_sequence(BATCH.masks, batch_first=True)
    assert 0 < (sampled & ~kept).sum() < sampled.sum()
    regions = pad_sequence(BATCH.regions, batch_first=True, padding_value=-1)
    expected, _ = token_weights(
        regions.masked_fill(~kept, -1),
        pad_sequence(float32(BATCH.entropies), batch_first=True),
        progress=0.4,
        config=ReSTConfig.preset("paper"),
    )
    torch.testing.assert_close(pad_sequence(queue.rows(COLUMN), batch_first=True), expected)


def test_dr_grpos_advantages_keep_each_responses_total(monkeypatch):
    queue = advantage_step(
        ReSTTrainer, monkeypatch, GRPO, "algorithm.norm_adv_by_std_in_grpo=False"
    )
    means = [np.mean(REWARDS[:4])] * 4 + [np.mean(REWARDS[4:])] * 4
    for i, (advantage, weights) in enumerate(
        zip(queue.rows("advantages"), queue.rows(COLUMN), strict=True)
    ):
        expected = (REWARDS[i] - means[i]) * BATCH.masks[i].sum().item()
        assert (advantage * weights).sum().item() == pytest.approx(expected, abs=1e-4)


def test_outputs_of_one_session_share_the_advantage_and_are_weighted_each(monkeypatch):
    # row 0 is an earlier output of the session whose last is row 1
    keys = ["a_0_0", "a_0_1", "a_1_0", "a_2_0", *KEYS[4:]]
    queue = advantage_step(ReSTTrainer, monkeypatch, GRPO, keys=keys)
    first, second, third, *_ = queue.rows("advantages")
    assert first[BATCH.masks[0]].unique().tolist() == second[BATCH.masks[1]].unique().tolist()
    assert first[0] != third[0]
    assert_rows_equal(queue.rows(COLUMN), BATCH.weights("paper"))


def test_a_kl_penalty_in_the_reward_changes_advantages_only(monkeypatch):
    monkeypatch.setattr(
        PPOTrainerSync, "kl_ctrl_in_reward", trainer_base.core_algos.FixedKLController(0.1), False
    )
    settings = ("algorithm.adv_estimator=reinforce_plus_plus", "algorithm.use_kl_in_reward=True")
    queue = advantage_step(ReSTTrainer, monkeypatch, *settings)
    plain = advantage_step(ReSTTrainer, monkeypatch, settings[0])
    assert not torch.equal(queue.rows("advantages")[0], plain.rows("advantages")[0])
    assert_rows_equal(queue.rows(COLUMN), BATCH.weights("paper"))
