"""For every loss mode and preset, verl's loss path gives the gradient of the written formula."""

from functools import cache
from itertools import chain, combinations

import pytest
import torch
from recorded_batch import recorded_batch
from reference_objective import Response, Settings, mean_of, terms_of
from reference_weights import reference_weights
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY
from verl_loss_path import (
    SCALE,
    SPLITS,
    Outcome,
    actor_config,
    compose_verl,
    gradients,
    micro_batches,
    run,
)

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.presets import PRESETS
from rest_verl.integration.checks import INCOMPATIBLE_LOSS_MODES, WEIGHTED_LOSS_MODES

PAPERS_MEAN = "seq-mean-token-mean"
OTHER_MEANS = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-sum-norm")
SETTINGS = Settings()
BATCH = recorded_batch()


@cache
def split_batch(preset: str | None, split: str):
    """verl's micro-batches with the preset's weights; None: without the column."""
    return micro_batches(BATCH, None if preset is None else BATCH.weights(preset), split)


@pytest.fixture(scope="module")
def composed():
    return compose_verl()


def verl_config(
    composed, mode: str, aggregation: str = PAPERS_MEAN, clip_cov_ratio: float = 1.0, **more
):
    return actor_config(
        composed,
        policy_loss__loss_mode=mode,
        loss_agg_mode=aggregation,
        loss_scale_factor=SCALE if aggregation == "seq-mean-token-sum-norm" else None,
        clip_ratio_low=SETTINGS.clip_ratio_low,
        clip_ratio_high=SETTINGS.clip_ratio_high,
        clip_ratio_c=SETTINGS.clip_ratio_c,
        tau_pos=SETTINGS.tau_pos,
        tau_neg=SETTINGS.tau_neg,
        policy_loss__clip_cov_ratio=clip_cov_ratio,  # 1: all candidates, none drawn at random
        policy_loss__clip_cov_lb=SETTINGS.clip_cov_lb,
        policy_loss__clip_cov_ub=SETTINGS.clip_cov_ub,
        policy_loss__kl_cov_ratio=SETTINGS.kl_cov_ratio,
        policy_loss__ppo_kl_coef=SETTINGS.ppo_kl_coef,
        policy_loss__dro_beta=SETTINGS.dro_beta,
        **more,
    )


def formula(mode: str, aggregation: str, weights, rows):
    """The formula's loss and, for each response, its gradient with respect to log π.

    `rows` are verl's micro-batches: only the covariance modes, which compare a token with the
    others of its micro-batch, depend on them.
    """
    leaves = [row.clone().requires_grad_() for row in BATCH.log_probs]
    loss = torch.zeros((), dtype=torch.float64)
    for chosen in rows:
        micro_batch = [
            Response(
                log_prob=leaves[i][BATCH.masks[i]],
                old_log_prob=BATCH.old_log_probs[i][BATCH.masks[i]],
                advantage=BATCH.advantages[i][BATCH.masks[i]],
                weight=weights[i][BATCH.masks[i]].double(),
            )
            for i in chosen
            if BATCH.masks[i].any()
        ]
        if not micro_batch:  # nothing but verl's padding row
            continue
        terms = terms_of(mode, micro_batch, SETTINGS)
        losses = [-x.weight * term for x, term in zip(micro_batch, terms, strict=True)]
        num_tokens = int(sum(mask.sum() for mask in BATCH.masks))
        loss = loss + mean_of(
            aggregation, losses, num_tokens=num_tokens, num_responses=len(leaves), scale=SCALE
        )
    loss.backward()
    return loss.item(), gradients(leaves)


def assert_is_formula(outcome: Outcome, mode: str, aggregation: str, weights) -> None:
    # SAPO's paper has one mean, and verl takes no other
    aggregation = PAPERS_MEAN if mode == "sapo" else aggregation
    loss, expected_grads = formula(mode, aggregation, weights, outcome.rows)
    if mode != "dro":  # a square was completed: the same gradient, another constant
        assert outcome.loss == pytest.approx(loss, abs=1e-6)
    for found, expected in zip(outcome.log_prob_grads, expected_grads, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_are_the_methods(preset):
    # the w of the formula, from the method's text instead of the code
    regions = [row.tolist() for row in BATCH.regions]
    entropies = [row.tolist() for row in BATCH.entropies]
    config = ReSTConfig.preset(preset)
    weights = reference_weights(regions, entropies, 0.4, 60, config)
    for found, expected in zip(BATCH.weights(preset), map(torch.tensor, weights), strict=True):
        if config.shuffle:  # among the sampled tokens of the response
            assert torch.equal(found == 0, expected == 0)
            found, expected = found.sort().values, expected.sort().values
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_every_preset_weighs_the_batch_in_its_own_way():
    # so that each preset's comparison with the formula is another one
    weights = {preset: torch.cat(BATCH.weights(preset)) for preset in PRESETS}
    for one, other in combinations(PRESETS, 2):
        assert (weights[one] - weights[other]).abs().max() > 0.01, (one, other)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mode", WEIGHTED_LOSS_MODES)
def test_gradient_is_the_formula(composed, mode, preset):
    weights = BATCH.weights(preset)
    config = verl_config(composed, mode)
    for split in SPLITS:
        outcome = run(config, BATCH, split_batch(preset, split))
        assert sorted(chain.from_iterable(outcome.rows)) == list(range(8))
        assert_is_formula(outcome, mode, PAPERS_MEAN, weights)


@pytest.mark.parametrize("mode", WEIGHTED_LOSS_MODES)
def test_gradient_is_the_formula_under_every_other_mean(composed, mode):
    weights, batch = BATCH.weights("paper"), split_batch("paper", "dynamic")
    for aggregation in OTHER_MEANS:
        outcome = run(verl_config(composed, mode, aggregation), BATCH, batch)
        assert_is_formula(outcome, mode, aggregation, weights)


@pytest.mark.parametrize("mode", WEIGHTED_LOSS_MODES)
def test_uniform_is_verls_own_loss_to_the_last_bit(composed, mode):
    for aggregation, split in ((PAPERS_MEAN, "whole"), ("token-mean", "dynamic")):
        config = verl_config(composed, mode, aggregation)
        plain = run(config, BATCH, split_batch(None, split))
        uniform = run(config, BATCH, split_batch("uniform", split))
        assert uniform.loss == plain.loss
        for found, expected in zip(uniform.log_prob_grads, plain.log_prob_grads, strict=True):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("mode", WEIGHTED_LOSS_MODES)
def test_other_weights_change_the_gradient(composed, mode):
    # so that the comparisons above compare something
    config = verl_config(composed, mode)
    plain = run(config, BATCH, split_batch(None, "whole"))
    for preset in set(PRESETS) - {"uniform"}:
        weighted = run(config, BATCH, split_batch(preset, "whole"))
        change = torch.cat(weighted.log_prob_grads) - torch.cat(plain.log_prob_grads)
        assert change.abs().max() > 1e-3


def test_the_recorded_batch_meets_every_clip():
    ratios, advantages, regions = [], [], []
    for i, mask in enumerate(BATCH.masks):
        ratios.append((BATCH.log_probs[i] - BATCH.old_log_probs[i])[mask].exp())
        advantages.append(BATCH.advantages[i][mask])
        regions.append(BATCH.regions[i][mask])
    ratio, advantage = torch.cat(ratios), torch.cat(advantages)
    assert ((ratio > 1.28) & (advantage > 0)).sum() >= 3
    assert ((ratio < 0.8) & (advantage < 0)).sum() >= 3
    assert ((ratio > 3) & (advantage < 0)).any()  # the dual clip
    assert set(torch.cat(regions).tolist()) == {0, 1, 2, 3, 4}
    covariance_terms = terms_of("clip_cov", [_all_tokens()], SETTINGS)[0]
    assert 3 <= (covariance_terms == 0).sum() < len(ratio) / 2  # some lose their gradient


def _all_tokens() -> Response:
    def flat(rows):
        return torch.cat([row[mask] for row, mask in zip(rows, BATCH.masks, strict=True)])

    return Response(
        log_prob=flat(BATCH.log_probs),
        old_log_prob=flat(BATCH.old_log_probs),
        advantage=flat(BATCH.advantages),
        weight=flat(BATCH.weights("uniform")),
    )


def test_the_covariance_modes_alone_depend_on_the_split(composed):
    # Clip-Cov and KL-Cov compare a token with its micro-batch: verl's design, with or without ResT
    dependent = set()
    for mode in WEIGHTED_LOSS_MODES:
        config = verl_config(composed, mode)
        whole, ones = (
            torch.cat(run(config, BATCH, split_batch("paper", split)).log_prob_grads)
            for split in ("whole", "ones")
        )
        if not torch.allclose(whole, ones, rtol=1e-6, atol=1e-9):
            dependent.add(mode)
    assert dependent == {"clip_cov", "kl_cov"}


def test_clip_cov_draws_among_the_candidates(composed):
    # a share is drawn in training: those lose their gradient, the others keep the formula's
    weights = BATCH.weights("paper")
    few = verl_config(composed, "clip_cov", clip_cov_ratio=0.02)
    outcome = run(few, BATCH, split_batch("paper", "whole"))
    _, everything = formula("vanilla", PAPERS_MEAN, weights, outcome.rows)
    _, nothing = formula("clip_cov", PAPERS_MEAN, weights, outcome.rows)
    num_tokens = int(sum(mask.sum() for mask in BATCH.masks))
    candidates = torch.cat(everything).ne(torch.cat(nothing))
    drawn = candidates & torch.cat(outcome.log_prob_grads).eq(0)
    assert drawn.sum() == int(0.02 * num_tokens) < candidates.sum()


def test_every_registered_loss_is_decided():
    ours = {
        name
        for name, function in POLICY_LOSS_REGISTRY.items()
        if function.__module__.partition(".")[0] in ("verl", "rest_verl")
    }
    assert ours == {*WEIGHTED_LOSS_MODES, *INCOMPATIBLE_LOSS_MODES}
