"""Weights of mean 1 over each turn: values by hand, and what holds for any batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.algorithm.presets import PRESETS
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import token_weights

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
M = -1
# Weights that are not rounded: 1, 1.2, 0.8 and 0.8 at step 100.
OFFICIAL = ReSTConfig.preset("official")


def weights_of(
    config: ReSTConfig,
    regions: Tensor,
    entropy: Tensor | None = None,
    *,
    turns: Tensor | np.ndarray | None = None,
) -> Tensor:
    """Weights at progress 0.3 and step 100."""
    memory = EntropyMemory(share=config.entropy_ema)
    weights, _ = token_weights(
        regions, entropy, 0.3, config=config, step=100, memory=memory, turns=turns
    )
    return weights


@pytest.mark.parametrize(
    ("why", "turns", "expected"),
    [
        ("mean 3.8 / 4", [0, 0, 0, 0, 0, 0], [20 / 19, 24 / 19, 16 / 19, 0, 16 / 19, 0]),
        ("1 and 1.2; 0.8; 0.8", [0, 0, 1, 1, 2, 2], [10 / 11, 12 / 11, 1, 0, 1, 0]),
        ("a masked token is in none", [0, 0, 1, -1, 2, 2], [10 / 11, 12 / 11, 1, 0, 1, 0]),
        ("text alone stays 0", [0, 0, 0, 0, 0, 1], [20 / 19, 24 / 19, 16 / 19, 0, 16 / 19, 0]),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_by_hand(why: str, turns: list[int], expected: list[float]) -> None:
    regions = torch.tensor([[F, N, A, M, K, X]])
    config = replace(OFFICIAL, weights_per="turn")
    weights = weights_of(config, regions, turns=torch.tensor([turns]))
    assert weights[0].tolist() == pytest.approx(expected), why


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Regions, entropies and turns, (B, T); turns are runs, of lengths from 0."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 12)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    regions = torch.randint(-1, 5, shape, generator=generator)
    entropy = torch.rand(shape, generator=generator) * draw(st.sampled_from([0.1, 3.0]))
    steps = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.1, 0.5]))
    return regions, entropy, steps.long().cumsum(1)


@st.composite
def configs(draw: st.DrawFn) -> ReSTConfig:
    """A preset, with the options that normalisation looks at drawn anew."""
    config = ReSTConfig.preset(draw(st.sampled_from(list(PRESETS))))
    if config.scope == "batch":
        scope = draw(st.sampled_from(["batch", "sequence"]))
        ema = draw(st.sampled_from([0.0, 0.5])) if scope == "batch" else 0.0
        config = replace(config, scope=scope, entropy_ema=ema)
    return replace(
        config,
        normalise_over=draw(st.sampled_from(["trained", "sampled"])),
        constant_name=draw(st.sampled_from(["before", "after"])),
        shuffle=draw(st.booleans()),
        w_cap=draw(st.sampled_from([1.0, 1.3, 4.0])),
    )


@given(batch=conversations(), config=configs())
@settings(deadline=None, max_examples=300)
def test_mean_one_over_each_turn(batch: tuple[Tensor, Tensor, Tensor], config: ReSTConfig) -> None:
    regions, entropy, turns = batch
    config = replace(config, weights_per="turn")
    weights = weights_of(config, regions, entropy, turns=turns)
    assert weights.min() >= 0
    assert weights.max() <= config.w_cap * (1 + 1e-6)
    assert not weights[regions < 0].any()
    for turn in range(int(turns.max()) + 1):
        in_turn = turns == turn
        sampled = ((regions >= 0) & in_turn).sum(1)
        trained = ((weights > 0) & in_turn).sum(1).double()
        expected = trained
        if config.normalise_over == "sampled":
            expected = torch.minimum(sampled.double(), config.w_cap * trained)
        found = (weights.double() * in_turn).sum(1)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


@given(batch=conversations(), config=configs())
@settings(deadline=None)
def test_a_turn_is_what_it_would_be_as_a_response(
    batch: tuple[Tensor, Tensor, Tensor], config: ReSTConfig
) -> None:
    """But for what looks at the response itself: its own entropies, its permutation."""
    regions, entropy, turns = batch
    scope = "batch" if config.scope == "sequence" else config.scope
    config = replace(config, scope=scope, shuffle=False)
    per_turn = weights_of(replace(config, weights_per="turn"), regions, entropy, turns=turns)
    rows = [regions.masked_fill(turns != turn, M) for turn in range(int(turns.max()) + 1)]
    alone = weights_of(config, torch.cat(rows), entropy.repeat(len(rows), 1))
    together = alone.reshape(len(rows), *regions.shape).sum(0)
    torch.testing.assert_close(per_turn, together, rtol=1e-5, atol=1e-6)


@given(batch=conversations(), config=configs())
@settings(deadline=None)
def test_a_response_of_one_turn_and_turns_unread_are_the_response_to_the_last_bit(
    batch: tuple[Tensor, Tensor, Tensor], config: ReSTConfig
) -> None:
    regions, entropy, turns = batch
    expected = weights_of(config, regions, entropy)
    assert torch.equal(weights_of(config, regions, entropy, turns=turns), expected)
    per_turn = replace(config, weights_per="turn")
    assert torch.equal(weights_of(per_turn, regions, entropy), expected)
    one = torch.where(regions >= 0, 0, M)
    assert torch.equal(weights_of(per_turn, regions, entropy, turns=one), expected)
    assert torch.equal(weights_of(per_turn, regions, entropy, turns=one.numpy()), expected)


@given(batch=conversations(), config=configs())
@settings(deadline=None)
def test_statistics_are_of_the_weights(
    batch: tuple[Tensor, Tensor, Tensor], config: ReSTConfig
) -> None:
    regions, entropy, turns = batch
    config = replace(config, weights_per="turn")
    memory = EntropyMemory(share=config.entropy_ema)
    weights, stats = token_weights(
        regions, entropy, 0.3, config=config, step=100, memory=memory, turns=turns
    )
    for region in Region:
        member = regions == region
        name = region.name.lower()
        if member.any():
            assert stats[f"rest/weight/{name}"] == pytest.approx(float(weights[member].mean()))
    labelled = regions >= 0
    zeros = int((weights[labelled] == 0).sum()) / max(1, int(labelled.sum()))
    assert stats["rest/zero_weight_share"] == pytest.approx(zeros)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (torch.zeros(1, 2, dtype=torch.long), r"integers of the regions' shape \(1, 3\)"),
        (torch.zeros(1, 3), r"got torch.float32 of shape \(1, 3\)"),
        (np.array([[0, -1, 0]]), r"turns lacks a turn \(-1\) where regions has a label"),
    ],
    ids=["shape", "type", "a label in no turn"],
)
def test_turns_that_do_not_fit_are_refused(turns: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weights_of(replace(OFFICIAL, weights_per="turn"), torch.tensor([[F, N, A]]), turns=turns)
