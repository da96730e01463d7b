"""Token weights against values by hand."""

import math
from dataclasses import replace

import pytest
import torch

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig, token_weights

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
M = -1  # masked
LN2, LN4, LN8 = math.log(2), math.log(4), math.log(8)  # 1 / (1 - exp(-H)): 2, 4/3, 8/7
NAN = float("nan")

PAPER = ReSTConfig.preset("paper")
WIDE = replace(PAPER, w_min=0.5, w_max=2.0)
STATIC = ReSTConfig.preset("static")
OFFICIAL = ReSTConfig.preset("official")
NO_THINK = ReSTConfig.preset("no_think")
CALIBRATED = ReSTConfig.preset("calibrated")

NO_CURRICULUM = {"alpha_format": 0.0, "alpha_args": 0.0, "alpha_think": 0.0}

# Two rows; FORMAT has mean entropy ln 2, THINK (3 + 1 + 2) / 3 · ln 2 = ln 4. With weights 2 and
# 4/3 the four tokens sum to 6, so the scale is 2/3: FORMAT 4/3, THINK 8/9.
REGIONS = [[F, K, M], [K, K, M]]
ENTROPY = [[LN2, LN8, NAN], [LN2, LN4, NAN]]

# why, config, regions, entropy, progress, step, expected
CASES = [
    (
        "static: FORMAT clipped to 1.2; row mean (6/5 + 8/9) / 2 = 47/45",
        STATIC, REGIONS, ENTROPY, None, None,
        [[54 / 47, 40 / 47, 0], [1, 1, 0]],
    ),
    (
        "nothing clipped, half way: FORMAT 4/3 - 0.1, THINK 8/9 + 0.1, row mean 10/9",
        WIDE, REGIONS, ENTROPY, 0.5, None,
        [[1.11, 0.89, 0], [1, 1, 0]],
    ),
    (
        "paper, half way: FORMAT 1.2 - 0.1, THINK 8/9 + 0.1, row mean 94/90",
        PAPER, REGIONS, ENTROPY, 0.5, None,
        [[99 / 94, 89 / 94, 0], [1, 1, 0]],
    ),
    (
        "no_think: THINK 0, so the one token left is its own mean; THINK alone has no gradient",
        NO_THINK, REGIONS, ENTROPY, 0.5, None,
        [[1, 0, 0], [0, 0, 0]],
    ),
    (
        "no_think over all sampled tokens: the one token left has the row's two weights",
        replace(NO_THINK, normalise_over="sampled"), REGIONS, ENTROPY, 0.5, None,
        [[2, 0, 0], [0, 0, 0]],
    ),
    (
        "no_think leaves TEXT its weight, over the token that trains",
        NO_THINK, [[K, X]], [[LN2, LN2]], 0.0, None,
        [[0, 1]],
    ),
    (
        "sequence scope: weights 2 and 8/7 | 4/3 twice, scale 42/61, FORMAT clipped to 1.2",
        replace(STATIC, scope="sequence"), REGIONS, [[LN2, LN8, NAN], [LN4, LN4, NAN]], None, None,
        [[122 / 101, 80 / 101, 0], [1, 1, 0]],
    ),
    (
        "inverse rule: weights 1 and 1/2 sum to 5/2 over four tokens: 8/5 -> 1.2 and 4/5",
        replace(STATIC, entropy_rule="inverse"), REGIONS, [[1, 2, NAN], [3, 1, NAN]], None, None,
        [[1.2, 0.8, 0], [1, 1, 0]],
    ),
    (
        "certain regions: H floored at 0.5, weights 2 and 1 over two tokens: 4/3 -> 1.2 and 2/3",
        replace(STATIC, entropy_rule="inverse", entropy_floor=0.5), [[F, K]], [[0, 1]], None, None,
        [[9 / 7, 5 / 7]],
    ),
    (
        "TEXT has its own entropy and THINK's rise: K 4/3 -> 1.2, X 2/3, at the end 1.2 and 13/15",
        replace(PAPER, entropy_rule="inverse"), [[K, X]], [[1, 2]], 1.0, None,
        [[36 / 31, 26 / 31]],
    ),
    (
        "token: one weight a token, as the static case but for ln 2 and ln 4 alone",
        ReSTConfig.preset("token"), [[K, K, M], [A, F, M]], [[LN2, LN4, NAN], [LN4, LN4, NAN]],
        None, None,
        [[54 / 47, 40 / 47, 0], [1, 1, 0]],
    ),
    (
        "official at step 100: 1, 1.2, 0.8, 0.8, 0; mean 3.8 / 4 over the four that train",
        OFFICIAL, [[F, N, A, K, X]], None, None, 100,
        [[20 / 19, 24 / 19, 16 / 19, 16 / 19, 0]],
    ),
    (
        "official at step 400: 1, 1.2, 1.2, 1, 0; mean 4.4 / 4 over the four that train",
        OFFICIAL, [[F, N, A, K, X]], None, None, 400,
        [[10 / 11, 12 / 11, 12 / 11, 10 / 11, 0]],
    ),
    (
        "official over all sampled tokens at step 100: mean 3.8 / 5",
        replace(OFFICIAL, normalise_over="sampled"), [[F, N, A, K, X]], None, None, 100,
        [[25 / 19, 30 / 19, 20 / 19, 20 / 19, 0]],
    ),
    (
        "the ceiling, over all sampled tokens: 6 would be mean 1, w_cap is 4",
        replace(OFFICIAL, normalise_over="sampled"), [[F, X, X, X, X, X]], None, None, 0,
        [[4, 0, 0, 0, 0, 0]],
    ),
    (
        "a ceiling of 1.25: FORMAT 8 and THINK 4 of mean 5 would be 1.6 and 0.8; 2.75 / 3 is left",
        replace(OFFICIAL, gamma_format=8.0, gamma_think=4.0, cap_think=4.0, w_cap=1.25),
        [[F, K, K, K]], None, None, 0,
        [[5 / 4, 11 / 12, 11 / 12, 11 / 12]],
    ),
    (
        "calibrated: FORMAT 1.2 where 0.7 · 2 = 1.4, and 2.8 / 3 for THINK; row mean 16/15",
        replace(CALIBRATED, **NO_CURRICULUM), REGIONS, ENTROPY, None, None,
        [[9 / 8, 7 / 8, 0], [1, 1, 0]],
    ),
    (
        "calibrated at the start: 2, 2, 4/3, 4/3 times 3/5, of mean 1 and within the bounds",
        CALIBRATED, [[F, N, K, K]], [[LN2, LN2, LN4, LN4]], 0.0, None,
        [[1.2, 1.2, 0.8, 0.8]],
    ),
    (
        "calibrated at the end: NAME keeps 1.2; 1.0, 1.0, 1.0 share the 2.8 that it leaves",
        CALIBRATED, [[F, N, K, K]], [[LN2, LN2, LN4, LN4]], 1.0, None,
        [[14 / 15, 6 / 5, 14 / 15, 14 / 15]],
    ),
    (
        "NAME constant before normalisation instead: 1.0, 1.2, 1.0, 1.0 have mean 1.05",
        replace(CALIBRATED, constant_name="before"), [[F, N, K, K]], [[LN2, LN2, LN4, LN4]],
        1.0, None,
        [[20 / 21, 8 / 7, 20 / 21, 20 / 21]],
    ),
    (
        "each row holds its own NAME: 1.2 / 1.0 of three tokens, 1.2 / 1.1 of two",
        replace(CALIBRATED, gamma_format=1.0, gamma_name=1.2, gamma_think=0.8, gamma_args=1.0),
        [[F, N, K], [F, N, M]], [[1.0, 1, 1], [1, 1, NAN]], 1.0, None,
        [[0.8, 1.2, 1.0], [10 / 11, 12 / 11, 0]],
    ),
    (
        "one token beside held names takes what they leave, though it is less than a token's worth",
        replace(CALIBRATED, gamma_format=0.6, gamma_name=1.2), [[F, N, N]], [[1.0, 1, 1]],
        1.0, None,
        [[0.6, 1.2, 1.2]],
    ),
    (
        "tool_tokens: the call alone",
        ReSTConfig.preset("tool_tokens"), [[F, N, A, K, X], [K, X, M, M, M]], None, None, None,
        [[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
    ),
    (
        "top_entropy: two of the batch's nine tokens, wherever they are",
        ReSTConfig.preset("top_entropy"), [[F, K, K, K, M], [K, K, A, X, X]],
        [[0.1, 5, 3, 1, 9], [0.1, 1, 0.2, 2, 4]], None, None,
        [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]],
    ),
    (
        "top_entropy: a row that has none of them, and ties, which are all in",
        ReSTConfig.preset("top_entropy"), [[K, K, K], [K, K, K]], [[5, 5, 5], [1, 1, 1]],
        None, None,
        [[1, 1, 1], [0, 0, 0]],
    ),
    (
        "an observation between two turns, and a row without any sampled token",
        ReSTConfig.preset("uniform"), [[K, F, M, M, X], [M, M, M, M, M]], None, None, None,
        [[1, 1, 0, 0, 1], [0, 0, 0, 0, 0]],
    ),
    (
        "a progress for each row: FORMAT 6/5 and THINK 4/5 at the start, half way 1.1 and 0.9",
        PAPER, [[F, K], [F, K]], [[LN2, LN4], [LN2, LN4]], [0.0, 0.5], None,
        [[1.2, 0.8], [1.1, 0.9]],
    ),
    (
        "official at steps 100 and 400, one row each, of the values above",
        OFFICIAL, [[F, N, A, K, X]] * 2, None, None, [100, 400],
        [[20 / 19, 24 / 19, 16 / 19, 16 / 19, 0], [10 / 11, 12 / 11, 12 / 11, 10 / 11, 0]],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "regions", "entropy", "progress", "step", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_by_hand(config, regions, entropy, progress, step, expected):
    weights, _ = token_weights(
        torch.tensor(regions),
        None if entropy is None else torch.tensor(entropy, dtype=torch.float32),
        progress=progress,
        config=config,
        step=step,
    )
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float32))


def test_uniform_is_one_to_the_last_bit():
    regions = torch.tensor([[0, 1, 2, 3, 4, -1, 3], [3, 3, 3, -1, -1, -1, -1]], dtype=torch.int8)
    weights, _ = token_weights(regions, config=ReSTConfig.preset("uniform"))
    assert weights.tolist() == [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0, 0, 0, 0]]
