"""The objective against its formula."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_batches import loss_and_gradient, random_batch

from rest_verl.algorithm.loss import rest_policy_loss
from rest_verl.algorithm.weighting import EntropyMemory, ReSTConfig, token_weights


def test_by_hand():
    # advantage 1 throughout; ratios 1, 1.5 (clipped to 1.2), 0.5, and a masked token
    log_prob = torch.tensor([[0.0, math.log(1.5), math.log(0.5), 9.0]], requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 0]])
    loss, metrics = rest_policy_loss(
        log_prob,
        torch.zeros(1, 4),
        torch.ones(1, 4),
        mask,
        weights=torch.tensor([[2.0, 0.5, 0.5, 7.0]]),
    )
    loss.backward()
    assert loss.item() == pytest.approx(-(2 * 1 + 0.5 * 1.2 + 0.5 * 0.5) / 3)
    # the clipped token has no gradient
    assert log_prob.grad.tolist()[0] == pytest.approx([-2 / 3, 0, -0.25 / 3, 0])
    assert metrics == pytest.approx(
        {
            "actor/pg_clipfrac": 1 / 3,
            "actor/ppo_kl": (-math.log(1.5) - math.log(0.5)) / 3,
            "actor/pg_clipfrac_lower": 0.0,
        }
    )


def test_dual_clip_by_hand():
    # advantage -1, ratio 5: the loss stops at 3 and has no gradient
    log_prob = torch.tensor([[math.log(5.0)]], requires_grad=True)
    loss, metrics = rest_policy_loss(
        log_prob,
        torch.zeros(1, 1),
        -torch.ones(1, 1),
        torch.ones(1, 1),
        weights=torch.full((1, 1), 0.5),
    )
    loss.backward()
    assert loss.item() == 1.5
    assert log_prob.grad.item() == 0.0
    assert metrics["actor/pg_clipfrac_lower"] == pytest.approx(1.0)


def test_the_formula_of_the_method():
    log_prob, old_log_prob, advantages, mask, regions, entropy = random_batch(0, torch.float64)
    config = ReSTConfig.preset("paper")
    loss, metrics = rest_policy_loss(
        log_prob,
        old_log_prob,
        advantages,
        mask,
        regions=regions,
        entropy=entropy,
        progress=0.3,
        config=config,
        clip_ratio_c=1e9,  # the formula has no dual clip
    )
    weights, stats = token_weights(regions, entropy, 0.3, config=config)
    rows = []
    for i in range(len(mask) - 1):  # the last has no tokens
        terms = []
        for t in mask[i].nonzero().flatten():
            ratio = torch.exp(log_prob[i, t] - old_log_prob[i, t])
            surrogate = torch.min(
                ratio * advantages[i, t], ratio.clamp(0.8, 1.2) * advantages[i, t]
            )
            terms.append(weights[i, t] * surrogate)
        rows.append(torch.stack(terms).mean())
    assert loss.item() == pytest.approx(-torch.stack(rows).mean().item(), abs=1e-6)
    assert stats.items() <= metrics.items()


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_weights_on_the_loss_equal_weights_on_the_advantage(seed):
    log_prob, old_log_prob, advantages, mask, _, entropy = random_batch(seed, torch.float64)
    weights = entropy + 0.1
    on_loss = loss_and_gradient(
        rest_policy_loss, log_prob, old_log_prob, advantages, mask, weights=weights
    )
    on_advantage = loss_and_gradient(
        rest_policy_loss,
        log_prob,
        old_log_prob,
        advantages * weights,
        mask,
        weights=torch.ones_like(weights),
    )
    torch.testing.assert_close(on_loss[0], on_advantage[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(on_loss[1], on_advantage[1], rtol=0, atol=1e-9)
    assert on_loss[2] == pytest.approx(on_advantage[2])


def test_regions_and_made_weights_agree():
    log_prob, old_log_prob, advantages, mask, regions, entropy = random_batch(1)
    config = ReSTConfig.preset("official")
    weights, _ = token_weights(regions, config=config, step=30)
    made = rest_policy_loss(
        log_prob, old_log_prob, advantages, mask, regions=regions, config=config, step=30
    )
    passed = rest_policy_loss(log_prob, old_log_prob, advantages, mask, weights=weights)
    assert torch.equal(made[0], passed[0])
    # the default configuration is `paper`; labels of tokens masked since then are not read
    everywhere = regions.clamp_min(0)
    default = rest_policy_loss(
        log_prob, old_log_prob, advantages, mask, regions=everywhere, entropy=entropy, progress=0.5
    )
    paper, _ = token_weights(regions, entropy, 0.5, config=ReSTConfig.preset("paper"))
    passed = rest_policy_loss(log_prob, old_log_prob, advantages, mask, weights=paper)
    assert torch.equal(default[0], passed[0])
    # what these two options need besides goes through
    turns = torch.arange(regions.shape[1]).expand_as(regions) // 2
    config = replace(ReSTConfig(), entropy_ema=0.9, weights_per="turn")
    memories = [EntropyMemory(share=0.9), EntropyMemory(share=0.9)]
    given = {"entropy": entropy, "progress": 0.5, "config": config, "turns": turns}
    made = rest_policy_loss(
        log_prob, old_log_prob, advantages, mask, regions=regions, memory=memories[0], **given
    )
    weights, _ = token_weights(regions, memory=memories[1], **given)
    passed = rest_policy_loss(log_prob, old_log_prob, advantages, mask, weights=weights)
    assert torch.equal(made[0], passed[0])


def test_batch_without_tokens_has_loss_zero():
    log_prob = torch.zeros(2, 3, requires_grad=True)
    nothing = torch.zeros(2, 3)
    loss, _ = rest_policy_loss(log_prob, nothing, nothing, nothing, weights=nothing)
    loss.backward()
    assert loss.item() == 0.0
    assert log_prob.grad.tolist() == [[0.0] * 3] * 2


def test_refused():
    log_prob, old_log_prob, advantages, mask, regions, entropy = random_batch(2)
    batch = (log_prob, old_log_prob, advantages, mask)
    with pytest.raises(ValueError, match="either weights or regions"):
        rest_policy_loss(*batch)
    with pytest.raises(ValueError, match="either weights or regions"):
        rest_policy_loss(*batch, weights=entropy, regions=regions)
    with pytest.raises(ValueError, match="clip_ratio_c must be above 1"):
        rest_policy_loss(*batch, weights=entropy, clip_ratio_c=1.0)
    with pytest.raises(ValueError, match="same shape"):
        rest_policy_loss(*batch, regions=regions[:, 1:], entropy=entropy, progress=0.0)
    unlabelled = torch.full_like(regions, -1)
    with pytest.raises(ValueError, match="lacks a label"):
        rest_policy_loss(*batch, regions=unlabelled, entropy=entropy, progress=0.0)


def test_the_numeric_core_does_not_import_verl():
    code = (
        "import sys, rest_verl.algorithm.loss, rest_verl.algorithm.advantage; "
        "print(sorted({'verl', 'ray', 'vllm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
