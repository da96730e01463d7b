"""A policy loss as verl's workers call it: verl's vanilla loss to the last bit, with weights."""

import pytest
import torch
from loss_batches import loss_and_gradient, random_batch

core_algos = pytest.importorskip("verl.trainer.ppo.core_algos", reason="verl is not installed")

from rest_verl.algorithm.loss import rest_policy_loss  # noqa: E402
from rest_verl.algorithm.weighting import ReSTConfig, token_weights  # noqa: E402
from rest_verl.integration.policy_loss import verl_policy_loss  # noqa: E402

AGG_MODES = [
    "token-mean",
    "token-sum",
    "seq-mean-token-sum",
    "seq-mean-token-sum-norm",
    "seq-mean-token-mean",
]


def actor_config(**changes):
    from verl.workers.config import ActorConfig

    return ActorConfig(
        strategy="fsdp2", rollout_n=4, ppo_micro_batch_size_per_gpu=1, clip_ratio_high=0.28,
        **changes,
    )  # fmt: skip


def by_verls_signature(function):
    return lambda log_prob, old_log_prob, *rest, **kw: function(old_log_prob, log_prob, *rest, **kw)


@pytest.mark.parametrize("mode", AGG_MODES)
@pytest.mark.parametrize("global_batch", [False, True], ids=["local", "global"])
@pytest.mark.parametrize("weighted", [False, True], ids=["uniform", "weighted"])
def test_the_bits_of_verls_vanilla(mode, global_batch, weighted):
    config = actor_config()
    if global_batch:
        config.global_batch_info.update(
            dp_size=2, batch_num_tokens=97, global_batch_size=16, loss_scale_factor=64
        )
    for seed in range(5):
        log_prob, old_log_prob, advantages, mask, regions, entropy = random_batch(seed)
        uniform, _ = token_weights(regions, config=ReSTConfig.preset("uniform"))
        column = entropy if weighted else None
        theirs = loss_and_gradient(
            by_verls_signature(core_algos.compute_policy_loss_vanilla),
            log_prob, old_log_prob, advantages, mask, mode, config, column,
        )  # fmt: skip
        for weights in (column, column if weighted else uniform):
            ours = loss_and_gradient(
                by_verls_signature(verl_policy_loss),
                log_prob, old_log_prob, advantages, mask, mode, config, weights,
            )  # fmt: skip
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
            assert ours[2] == theirs[2]


def test_default_aggregation_is_verls_bit_for_bit():
    config = actor_config()
    for seed in range(5):
        log_prob, old_log_prob, advantages, mask, regions, _ = random_batch(seed)
        theirs = loss_and_gradient(
            by_verls_signature(core_algos.compute_policy_loss_vanilla),
            log_prob, old_log_prob, advantages, mask, "seq-mean-token-mean", config,
        )  # fmt: skip
        ours = loss_and_gradient(
            rest_policy_loss, log_prob, old_log_prob, advantages, mask,
            regions=regions, config=ReSTConfig.preset("uniform"), clip_ratio_high=0.28,
        )  # fmt: skip
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
        assert theirs[2].items() <= ours[2].items()


def test_adapter_resolves_clip_ratios_as_vanilla_does():
    config = actor_config(clip_ratio=0.1, clip_ratio_low=None, clip_ratio_c=2.0)
    log_prob, old_log_prob, advantages, mask, _, _ = random_batch(3)
    arguments = (old_log_prob, log_prob, advantages, mask, "token-mean", config)
    theirs = core_algos.compute_policy_loss_vanilla(*arguments)
    ours = verl_policy_loss(*arguments)
    assert torch.equal(ours[0], theirs[0])
    assert ours[1] == theirs[1]
