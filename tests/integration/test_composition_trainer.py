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
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, get_adv_estimator_fn
from verl.trainer.ppo.rollout_corr_helper import SUPPORTED_ROLLOUT_RS_OPTIONS
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl_loss_path import COLUMN, compose_verl, jagged

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import EntropyMemory, ReSTConfig, token_weights
from rest_verl.integration import estimators, trainer
from rest_verl.integration.checks import check_config
from rest_verl.integration.estimator_checks import (
    COMPLETED_ESTIMATORS,
    INCOMPATIBLE_ESTIMATORS,
    TOKEN_BASELINES,
)
from rest_verl.integration.labelling import BackgroundLabels

BATCH = recorded_batch()
UIDS = ["a"] * 4 + ["b"] * 4
KEYS = [f"{uid}_{i}_0" for i, uid in enumerate(UIDS)]
REAL = [bool(mask.any()) for mask in BATCH.masks]  # but for verl's padding row
NEEDY = {*COMPLETED_ESTIMATORS, *INCOMPATIBLE_ESTIMATORS}
ESTIMATORS = sorted({*map(str, ADV_ESTIMATOR_REGISTRY)} - NEEDY)
FORMAT = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
CORRECTNESS = [2.5, 1.0, -2.0, -3.0, 3.0, -1.0, -0.5, 2.5]
# The parts of the rewards; a padding row keeps those of the batch's first row.
PARTS = [
    {"score": score, "format": form, "correctness": points, "note": "text"}
    for score, form, points in zip(REWARDS, FORMAT, CORRECTNESS, strict=True)
]


def sums_of_squares() -> list[torch.Tensor]:
    """Σπ² of a model at each token of the responses: at least π², at most 1."""
    noise = torch.Generator().manual_seed(3)
    pi = [row.exp().float() for row in BATCH.old_log_probs]
    return [p**2 + torch.rand(len(p), generator=noise) * (1 - p) ** 2 for p in pi]


SQUARES = sums_of_squares()


def of_whole_rows(rows: list[torch.Tensor]) -> torch.Tensor:
    """As a model puts values out: over prompt and response, each one position early."""
    other = [torch.full((len(prompt) - 1,), 9.0) for prompt in BATCH.prompts]
    last = torch.tensor([9.0])
    return jagged([torch.cat([x, row, last]) for x, row in zip(other, rows, strict=True)])


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
            "extra_fields": NonTensorStack(
                *(NonTensorData({"reward_extra_info": parts}) for parts in PARTS)
            ),
            "sum_pi_squared": of_whole_rows(SQUARES),
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


def advantage_step(cls, monkeypatch, *settings: str, keys=KEYS, **columns) -> Queue:
    """Runs `cls`'s advantage step under verl's composed configuration; returns the queue.

    `columns` replace those of the batch; None takes one out.
    """
    queue, config = Queue(), OmegaConf.merge(composed(), OmegaConf.from_dotlist(list(settings)))
    queue.columns.update(columns)
    queue.columns = {name: rows for name, rows in queue.columns.items() if rows is not None}
    for module in (trainer_base, trainer, estimators):
        monkeypatch.setattr(module, "tq", queue)
    instance = cls.__new__(cls)
    instance.config = config
    instance.global_steps = 40
    instance.timing_raw = {}
    if cls is ReSTTrainer:
        instance.rest_config = check_config(config)
        instance.estimator = estimators.completed_estimator(config)
        instance.labeler = RegionLabeler(byte_level(TAGS))
        instance.labels = BackgroundLabels()
        instance.clock = Clock(horizon=100)
        instance.memory = EntropyMemory(share=instance.rest_config.entropy_ema)
    before = config.algorithm.adv_estimator
    try:
        instance._compute_advantage(meta(keys), {})
    finally:
        assert config.algorithm.adv_estimator == before
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


@pytest.mark.parametrize("estimator", MISSING)
def test_what_is_refused_or_completed_does_not_run_in_verls_v1_trainers(monkeypatch, estimator):
    assert MISSING.keys() == NEEDY
    with pytest.raises((AssertionError, TypeError, KeyError, ValueError), match=MISSING[estimator]):
        advantage_step(
            PPOTrainerSync,
            monkeypatch,
            f"algorithm.adv_estimator={estimator}",
            "algorithm.gdpo_reward_keys=[format]",
            sum_pi_squared=None,  # verl's v1 trainers do not ask the workers for it
        )


TWO_PARTS = "algorithm.gdpo_reward_keys=[format,correctness]"
KL_IN_REWARD = "algorithm.use_kl_in_reward=True"
CORRECTIONS = {
    "plain": (),
    "token weights": ("algorithm.rollout_correction.rollout_is=token",),
    "sequence weights": ("algorithm.rollout_correction.rollout_is=sequence",),
    "rejection": (
        "algorithm.rollout_correction.rollout_rs=seq_mean_k1",
        "algorithm.rollout_correction.rollout_rs_threshold=0.95_1.05",
    ),
    "weights and rejection": (
        "algorithm.rollout_correction.rollout_is=token",
        "algorithm.rollout_correction.rollout_rs=seq_mean_k1",
        "algorithm.rollout_correction.rollout_rs_threshold=0.95_1.05",
    ),
}


def padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return pad_sequence(rows, batch_first=True)


def by_verls_function(estimator: str, verls: Queue, settings: dict[str, Any]) -> Any:
    """verl's estimator called directly, on the padded batch with all that it asks for.

    `verls` is the queue after verl's own step under another estimator: mask, rewards, correction.
    """
    columns = verls.columns
    rewards = "token_level_rewards" if "token_level_rewards" in columns else "rm_scores"
    inputs: dict[str, Any] = {
        "token_level_rewards": padded(verls.rows(rewards)),
        "response_mask": padded(verls.rows("response_mask")),
        "index": np.array(UIDS, dtype=object),
        "config": OmegaConf.create(settings),
    }
    if estimator == "gdpo":
        # prompts padded on the left, responses on the right: as verl's old trainer has them
        ones = [torch.ones(len(row), dtype=torch.long) for row in BATCH.prompts]
        of_prompts = padded([row.flip(0) for row in ones]).flip(1)
        of_responses = padded([torch.ones(len(row), dtype=torch.long) for row in BATCH.responses])
        inputs["batch"] = {
            "prompts": torch.zeros_like(of_prompts),
            "attention_mask": torch.cat([of_prompts, of_responses], dim=1),
        }
        inputs["non_tensor_batch"] = {
            "format": np.array(FORMAT),
            "correctness": np.array(CORRECTNESS),
        }
    else:
        inputs["old_log_probs"] = padded(verls.rows("old_log_probs"))
        inputs["sum_pi_squared"] = padded(SQUARES)
        inputs["rollout_is_weights"] = padded(verls.rows(COLUMN)) if COLUMN in columns else None
    return get_adv_estimator_fn(estimator)(**inputs)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("estimator", COMPLETED_ESTIMATORS)
def test_completed_estimators_give_what_verls_functions_give(monkeypatch, estimator, correction):
    settings = CORRECTIONS[correction]
    ours = advantage_step(
        ReSTTrainer, monkeypatch, f"algorithm.adv_estimator={estimator}", TWO_PARTS, *settings
    )
    verls = advantage_step(PPOTrainerSync, monkeypatch, GRPO, *settings)
    expected = by_verls_function(estimator, verls, {"gdpo_reward_keys": ["format", "correctness"]})
    for name, rows in zip(("advantages", "returns"), expected, strict=True):
        assert ours.columns[name].offsets().equal(ours.columns["response_mask"].offsets())
        assert_rows_equal(padded(ours.rows(name)), rows, rtol=0, atol=0)
        assert not torch.equal(rows, padded(verls.rows(name)))
    # the mask and ResT's weights are those under any other estimator
    rest = advantage_step(ReSTTrainer, monkeypatch, GRPO, *settings)
    for name in ("response_mask", COLUMN):
        assert_rows_equal(ours.rows(name), rest.rows(name), rtol=0, atol=0)
    if correction == "plain":
        assert_rows_equal(ours.rows(COLUMN), BATCH.weights("paper"))


@pytest.mark.parametrize("estimator", TOKEN_BASELINES)
def test_the_token_baselines_see_a_kl_penalty_in_the_reward(monkeypatch, estimator):
    controller = trainer_base.core_algos.FixedKLController(0.1)
    monkeypatch.setattr(PPOTrainerSync, "kl_ctrl_in_reward", controller, False)
    settings = (f"algorithm.adv_estimator={estimator}", KL_IN_REWARD)
    ours = advantage_step(ReSTTrainer, monkeypatch, *settings)
    verls = advantage_step(PPOTrainerSync, monkeypatch, GRPO, KL_IN_REWARD)
    expected, _ = by_verls_function(estimator, verls, {})
    assert_rows_equal(padded(ours.rows("advantages")), expected, rtol=0, atol=0)
    plain = advantage_step(ReSTTrainer, monkeypatch, settings[0])
    assert not torch.equal(padded(plain.rows("advantages")), expected)


def test_gdpos_weights_count(monkeypatch):
    settings = ("algorithm.adv_estimator=gdpo", TWO_PARTS)
    weighted = advantage_step(
        ReSTTrainer, monkeypatch, *settings, "algorithm.gdpo_reward_weights=[1.0,3.0]"
    )
    verls = advantage_step(PPOTrainerSync, monkeypatch, GRPO)
    expected, _ = by_verls_function(
        "gdpo",
        verls,
        {"gdpo_reward_keys": ["format", "correctness"], "gdpo_reward_weights": [1.0, 3.0]},
    )
    assert_rows_equal(padded(weighted.rows("advantages")), expected, rtol=0, atol=0)
    equal = advantage_step(ReSTTrainer, monkeypatch, *settings)
    assert not torch.equal(padded(equal.rows("advantages")), expected)


def test_outputs_of_one_session_are_rows_of_their_own_under_a_completed_estimator(monkeypatch):
    # as under all of verl's estimators but grpo; docs/composition.md says so
    keys = ["a_0_0", "a_0_1", "a_1_0", "a_2_0", *KEYS[4:]]
    for estimator in COMPLETED_ESTIMATORS:
        settings = (f"algorithm.adv_estimator={estimator}", TWO_PARTS)
        several = advantage_step(ReSTTrainer, monkeypatch, *settings, keys=keys)
        single = advantage_step(ReSTTrainer, monkeypatch, *settings)
        assert_rows_equal(several.rows("advantages"), single.rows("advantages"), rtol=0, atol=0)


def extra_fields(rows) -> NonTensorStack:
    return NonTensorStack(*map(NonTensorData, rows))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"reward_extra_info": {**PARTS[i], "format": True}} for i in range(7)]
            + [{"reward_extra_info": {"correctness": 1.0}}],
            "format is missing among the parts of row b_7_0's reward, which are: correctness",
        ),
        ([{}] * 8, "format is missing among the parts of row a_0_0's reward, which are: none"),
        ([{"reward_extra_info": None}] * 8, "which are: none"),
        (
            [{"reward_extra_info": {**PARTS[0], "format": "1"}}] * 8,
            "format is '1', no finite number",
        ),
        (
            [{"reward_extra_info": {**PARTS[0], "correctness": float("nan")}}] * 8,
            "correctness is nan, no finite number",
        ),
    ],
)
def test_gdpo_names_the_part_that_a_reward_lacks(monkeypatch, rows, message):
    with pytest.raises(ValueError, match="gdpo_reward_keys: ") as refusal:
        advantage_step(
            ReSTTrainer,
            monkeypatch,
            "algorithm.adv_estimator=gdpo",
            TWO_PARTS,
            extra_fields=extra_fields(rows),
        )
    assert message in str(refusal.value)


def test_gdpo_without_any_extra_fields_names_the_part(monkeypatch):
    settings = ("algorithm.adv_estimator=gdpo", TWO_PARTS)
    with pytest.raises(ValueError, match=r"format is missing .* which are: none"):
        advantage_step(ReSTTrainer, monkeypatch, *settings, extra_fields=None)


@pytest.mark.parametrize("estimator", TOKEN_BASELINES)
def test_workers_that_wrote_no_squares_are_named(monkeypatch, estimator):
    setting = f"algorithm.adv_estimator={estimator}"
    with pytest.raises(ValueError, match="workers wrote no sum_pi_squared"):
        advantage_step(ReSTTrainer, monkeypatch, setting, sum_pi_squared=None)


@pytest.mark.parametrize("estimator", ["gae", "reinforce_plus_plus", *TOKEN_BASELINES])
def test_a_reward_at_a_masked_token_is_lost(monkeypatch, estimator):
    """Why token-level rejection is refused beside the token baselines; verl's design."""
    masks = [mask.long() for mask in BATCH.masks]
    masks[0][-1] = 0  # the last token of the first prompt's best answer
    settings = (f"algorithm.adv_estimator={estimator}", "algorithm.lam=1.0")
    best, other = (
        advantage_step(ReSTTrainer, monkeypatch, *settings, response_mask=jagged(rows))
        for rows in ([mask.long() for mask in BATCH.masks], masks)
    )
    assert best.rows("advantages")[0][0] > best.rows("advantages")[1][0]
    assert other.rows("advantages")[0][0] < other.rows("advantages")[1][0]


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
