"""What ResT's weights leave alone, and why some settings are refused: shown in verl's own code."""

from types import SimpleNamespace

import pytest
import torch
from recorded_batch import recorded_batch
from verl.trainer.distillation import distillation_ppo_loss
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.losses import value_loss
from verl_loss_path import actor_config, compose_verl, jagged, micro_batches, run

BATCH = recorded_batch()
WEIGHTS = BATCH.weights("paper")
NUM_RESPONSES = len(BATCH.masks)


@pytest.fixture(scope="module")
def composed():
    return compose_verl()


def config_with(composed, **settings):
    return actor_config(composed, loss_agg_mode="seq-mean-token-mean", **settings)


def seq_mean_token_mean(rows):
    """The paper's mean of a per-token term, over the sampled tokens."""
    means = [row[mask].mean() for row, mask in zip(rows, BATCH.masks, strict=True) if mask.any()]
    return torch.stack(means).sum() / NUM_RESPONSES


@pytest.mark.parametrize("split", ["whole", "dynamic"])
def test_the_kl_loss_is_not_weighted(composed, split):
    batch = micro_batches(BATCH, WEIGHTS, split)
    policy = run(config_with(composed), BATCH, batch)
    with_kl = run(config_with(composed, use_kl_loss=True, kl_loss_coef=0.3), BATCH, batch)
    leaves = [row.clone().requires_grad_() for row in BATCH.log_probs]
    log_ratios = [ref - leaf for ref, leaf in zip(BATCH.ref_log_probs, leaves, strict=True)]
    # k3 (Schulman): r - log r - 1, r = π_ref / π, at most 10
    k3 = [(x.exp() - x - 1).clamp(max=10.0) for x in log_ratios]
    (0.3 * seq_mean_token_mean(k3)).backward()
    for both, alone, leaf in zip(
        with_kl.log_prob_grads, policy.log_prob_grads, leaves, strict=True
    ):
        kl_grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        torch.testing.assert_close(both - alone, kl_grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("split", ["whole", "dynamic"])
def test_the_entropy_bonus_is_not_weighted(composed, split):
    batch = micro_batches(BATCH, WEIGHTS, split)
    outcome = run(config_with(composed, entropy_coeff=0.2), BATCH, batch, with_entropy=True)
    for gradient, mask in zip(outcome.entropy_grads, BATCH.masks, strict=True):
        expected = -0.2 * mask.double() / max(1, int(mask.sum())) / NUM_RESPONSES
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-12)


def test_the_value_loss_is_not_weighted(composed):
    options = ("cliprange_value", "loss_agg_mode", "loss_scale_factor")
    critic = SimpleNamespace(**{name: composed.critic.get(name) for name in options})
    gradients = []
    for column in (None, WEIGHTS):
        [batch] = micro_batches(BATCH, column, "whole")
        batch["values"] = jagged(BATCH.entropies)  # any numbers
        batch["returns"] = jagged(BATCH.advantages)
        values = batch["input_ids"].values().double().clone().requires_grad_()
        loss, _ = value_loss(critic, {"values": values}, batch)
        loss.backward()
        gradients.append(values.grad)
    assert gradients[0].abs().sum() > 0
    assert torch.equal(*gradients)


def distillation_gradient(composed, column, **settings):
    composed = composed.copy()
    composed.distillation.distillation_loss.update(settings)
    distillation = omega_conf_to_dataclass(composed.distillation)
    [batch] = micro_batches(BATCH, column, "whole")
    teacher = torch.linspace(-3, -0.1, len(batch["input_ids"].values()), dtype=torch.float64)
    batch["teacher_logprobs"] = torch.nested.nested_tensor_from_jagged(
        teacher[:, None], batch["input_ids"].offsets()
    )

    def loss(config, model_output, data):
        return distillation_ppo_loss(config, distillation, model_output, data)

    outcome = run(config_with(composed), BATCH, [batch], loss_function=loss)
    return torch.cat(outcome.log_prob_grads)


def test_distillation_beside_the_task_is_not_weighted(composed):
    policy = {
        preset: torch.cat(
            run(
                config_with(composed),
                BATCH,
                micro_batches(BATCH, BATCH.weights(preset), "whole"),
            ).log_prob_grads
        )
        for preset in ("uniform", "paper")
    }
    both = {
        preset: distillation_gradient(composed, BATCH.weights(preset), use_task_rewards=True)
        for preset in policy
    }
    teachers = both["uniform"] - policy["uniform"]
    assert teachers.abs().max() > 1e-3
    torch.testing.assert_close(both["paper"], policy["paper"] + teachers, rtol=1e-6, atol=1e-9)


def test_refused_distillation_alone_drops_the_weighted_loss(composed):
    alone = [
        distillation_gradient(composed, BATCH.weights(preset), use_task_rewards=False)
        for preset in ("uniform", "paper")
    ]
    assert torch.equal(*alone)


def test_refused_distillation_by_policy_gradient_stops_in_verl(composed):
    settings = {"use_policy_gradient": True, "loss_mode": "k1"}
    distillation_gradient(composed, None, **settings)  # without a column it runs
    with pytest.raises((RuntimeError, ValueError)):
        distillation_gradient(composed, WEIGHTS, **settings)


def gradient_of_mode(composed, mode: str, weights_BT):
    """The registered loss itself, on one row of six tokens with advantage 1."""
    config = config_with(composed, policy_loss__loss_mode=mode)
    log_prob = torch.linspace(-2, -1, 6, dtype=torch.float64)[None].requires_grad_()
    old = log_prob.detach() - 0.01
    loss, _ = POLICY_LOSS_REGISTRY[mode](
        old, log_prob, torch.ones(1, 6), torch.ones(1, 6), config=config,
        rollout_is_weights=weights_BT,
    )  # fmt: skip
    loss.backward()
    return log_prob.grad[0]


def test_refused_geo_mean_makes_one_factor_of_a_sequences_weights(composed):
    plain = gradient_of_mode(composed, "geo_mean", None)
    weighted = gradient_of_mode(composed, "geo_mean", torch.tensor([[0.5, 1.5, 1, 1, 1, 1.0]]))
    factor = (0.5 * 1.5) ** (1 / 6)  # the same for every token, and below 1
    torch.testing.assert_close(weighted, factor * plain, rtol=1e-6, atol=0)
    without_think = gradient_of_mode(composed, "geo_mean", torch.tensor([[0, 0, 0, 2, 2, 2.0]]))
    assert without_think.abs().max() < 1e-4 * plain.abs().max()


def test_refused_bypass_mode_ignores_the_weights(composed):
    plain = gradient_of_mode(composed, "bypass_mode", None)
    weighted = gradient_of_mode(composed, "bypass_mode", torch.tensor([[0.0, 3, 0, 3, 0, 3]]))
    assert plain.abs().max() > 0
    assert torch.equal(weighted, plain)


def test_without_a_scale_dr_grpos_mean_depends_on_the_split(composed):
    # verl then divides by the longest response of each micro-batch, with or without ResT
    config = actor_config(composed, loss_agg_mode="seq-mean-token-sum-norm")
    whole, ones = (
        torch.cat(run(config, BATCH, micro_batches(BATCH, WEIGHTS, split)).log_prob_grads)
        for split in ("whole", "ones")
    )
    assert not torch.allclose(whole, ones, rtol=1e-2)
