"""A group's gradient under many weightings: equal to that of the loss, and its sketch to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sometimes_right import new_model
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.loss import rest_policy_loss
from rest_verl.algorithm.presets import PRESETS
from rest_verl.algorithm.regions import Region
from rest_verl.study.gradients.backward import GroupGradients, chosen_parameters
from rest_verl.study.gradients.groups import Group, Response, padded
from rest_verl.study.gradients.sketch import CountSketch
from rest_verl.study.gradients.weightings import (
    Weighting,
    parse_weights,
    stacked_weights,
    weightings,
)
from rest_verl.study.policy import response_log_probs

NUM_IDS, NUM_REGIONS = 50, len(Region)
MOMENTS = (0.0, 0.7)


class Whole:
    """In the place of a sketch: the whole gradient."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, gradients: Sequence[Tensor | None]) -> Tensor:
        return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


@pytest.fixture(scope="module")
def model():
    return new_model(NUM_IDS).double()


def response(random: np.random.Generator, length: int, reward: float, masked: int = 0) -> Response:
    region = random.integers(0, NUM_REGIONS, length).astype(np.int8)
    region[:masked] = -1
    return Response(
        token_ids=random.integers(0, NUM_IDS, length),
        region=region,
        entropy=random.gamma(0.5, 0.5, length).astype(np.float32),
        score_norm=np.zeros(length, np.float32),
        reward=reward,
    )


def group(seed: int = 0, rewards: Sequence[float] = (1.0, 0.0, 0.5, 0.0)) -> Group:
    random = np.random.default_rng(seed)
    lengths = random.integers(4, 14, len(rewards))
    return Group(
        prompt_ids=random.integers(0, NUM_IDS, 5).tolist(),
        responses=[
            response(random, int(length), reward, masked=2 * (row == 1))
            for row, (length, reward) in enumerate(zip(lengths, rewards, strict=True))
        ],
    )


def assert_same(found: np.ndarray, exact: np.ndarray | Tensor) -> None:
    """To 1e-6 of the length: the model's norms and logits are in single precision."""
    exact = np.asarray(exact)
    assert np.linalg.norm(found - exact) <= 1e-6 * np.linalg.norm(exact)


def table(one: Group, name: str) -> Tensor:
    fill = {"region": -1, "token_ids": 0, "entropy": 0.0}[name]
    return padded([getattr(row, name) for row in one.responses], fill)


def measured(model, one: Group, found: Sequence[Weighting], sketch=None) -> np.ndarray:
    parameters = list(chosen_parameters(model, None).values())
    sketch = sketch or Whole(sum(parameter.numel() for parameter in parameters))
    weights_KGT = stacked_weights(found, table(one, "region"), table(one, "entropy"), 105)
    gradients = GroupGradients(model, parameters, sketch, temperature=1.0)
    result = gradients(one, weights_KGT, [weighting.by_region for weighting in found])
    assert result is not None
    return result


def through_the_loss(model, one: Group, weighting: Weighting) -> Tensor:
    """Minus the gradient of `rest_policy_loss`, the group padded as one batch."""
    region_BT = table(one, "region")
    mask_BT = region_BT >= 0
    ids_BT = table(one, "token_ids")
    log_prob_BT, _ = response_log_probs(model, [one.prompt_ids] * len(ids_BT), ids_BT)
    advantage_BT = one.advantages()[:, None] * mask_BT
    loss, _ = rest_policy_loss(
        log_prob_BT,
        log_prob_BT.detach(),
        advantage_BT,
        mask_BT,
        regions=region_BT,
        entropy=table(one, "entropy"),
        progress=weighting.progress or 0.0,
        step=round(105 * (weighting.progress or 0.0)),
        config=weighting.config,
    )
    model.zero_grad()
    loss.backward()
    return -torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


FOUND = weightings(PRESETS, [parse_weights("mine:name=3,think=0,text=0.5")], MOMENTS)


@pytest.mark.parametrize("place", range(len(FOUND)), ids=[one.label for one in FOUND])
def test_it_is_the_gradient_through_the_loss(model, place: int) -> None:
    one = group()
    exact = through_the_loss(model, one, FOUND[place])
    assert exact.abs().max() > 1e-3
    assert_same(measured(model, one, FOUND)[place], exact)


def test_the_last_columns_are_the_regions(model) -> None:
    """Their sum is uniform's gradient, and their weighted sum that of weights of one's own."""
    one = group(seed=3)
    # one weight a region, alike for all responses: no scaling to mean 1
    random = np.random.default_rng(0)
    weights_R = torch.from_numpy(random.uniform(0.5, 2, NUM_REGIONS))
    weights_GT = torch.cat([weights_R, torch.zeros(1)])[table(one, "region").long()]
    parameters = list(chosen_parameters(model, None).values())
    whole = Whole(sum(parameter.numel() for parameter in parameters))
    gradients = GroupGradients(model, parameters, whole, temperature=1.0)
    ones_GT = (table(one, "region") >= 0).double()
    result = gradients(one, torch.stack([ones_GT, weights_GT]), [True, False])
    assert result is not None
    assert_same(result[2:].sum(0), result[0])
    assert_same(weights_R.numpy() @ result[2:], result[1])


def test_a_region_and_a_token_pass_agree(model) -> None:
    one, found = group(seed=4), FOUND[:4]
    parameters = list(chosen_parameters(model, None).values())
    sketch = CountSketch(parameters, 512, seed=0)
    weights_KGT = stacked_weights(found, table(one, "region"), table(one, "entropy"), 105)
    gradients = GroupGradients(model, parameters, sketch, temperature=1.0)
    by_region, by_token = (gradients(one, weights_KGT, [kind] * 4) for kind in (True, False))
    assert by_region is not None
    assert by_token is not None
    assert_same(by_region, by_token)


def test_the_sketch_keeps_exact_inner_products(model) -> None:
    """Within four of the stated standard deviations, for every pair of weightings and regions."""
    size = 16_384
    for seed in range(3):
        one = group(seed=seed)
        exact = measured(model, one, FOUND)
        parameters = list(chosen_parameters(model, None).values())
        sketched = measured(model, one, FOUND, CountSketch(parameters, size, seed))
        inner = exact @ exact.T
        squares = np.diag(inner)
        error = np.sqrt((np.outer(squares, squares) + inner**2) / size)
        assert (np.abs(sketched @ sketched.T - inner) <= 4 * error).all()


def test_equal_rewards_have_no_gradient(model) -> None:
    one = group(rewards=(0.5, 0.5, 0.5))
    assert not one.has_gradient
    parameters = list(chosen_parameters(model, None).values())
    gradients = GroupGradients(model, parameters, Whole(1), temperature=1.0)
    assert gradients(one, torch.ones(1, 3, 20), [True]) is None


@pytest.mark.parametrize("fault", ["empty", "all masked"])
def test_a_response_without_tokens_adds_nothing(model, fault: str) -> None:
    random = np.random.default_rng(1)
    length = 0 if fault == "empty" else 6
    silent = response(random, length, 0.0, masked=length)
    one = Group(
        prompt_ids=[1, 2], responses=[response(random, 7, 1.0), silent, response(random, 9, 0.0)]
    )
    result = measured(model, one, FOUND[:1])
    assert np.isfinite(result).all()
    assert np.abs(result).max() > 0


def test_temperature_divides_the_logits(model) -> None:
    one = group()
    parameters = list(chosen_parameters(model, None).values())
    whole = Whole(sum(parameter.numel() for parameter in parameters))
    ones_KGT = (table(one, "region") >= 0).double()[None]
    found = GroupGradients(model, parameters, whole, temperature=2.0)(one, ones_KGT, [True])
    ids_BT = table(one, "token_ids")
    log_prob_BT, _ = response_log_probs(
        model, [one.prompt_ids] * len(ids_BT), ids_BT, temperature=2.0
    )
    mask_BT = table(one, "region") >= 0
    mean_B = (log_prob_BT * mask_BT).sum(1) / mask_BT.sum(1)
    model.zero_grad()
    (one.advantages() * mean_B).mean().backward()
    exact = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert found is not None
    assert_same(found[0], exact)


def test_only_chosen_parameters_are_measured(model) -> None:
    try:
        chosen = chosen_parameters(model, r"layers\.1\..*mlp")
        assert len(chosen) == 3
        assert {name for name, p in model.named_parameters() if p.requires_grad} == set(chosen)
    finally:
        assert chosen_parameters(model, None).keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("mlp(", "no regular expression"), ("conv", "fits none of the model's")],
)
def test_patterns_that_choose_nothing_are_refused(model, pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chosen_parameters(model, pattern)


def test_presets_with_a_curriculum_are_there_at_each_moment() -> None:
    for name in PRESETS:
        moments = [one.progress for one in FOUND if one.name == name]
        assert moments == (list(MOMENTS) if ReSTConfig.preset(name).has_curriculum else [None])
