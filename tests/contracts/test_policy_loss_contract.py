"""A policy loss as verl's workers call it: verl's vanilla loss to the last bit, with weights."""

import inspect
from dataclasses import fields

import pytest
import torch
from loss_batches import loss_and_gradient, random_batch

pytest.importorskip("verl", reason="verl is not installed")

from verl.trainer.ppo import core_algos
from verl.utils import tensordict_utils as tu
from verl.utils.metric import Metric
from verl.workers.config import ActorConfig, PolicyLossConfig
from verl.workers.utils.losses import ppo_loss

import rest_verl.plugin  # noqa: F401 (verl loads it by itself where it is installed)
from rest_verl.algorithm.loss import rest_policy_loss
from rest_verl.algorithm.weighting import ReSTConfig, token_weights
from rest_verl.integration.policy_loss import verl_policy_loss

AGG_MODES = [
    "token-mean",
    "token-sum",
    "seq-mean-token-sum",
    "seq-mean-token-sum-norm",
    "seq-mean-token-mean",
]


def actor_config(**changes):
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


def jagged(rows):
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def through_verl(loss_mode, *, weight=None):
    """verl's `ppo_loss` on two responses, of 3 and 2 tokens, and the log-probabilities given it."""
    prompts, responses = [[5, 5], [5]], [[1, 2, 3], [4, 5]]
    tensors = {
        "prompts": jagged(prompts),
        "responses": jagged(responses),
        "response_mask": jagged([[1, 0, 1], [1, 1]]),
        "old_log_probs": jagged([[-1.0, -2.0, -3.0], [-0.5, -1.5]]),
        "advantages": jagged([[1.0, 1.0, 1.0], [-2.0, -2.0]]),
    }
    if weight is not None:
        tensors["rollout_is_weights"] = jagged([[weight] * 3, [weight] * 2])
    data = tu.get_tensordict(tensors, {"dp_size": 1, "batch_num_tokens": 4, "global_batch_size": 2})
    # As the model puts them out: prompt and response flat, each value one position early.
    output = jagged([[0.0, -1.1, -2.2, -2.9, 0.0], [-0.6, -1.2, 0.0]]).requires_grad_()
    config = actor_config(policy_loss=PolicyLossConfig(loss_mode=loss_mode))
    loss, metrics = ppo_loss(config, {"log_probs": output}, data)
    return loss, metrics


@pytest.fixture
def seen(monkeypatch):
    """What verl gives the loss `contract`, by name."""
    given = {}

    def spy(*args, **kwargs):
        assert args == ()
        given.update(kwargs)
        return 2.0 * kwargs["log_prob"].sum(), {"contract/part": 0.5}

    monkeypatch.setitem(core_algos.POLICY_LOSS_REGISTRY, "contract", spy)
    return given


def test_verl_calls_a_loss_by_name_with_padded_tensors(seen):
    through_verl("contract", weight=0.5)
    tensors = {"old_log_prob", "log_prob", "advantages", "response_mask", "rollout_is_weights"}
    assert set(seen) == {*tensors, "loss_agg_mode", "config"}
    assert {name: tuple(seen[name].shape) for name in tensors} == dict.fromkeys(tensors, (2, 3))
    assert seen["response_mask"].tolist() == [[True, False, True], [True, True, False]]
    assert seen["log_prob"][0].tolist() == pytest.approx([-1.1, -2.2, -2.9])
    assert seen["rollout_is_weights"].tolist() == [[0.5, 0.5, 0.5], [0.5, 0.5, 0.0]]
    assert isinstance(seen["loss_agg_mode"], str)
    assert isinstance(seen["config"], ActorConfig)
    inspect.signature(verl_policy_loss).bind(**seen)


def test_without_the_column_the_weights_are_none(seen):
    through_verl("contract")
    assert seen["rollout_is_weights"] is None


def test_a_loss_has_the_order_of_verls_own():
    ours, theirs = map(
        inspect.signature, (verl_policy_loss, core_algos.compute_policy_loss_vanilla)
    )
    assert list(ours.parameters) == list(theirs.parameters)
    for name in ("loss_agg_mode", "config", "rollout_is_weights"):
        assert ours.parameters[name].default == theirs.parameters[name].default


def test_verl_trains_on_the_tensor_and_logs_the_dict(seen):
    loss, metrics = through_verl("contract")
    assert loss.requires_grad
    assert loss.item() == pytest.approx(2.0 * seen["log_prob"].sum().item())
    logged = {name: Metric.aggregate(value) for name, value in metrics.items()}
    assert logged["contract/part"] == 0.5
    assert logged["actor/pg_loss"] == pytest.approx(loss.item())


def test_what_the_adapter_reads_of_the_config(seen):
    through_verl("contract")
    config = seen["config"]
    names = {field.name for field in fields(config)}
    assert {"clip_ratio", "clip_ratio_low", "clip_ratio_high", "clip_ratio_c"} <= names
    assert config.get("clip_ratio_c", None) == config.clip_ratio_c
    assert config.global_batch_info["batch_num_tokens"] == 4
    assert set(config.global_batch_info) <= set(inspect.signature(core_algos.agg_loss).parameters)


@pytest.mark.parametrize("loss_mode", ["rest", "vanilla"])
def test_the_column_reaches_the_registered_loss(loss_mode):
    plain, metrics = through_verl(loss_mode)
    assert metrics["actor/ppo_kl"].values
    assert plain.item() != 0
    assert torch.equal(through_verl(loss_mode, weight=1.0)[0], plain)
    torch.testing.assert_close(through_verl(loss_mode, weight=2.0)[0], 2 * plain)


def test_the_registered_loss_is_ours():
    assert core_algos.get_policy_loss_fn("rest") is verl_policy_loss
    with pytest.raises(ValueError, match="Unsupported loss mode"):
        core_algos.get_policy_loss_fn("no such loss")
