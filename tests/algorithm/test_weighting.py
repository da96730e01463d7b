"""Token weights against values by hand, and what holds for any batch."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig, token_weights

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
M = -1  # masked
LN2, LN4, LN8 = math.log(2), math.log(4), math.log(8)  # 1 / (1 - exp(-H)): 2, 4/3, 8/7
NAN = float("nan")

PAPER = ReSTConfig.preset("paper")
WIDE = replace(PAPER, w_min=0.5, w_max=2.0)
STATIC = ReSTConfig.preset("static")

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
        "no_think, half way: FORMAT as in paper, THINK 0; a row of THINK alone has no gradient",
        ReSTConfig.preset("no_think"), REGIONS, ENTROPY, 0.5, None,
        [[2, 0, 0], [0, 0, 0]],
    ),
    (
        "no_think leaves TEXT its weight",
        ReSTConfig.preset("no_think"), [[K, X]], [[LN2, LN2]], 0.0, None,
        [[0, 2]],
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
        "official at step 100: 1, 1.2, 0.8, 0.8, 0; row mean 0.76",
        ReSTConfig.preset("official"), [[F, N, A, K, X]], None, None, 100,
        [[25 / 19, 30 / 19, 20 / 19, 20 / 19, 0]],
    ),
    (
        "official at step 400: 1, 1.2, 1.2, 1, 0; row mean 0.88",
        ReSTConfig.preset("official"), [[F, N, A, K, X]], None, None, 400,
        [[25 / 22, 30 / 22, 30 / 22, 25 / 22, 0]],
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
        "official at steps 100 and 400, one row each",
        ReSTConfig.preset("official"), [[F, N, A, K, X]] * 2, None, None, [100, 400],
        [[25 / 19, 30 / 19, 20 / 19, 20 / 19, 0], [25 / 22, 30 / 22, 30 / 22, 25 / 22, 0]],
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


def test_statistics_by_hand():
    # weights [[2, 0, 0], [0, 0, 0]]; NAME, ARGS and TEXT are absent, which is not zero
    _, stats = token_weights(
        torch.tensor(REGIONS),
        torch.tensor(ENTROPY),
        progress=0.5,
        config=ReSTConfig.preset("no_think"),
    )
    assert stats == pytest.approx(
        {
            "rest/entropy/format": LN2,
            "rest/entropy/think": LN4,
            "rest/weight/format": 2.0,
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
            "rest/progress": 0.5,
        }
    )
    assert all(type(value) is float for value in stats.values())


@pytest.mark.parametrize("preset", ["paper", "uniform", "token"])
@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (2, 0)])
def test_batch_without_sampled_tokens(preset, shape):
    weights, stats = token_weights(
        torch.full(shape, -1), torch.full(shape, NAN), 0.5, config=ReSTConfig.preset(preset)
    )
    assert weights.tolist() == torch.zeros(shape).tolist()
    assert not any("/weight/" in name or "/entropy/" in name for name in stats)
    assert all(math.isfinite(value) for value in stats.values())


def test_numpy_in_tensor_out():
    weights, _ = token_weights(
        np.array(REGIONS, dtype=np.int8), np.array(ENTROPY), 0.5, config=PAPER
    )
    torch.testing.assert_close(weights, torch.tensor([[99 / 94, 89 / 94, 0], [1, 1, 0]]))


def test_no_gradient_flows_into_weights():
    entropy = torch.tensor(ENTROPY, requires_grad=True)
    weights, _ = token_weights(torch.tensor(REGIONS), entropy, 0.5, config=PAPER)
    assert not weights.requires_grad


OK_REGIONS, OK_ENTROPY = torch.tensor([[0, 3], [3, -1]]), torch.tensor([[0.1, 1.0], [1.0, 0.0]])
# message, arguments, keywords
REFUSED = [
    ("integers", (OK_ENTROPY, OK_ENTROPY), {"progress": 0.0}),
    (r"shape \(B, T\)", (OK_REGIONS[0], OK_ENTROPY[0]), {"progress": 0.0}),
    ("-1 .* to 4, got -2", (OK_REGIONS * 2, OK_ENTROPY), {"progress": 0.0}),
    ("to 9", (torch.tensor([[9]]), torch.tensor([[1.0]])), {"progress": 0.0}),
    ("same shape", (OK_REGIONS, OK_ENTROPY[:1]), {"progress": 0.0}),
    ("pass the old policy's entropy", (OK_REGIONS,), {"progress": 0.0}),
    (
        "row 1, token 0 is nan",
        (OK_REGIONS, torch.tensor([[0.1, 1.0], [NAN, 0.0]])),
        {"progress": 0.0},
    ),
    (
        "row 0, token 1 is inf",
        (OK_REGIONS, torch.tensor([[0.1, math.inf], [1.0, NAN]])),
        {"progress": 0.0},
    ),
    ("curriculum: pass progress", (OK_REGIONS, OK_ENTROPY), {}),
    ("curriculum: pass step", (OK_REGIONS,), {"config": ReSTConfig.preset("official")}),
    (r"progress must lie in \[0, 1\]", (OK_REGIONS, OK_ENTROPY), {"progress": 1.5}),
    (r"progress must lie in \[0, 1\]", (OK_REGIONS, OK_ENTROPY), {"progress": NAN}),
    ("step must not be negative", (OK_REGIONS, OK_ENTROPY), {"progress": 0.0, "step": -1}),
    (r"progress .* in \[0, 1\].*, got 1.5", (OK_REGIONS, OK_ENTROPY), {"progress": [0.5, 1.5]}),
    (r"progress .* in \[0, 1\].*, got nan", (OK_REGIONS, OK_ENTROPY), {"progress": [NAN, 0.5]}),
    ("negative, got -1", (OK_REGIONS, OK_ENTROPY), {"progress": 0.0, "step": np.array([3, -1])}),
    (r"each of the 2 rows, got .*\(3,\)", (OK_REGIONS, OK_ENTROPY), {"progress": [0.0] * 3}),
    (r"each of the 2 rows, got .*\(2, 1\)", (OK_REGIONS, OK_ENTROPY), {"progress": [[0.0]] * 2}),
]


@pytest.mark.parametrize(("message", "arguments", "keywords"), REFUSED)
def test_refused(message, arguments, keywords):
    with pytest.raises(ValueError, match=message):
        token_weights(*arguments, **{"config": PAPER, **keywords})


def test_progress_is_logged_as_the_mean_over_rows_with_tokens():
    regions = torch.tensor([[F, K], [F, M], [M, M]])  # the last: verl's padding
    entropy = torch.ones(regions.shape)
    _, stats = token_weights(regions, entropy, [0.1, 0.2, 0.9], config=PAPER)
    assert stats["rest/progress"] == pytest.approx(0.15)
    _, stats = token_weights(torch.full((2, 2), M), torch.ones(2, 2), [0.1, 0.2], config=PAPER)
    assert "rest/progress" not in stats  # absent is not zero


# ---- properties --------------------------------------------------------------------------------

SHAPES = st_np.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)


@st.composite
def batches(draw):
    """(regions, entropy); entropies of masked tokens are NaN, as if never written."""
    shape = draw(SHAPES)
    regions = draw(st_np.arrays(np.int8, shape, elements=st.integers(-1, 4)))
    entropy = draw(st_np.arrays(np.float64, shape, elements=st.floats(0, 12)))
    return torch.tensor(regions), torch.tensor(np.where(regions < 0, NAN, entropy))


def configs():
    named = st.sampled_from(["paper", "official", "static", "no_think", "uniform", "token"]).map(
        ReSTConfig.preset
    )
    changed = st.builds(
        ReSTConfig,
        scope=st.sampled_from(["batch", "sequence"]),
        entropy_rule=st.sampled_from(["score_norm", "inverse"]),
        w_min=st.floats(0.1, 0.9),
        w_max=st.floats(1.0, 4.0),
        alpha_format=st.floats(0, 1),
        alpha_args=st.floats(0, 1),
        alpha_think=st.floats(0, 1),
    )
    return named | changed


@given(batch=batches(), config=configs(), progress=st.floats(0, 1), step=st.integers(0, 500))
@settings(deadline=None)
def test_mean_masks_and_bounds(batch, config, progress, step):
    regions, entropy = batch
    weights, stats = token_weights(regions, entropy, progress, config=config, step=step)
    assert torch.all(weights[regions < 0] == 0)
    for row_weights, row_regions in zip(weights, regions, strict=True):
        sampled = row_weights[row_regions >= 0]
        positive = sampled[sampled > 0]
        if len(positive):
            assert sampled.mean().item() == pytest.approx(1, abs=1e-5)
            # normalisation keeps ratios, so the bounds show in them
            assert positive.max() / positive.min() <= config.w_max / config.w_min * (1 + 1e-6)
    shares = [value for name, value in stats.items() if "_share/" in name]
    assert sum(shares) == pytest.approx(0 if (regions < 0).all() else 1 + bool(weights.any()))


@given(batch=batches(), config=configs(), progress=st.floats(0, 1), step=st.integers(0, 500))
@settings(deadline=None)
def test_one_clock_for_each_row_is_that_rows_clock(batch, config, progress, step):
    regions, entropy = batch
    once = token_weights(regions, entropy, progress, config=config, step=step)
    rows = torch.full((len(regions),), progress, dtype=torch.float64), np.full(len(regions), step)
    each = token_weights(regions, entropy, rows[0], config=config, step=rows[1])
    assert torch.equal(once[0], each[0])
    assert {**once[1], **each[1]} == once[1]  # rest/progress is absent where no row has tokens
    rows[0][1:], rows[1][1:] = 1 - progress, step + 1
    other = token_weights(regions, entropy, rows[0], config=config, step=rows[1])
    assert torch.equal(once[0][0], other[0][0])  # other rows' clocks do not show


@given(batch=batches(), progress=st.floats(0, 1), config=configs())
@settings(deadline=None)
def test_padding_and_order_of_rows_do_not_show(batch, config, progress):
    regions, entropy = batch
    weights, stats = token_weights(regions, entropy, progress, config=config, step=7)

    longer = torch.nn.functional.pad(regions, (0, 5), value=-1)
    padded, padded_stats = token_weights(
        longer, torch.nn.functional.pad(entropy, (0, 5), value=NAN), progress, config=config, step=7
    )
    assert torch.equal(padded[:, :-5], weights)  # sums run along the row: exact
    assert padded_stats == stats

    more_rows, _ = token_weights(
        torch.nn.functional.pad(regions, (0, 0, 0, 3), value=-1),
        torch.nn.functional.pad(entropy, (0, 0, 0, 3), value=NAN),
        progress,
        config=config,
        step=7,
    )
    torch.testing.assert_close(more_rows[:-3], weights, rtol=1e-6, atol=0)

    reversed_rows, reversed_stats = token_weights(
        regions.flip(0), entropy.flip(0), progress, config=config, step=7
    )
    torch.testing.assert_close(reversed_rows.flip(0), weights, rtol=1e-6, atol=0)
    assert reversed_stats == pytest.approx(stats, rel=1e-9)


@given(batch=batches(), rule=st.sampled_from(["score_norm", "inverse"]))
@settings(deadline=None)
def test_lower_entropy_never_weighs_less(batch, rule):
    regions, entropy = batch
    assume((regions >= 0).all(1).any())
    config = replace(STATIC, entropy_rule=rule)
    weights, stats = token_weights(regions, entropy, config=config)
    row = int((regions >= 0).all(1).int().argmax())
    in_row = dict(zip(map(Region, regions[row].tolist()), weights[row].tolist(), strict=True))
    by_entropy = sorted(in_row, key=lambda region: stats[f"rest/entropy/{region.name.lower()}"])
    for lower, higher in pairwise(by_entropy):
        assert in_row[lower] >= in_row[higher]
