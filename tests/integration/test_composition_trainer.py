"""verl's own advantage step with ResT behind it: estimators, rollout correction, sessions."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from recorded_batch import REWARDS, TAGS, recorded_batch
from tensordict import NonTensorData, NonTensorStack, TensorDict
from torch.nn.utils.rnn import pad_sequence
from toy_tokenizers import byte_level
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.rollout_corr_helper import SUPPORTED_ROLLOUT_RS_OPTIONS
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl_loss_path import COLUMN, compose_verl, jagged

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import EntropyMemory, ReSTConfig, token_weights
from rest_verl.integration import trainer
from rest_verl.integration.checks import INCOMPATIBLE_ESTIMATORS, check_config
from rest_verl.integration.labelling import BackgroundLabels

BATCH = recorded_batch()
UIDS = ["a"] * 4 + ["b"] * 4
KEYS = [f"{uid}_{i}_0" for i, uid in enumerate(UIDS)]
REAL = [bool(mask.any()) for mask in BATCH.masks]  # but for verl's padding row
ESTIMATORS = sorted({*map(str, ADV_ESTIMATOR_REGISTRY)} - INCOMPATIBLE_ESTIMATORS.keys())


class Queue:
    """TransferQueue's key-value calls on the recorded batch, in memory."""

    def __init__(self) -> None:
        scores = [torch.zeros(len(mask)) for mask in BATCH.masks]
        for score, reward in zip(scores, REWARDS, strict=True):
            score[-1] = reward
        self.columns: dict[str, Any] = {
            "uid": NonTensorStack(*map(NonTensorData, UIDS)),
            "responses": jagged(BATCH.responses),
            "response_mask": jagged([mask.long() for mask in BATCH.masks]),
            "entropy": jagged(float32(BATCH.entropies)),
            "old_log_probs": jagged(float32(BATCH.old_log_probs)),
            "rollout_log_probs": jagged(float32(BATCH.log_probs)),
            "ref_log_prob": jagged(float32(BATCH.ref_log_probs)),
            "rm_scores": jagged(scores),
            "values": jagged([torch.linspace(0, 1, len(mask)) for mask in BATCH.masks]),
        }

    def kv_batch_get(self, keys, partition_id, select_fields) -> TensorDict:
        chosen = {name: self.columns[name] for name in select_fields if name in self.columns}
        return TensorDict(chosen, batch_size=len(keys))

    def kv_batch_put(self, keys, partition_id, fields) -> KVBatchMeta:
        self.columns.update(fields.items())
        return meta(keys)

    def rows(self, name: str) -> list[torch.Tensor]:
        return list(self.columns[name].unbind())


def float32(rows):
    return [row.float() for row in rows]


def meta(keys) -> KVBatchMeta:
    tags = [{"min_global_steps": 39, "max_global_steps": 39} for _ in keys]
    return KVBatchMeta(keys=list(keys), tags=tags, partition_id="train")


class ReSTTrainer(trainer.ReSTMixin, PPOTrainerSync):
    """The real trainer without Ray: only its advantage step runs."""


@cache
def composed():
    config = compose_verl("+rest=paper")
    OmegaConf.set_struct(config, False)
    return config


def advantage_step(cls, monkeypatch, *settings: str, keys=KEYS) -> Queue:
    """Runs `cls`'s advantage step under verl's composed configuration; returns the queue."""
    queue, config = Queue(), OmegaConf.merge(composed(), OmegaConf.from_dotlist(list(settings)))
    monkeypatch.setattr(trainer_base, "tq", queue)
    monkeypatch.setattr(trainer, "tq", queue)
    instance = cls.__new__(cls)
    instance.config = config
    instance.global_steps = 40
    instance.timing_raw = {}
    if cls is ReSTTrainer:
        instance.rest_config = check_config(config)
        instance.labels = BackgroundLabels(RegionLabeler(byte_level(TAGS)))
        instance.clock = Clock(horizon=100)
        instance.memory = EntropyMemory(share=instance.rest_config.entropy_ema)
    instance._compute_advantage(meta(keys), {})
    return queue


def assert_rows_equal(found, expected, **tolerance) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_weights_hold_under_every_estimator(monkeypatch, estimator):
    setting = f"algorithm.adv_estimator={estimator}"
    verls = advantage_step(PPOTrainerSync, monkeypatch, setting)
    ours = advantage_step(ReSTTrainer, monkeypatch, setting)
    assert COLUMN not in verls.columns
    assert_rows_equal(ours.rows("advantages"), verls.rows("advantages"), rtol=0, atol=0)
    assert_rows_equal(ours.rows(COLUMN), BATCH.weights("paper"))


MISSING = {
    "remax": "reward_baselines",
    "gdpo": "prompts",
    "optimal_token_baseline": "sum_pi_squared",
    "tir_optimal_token_baseline": "sum_pi_squared",
}


@pytest.mark.parametrize("estimator", INCOMPATIBLE_ESTIMATORS)
def test_refused_estimators_do_not_run_in_verls_v1_trainers(monkeypatch, estimator):
    with pytest.raises((AssertionError, TypeError, KeyError, ValueError), match=MISSING[estimator]):
        advantage_step(
            PPOTrainerSync,
            monkeypatch,
            f"algorithm.adv_estimator={estimator}",
            "algorithm.gdpo_reward_keys=[format]",
        )


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


GRPO = "algorithm.adv_estimator=grpo"


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
