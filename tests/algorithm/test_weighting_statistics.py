"""What is logged of a batch's weights, by hand."""

import math
from dataclasses import replace

import pytest
import torch

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig, token_weights

F, K, X = Region.FORMAT, Region.THINK, Region.TEXT
M = -1  # masked
LN2, LN4, LN8 = math.log(2), math.log(4), math.log(8)
NAN = float("nan")

PAPER = ReSTConfig.preset("paper")
OFFICIAL = ReSTConfig.preset("official")
ALL_ONE = {f"gamma_{name}": 1.0 for name in ("format", "name", "args", "think", "text")}


def test_statistics_by_hand():
    # FORMAT's mean entropy is ln 2, THINK's (3 + 1 + 2) / 3 · ln 2 = ln 4
    # weights [[1, 0, 0], [0, 0, 0]]; NAME, ARGS and TEXT are absent, which is not zero
    _, stats = token_weights(
        torch.tensor([[F, K, M], [K, K, M]]),
        torch.tensor([[LN2, LN8, NAN], [LN2, LN4, NAN]]),
        progress=0.5,
        config=ReSTConfig.preset("no_think"),
    )
    assert stats == pytest.approx(
        {
            "rest/entropy/format": LN2,
            "rest/entropy/think": LN4,
            "rest/weight/format": 1.0,
            "rest/weight/think": 0.0,
            "rest/token_share/format": 0.25,
            "rest/token_share/name": 0.0,
            "rest/token_share/args": 0.0,
            "rest/token_share/think": 0.75,
            "rest/token_share/text": 0.0,
            "rest/weight_share/format": 1.0,
            "rest/weight_share/name": 0.0,
            "rest/weight_share/args": 0.0,
            "rest/weight_share/think": 0.0,
            "rest/weight_share/text": 0.0,
            "rest/zero_weight_share": 0.75,
            "rest/ceiling_share": 0.0,
            "rest/format_only_share": 0.5,
            "rest/progress": 0.5,
        }
    )
    assert all(type(value) is float for value in stats.values())


# why, config, regions, share of the labelled tokens at the ceiling
CEILINGS = [
    (
        "one of six labelled tokens", replace(OFFICIAL, normalise_over="sampled"),
        [[F, X, X, X, X, X, M]], 1 / 6,
    ),
    (
        "the masked token has no part in a share of the batch: one of eight",
        replace(OFFICIAL, normalise_over="sampled"), [[F, X, X, X, X, X], [F, F, M, M, M, M]],
        1 / 8,
    ),
    ("no token", PAPER, [[F, K, M]], 0),
    ("a ceiling of 1 is where uniform is", replace(PAPER, **ALL_ONE, w_cap=1.0), [[F, K, M]], 1),
    (
        "single tokens: 1.2 and 0.8 under a ceiling of 1.1 are 1.1 and 0.9",
        replace(ReSTConfig.preset("token"), w_cap=1.1), [[F, K]], 1 / 2,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "regions", "expected"), [case[1:] for case in CEILINGS],
    ids=[case[0] for case in CEILINGS],
)  # fmt: skip
def test_the_share_at_the_ceiling_by_hand(config, regions, expected):
    regions = torch.tensor(regions)
    entropy = torch.where(regions == F, LN2, LN4)
    _, stats = token_weights(regions, entropy, 0.0, config=config, step=0)
    assert stats["rest/ceiling_share"] == pytest.approx(expected)


def test_progress_is_logged_as_the_mean_over_rows_with_tokens():
    regions = torch.tensor([[F, K], [F, M], [M, M]])  # the last: verl's padding
    entropy = torch.ones(regions.shape)
    _, stats = token_weights(regions, entropy, [0.1, 0.2, 0.9], config=PAPER)
    assert stats["rest/progress"] == pytest.approx(0.15)
    _, stats = token_weights(torch.full((2, 2), M), torch.ones(2, 2), [0.1, 0.2], config=PAPER)
    assert "rest/progress" not in stats  # absent is not zero
