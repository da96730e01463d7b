"""The column of weights that the trainer writes between verl's advantage and its update."""

import pytest
import torch
from trainer_in_memory import EXPECTED, TEXTS, Trainer, batch, jagged, written

from rest_verl.algorithm.weighting import ReSTConfig


def test_the_column_holds_the_weights(queue):
    metrics: dict = {}
    returned = Trainer(ReSTConfig.preset("official"))._compute_advantage(batch(), metrics)
    assert returned.keys == batch().keys
    for row, expected in zip(written(queue), EXPECTED, strict=True):
        assert row == pytest.approx(expected)
    assert metrics["order"] == "advantage"
    assert metrics["rest/progress"] == 0.1
    num_tokens = len(TEXTS[0]) + len(TEXTS[1])
    assert metrics["rest/token_share/args"] == pytest.approx(len('{"x":1}') / num_tokens)
    assert metrics["rest/entropy/think"] == pytest.approx(0.5)
    assert metrics["rest/zero_weight_share"] == 0.0


def test_rollout_correction_is_multiplied(queue):
    queue.columns["rollout_is_weights"] = jagged(
        [[2.0] * len(TEXTS[0]), [0.5] * len(TEXTS[1]), [1.0] * len(TEXTS[2])]
    )
    Trainer(ReSTConfig.preset("official"))._compute_advantage(batch(), {})
    for row, expected, factor in zip(written(queue), EXPECTED, (2.0, 0.5, 1.0), strict=True):
        assert row == pytest.approx([weight * factor for weight in expected])


def test_a_token_masked_by_rollout_correction_weighs_nothing(queue):
    mask = [row.clone() for row in queue.columns["response_mask"].unbind()]
    mask[1][8] = 0  # the second letter of the thought
    queue.columns["response_mask"] = jagged(mask)
    Trainer(ReSTConfig.preset("official"))._compute_advantage(batch(), {})
    row = written(queue)[1]
    assert row[8] == 0
    assert sum(row) / (len(row) - 1) == pytest.approx(1.0)


def test_uniform_leaves_verls_loss_as_it_is(queue):
    from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla
    from verl.workers.config import ActorConfig

    Trainer(ReSTConfig.preset("uniform"))._compute_advantage(batch(), {})
    assert written(queue) == [[1.0] * len(TEXTS[0]), [1.0] * len(TEXTS[1]), [0.0] * 3]

    weights = queue.columns["rollout_is_weights"].to_padded_tensor(0.0)
    mask = queue.columns["response_mask"].to_padded_tensor(0)
    torch.manual_seed(0)
    old_log_prob = -torch.rand(mask.shape)
    advantages = torch.randn(len(TEXTS), 1).expand(mask.shape)
    start = old_log_prob + 0.3 * torch.randn(mask.shape)
    config = ActorConfig(strategy="fsdp2", rollout_n=4, ppo_micro_batch_size_per_gpu=1)
    outcomes = []
    for column in (None, weights):
        log_prob = start.clone().requires_grad_()
        loss, metrics = compute_policy_loss_vanilla(
            old_log_prob, log_prob, advantages, mask, "seq-mean-token-mean", config, column
        )
        loss.backward()
        outcomes.append((loss.item(), log_prob.grad, metrics))
    plain, weighted = outcomes
    assert plain[0] == weighted[0]
    assert torch.equal(plain[1], weighted[1])
    assert plain[2] == weighted[2]
