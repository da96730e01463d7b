"""Every estimator of verl's under ResT's weights, those that its v1 trainers starve included."""

from typing import Any

import numpy as np
import pytest
import torch
from advantage_step import (
    BATCH,
    CORRECTNESS,
    ESTIMATORS,
    FORMAT,
    GRPO,
    KEYS,
    NEEDY,
    PARTS,
    SQUARES,
    UIDS,
    Queue,
    ReSTTrainer,
    advantage_step,
    assert_rows_equal,
)
from omegaconf import OmegaConf
from tensordict import NonTensorData, NonTensorStack
from torch.nn.utils.rnn import pad_sequence
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl_loss_path import COLUMN, jagged

from rest_verl.integration.estimator_checks import (
    COMPLETED_ESTIMATORS,
    TOKEN_BASELINES,
)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_weights_hold_under_every_estimator(monkeypatch, estimator):
    setting = f"algorithm.adv_estimator={estimator}"
    verls = advantage_step(PPOTrainerSync, monkeypatch, setting)
    ours = advantage_step(ReSTTrainer, monkeypatch, setting)
    assert COLUMN not in verls.columns
    assert_rows_equal(ours.rows("advantages"), verls.rows("advantages"), rtol=0, atol=0)
    assert_rows_equal(ours.rows(COLUMN), BATCH.weights("paper"))


MISSING = {
    "rest_turn": "turns of each rollout",
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
