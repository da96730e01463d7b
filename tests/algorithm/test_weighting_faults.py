"""Faults that the weights had: a name that sinks, and weights without a bound.

Scaling before clipping pushed NAME, which decides the reward, below THINK; regions of weight 0 left
2,048 times the usual weight on the single token beside them.
"""

from dataclasses import replace
from itertools import product

import pytest
import torch

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import region_weights, token_weights

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
PAPER = ReSTConfig.preset("paper")
CALIBRATED = ReSTConfig.preset("calibrated")
T = 2048  # tokens of a response, the paper's

# What a call's tokens are, as a share: a call of Qwen's template, about 16 FORMAT, 5 NAME, 39 ARGS.
CALL = (0.27, 0.08, 0.65)


def weights_at(progress, entropies, tokens, config) -> list[float]:
    """F, N, A, T of a batch with those mean entropies (nats) and numbers of tokens."""
    count_BR = torch.tensor([[*tokens, 0.0]], dtype=torch.float64)
    entropy_BR = torch.tensor([[*entropies, 0.0]], dtype=torch.float64) * count_BR
    return region_weights(entropy_BR, count_BR, progress, config)[0, :4].tolist()


# ---- NAME below THINK --------------------------------------------------------------------------

# The review's example: F, N, A, T of .03, .3, .3, .6 nats, 70 % THINK, 8 % FORMAT, 2.5 % NAME.
EXAMPLE = (0.03, 0.3, 0.3, 0.6), (80, 25, 195, 700)

# why, config, progress, F, N, A, T
PUBLISHED = [
    ("paper at the start, as published", PAPER, 0.0, (1.76, 1.11, 1.11, 0.88)),
    ("paper at the end: NAME is below THINK", PAPER, 1.0, (1.18, 0.89, 1.13, 0.95)),
    # 300 tokens at 1.2 leave 640 to 700 of THINK
    ("calibrated at the start", CALIBRATED, 0.0, (1.2, 1.2, 1.2, 0.914)),
    # 1.0, 1.2 held, 1.2 (at its bound), 1.114 for THINK: 970 / 1094 for all but NAME
    ("calibrated at the end: NAME as it was", CALIBRATED, 1.0, (0.887, 1.2, 1.064, 0.988)),
]


@pytest.mark.parametrize(
    ("config", "progress", "expected"),
    [case[1:] for case in PUBLISHED],
    ids=[case[0] for case in PUBLISHED],
)
def test_the_reviews_example(config, progress, expected):
    assert weights_at(progress, *EXAMPLE, config) == pytest.approx(expected, abs=5e-3)


# Names more certain than thoughts, as they are wherever ResT's idea applies.
REALISTIC = [
    ((f, n, a, k), (*(1000 * (1 - think) * part for part in CALL), 1000 * think))
    for f, n, a, k, think in product(
        (0.003, 0.01, 0.02, 0.03),
        (0.1, 0.2, 0.3, 0.4),
        (0.1, 0.2, 0.3, 0.5),
        (0.5, 0.6, 0.8, 1.0),
        (0.5, 0.7, 0.85),
    )
]


def share_of_names_not_below_thoughts(config, progress) -> float:
    rows = [weights_at(progress, *case, config) for case in REALISTIC]
    return sum(row[N] >= row[K] - 1e-9 for row in rows) / len(rows)


# config, progress, share of the 768 combinations in which NAME is not below THINK
MEASURED = [
    (CALIBRATED, 0.0, 1.0),
    (CALIBRATED, 0.5, 1.0),
    (CALIBRATED, 1.0, 1.0),
    # NAME constant before normalisation only: it falls as ARGS and THINK rise
    (replace(CALIBRATED, constant_name="before"), 1.0, 0.9375),
    (PAPER, 0.0, 1.0),
    (PAPER, 0.5, 0.3698),
    (PAPER, 1.0, 0.3242),
    # constant after normalisation is not enough: the scale has put it too low at the start
    (replace(PAPER, constant_name="after"), 1.0, 0.4180),
]


@pytest.mark.parametrize(("config", "progress", "expected"), MEASURED)
def test_how_often_names_stay_above_thoughts(config, progress, expected):
    share = share_of_names_not_below_thoughts(config, progress)
    assert share == pytest.approx(expected, abs=1e-3)
    if config == CALIBRATED:
        assert share >= 0.95


def test_what_calibrated_cannot_keep_above():
    # a name hardly more certain than the thoughts starts just above them, and the curriculum
    # lifts them past it: it is constant, no more
    batch = (0.1, 0.55, 0.3, 0.6), (135, 40, 325, 500)
    start, end = (weights_at(progress, *batch, CALIBRATED) for progress in (0.0, 1.0))
    assert start == pytest.approx([1.2, 0.880, 1.2, 0.826], abs=5e-4)
    assert end == pytest.approx([0.930, 0.880, 1.116, 0.953], abs=5e-4)


def test_what_is_set_does_not_flatten_the_others():
    # without its thoughts, a batch is weighed as if they were not there
    regions = torch.tensor([[F] * 20 + [N] * 5 + [A] * 30 + [K] * 100])
    entropy = torch.tensor([0.05, 0.3, 0.5, 0.9, 0.0])[regions]
    config = replace(CALIBRATED, gamma_think=0.0)
    set_to_0, _ = token_weights(regions, entropy, 0.0, config=config)
    masked = regions.masked_fill(regions == K, -1)
    assert torch.equal(set_to_0, token_weights(masked, entropy, 0.0, config=CALIBRATED)[0])
    assert set_to_0[0, [0, 20, 25]].tolist() == pytest.approx([1.2, 1.2, 5 / 6])


# ---- weights without a bound -------------------------------------------------------------------

TEXT_AND_END = [X] * (T - 1) + [F]  # an answer of text; the end-of-turn token is FORMAT
CUT_THOUGHT = [F] + [K] * (T - 1)  # `<think>` and a thought that met the length limit
SEVENTY = [F] * 164 + [N] * 51 + [A] * 399 + [K] * 1434  # 70 % THINK of 2,048


def weights_of(regions, config):
    regions = torch.tensor([regions])
    entropy = torch.tensor([0.03, 0.3, 0.3, 0.6, 0.6])[regions]
    weights, stats = token_weights(regions, entropy, 0.0, config=config, step=0)
    return weights[0], stats


@pytest.mark.parametrize(
    ("preset", "regions"),
    [
        ("official", TEXT_AND_END),
        ("tool_tokens", TEXT_AND_END),
        ("no_think", CUT_THOUGHT),
        ("tool_tokens", CUT_THOUGHT),
    ],
    ids=["official, text", "tool_tokens, text", "no_think, thought", "tool_tokens, thought"],
)
def test_the_one_token_that_trains_weighs_1(preset, regions):
    # its gradient is that of one token of T; over all sampled tokens it was T times that
    weights, stats = weights_of(regions, ReSTConfig.preset(preset))
    is_format = torch.tensor(regions) == F
    assert weights[is_format].tolist() == [pytest.approx(1)]
    assert weights[~is_format].sum() == 0
    assert stats["rest/ceiling_share"] == 0
    assert stats["rest/zero_weight_share"] == (T - 1) / T
    assert stats["rest/format_only_share"] == 1


@pytest.mark.parametrize(
    ("preset", "regions"), [("official", TEXT_AND_END), ("no_think", CUT_THOUGHT)]
)
def test_over_all_sampled_tokens_the_ceiling_holds(preset, regions):
    config = replace(ReSTConfig.preset(preset), normalise_over="sampled")
    weights, stats = weights_of(regions, config)
    assert weights.max() == config.w_cap == 4.0
    assert stats["rest/ceiling_share"] == 1 / T


def test_leaving_out_the_thoughts_is_no_longer_step_for_the_others():
    # paper without THINK is paper's other weights over their own mean, not times 1 / 30 %
    paper, _ = weights_of(SEVENTY, PAPER)
    no_think, _ = weights_of(SEVENTY, ReSTConfig.preset("no_think"))
    others = torch.tensor(SEVENTY) != K
    assert no_think[others].mean().item() == pytest.approx(1)
    assert no_think[~others].max() == 0
    ratio = no_think[others] / paper[others]
    # one factor for all of them: paper's mean over them is above 1, since THINK's is below
    assert ratio.max().item() == pytest.approx(ratio.min().item(), rel=1e-5)
    assert ratio.max().item() == pytest.approx(1 / paper[others].mean().item(), rel=1e-5)
    assert 0.7 < ratio.max() < 1

    sampled, _ = weights_of(
        SEVENTY, replace(ReSTConfig.preset("no_think"), normalise_over="sampled", w_cap=1e6)
    )
    assert (sampled[others] / no_think[others]).max().item() == pytest.approx(T / 614, rel=1e-5)
