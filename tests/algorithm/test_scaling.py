"""From entropies to base weights: the exact factor of a clipped sum, and the rules and scales."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.scaling import base_weights, clipping_factor, entropy_weights

PAPER = ReSTConfig.preset("paper")
CALIBRATED = ReSTConfig.preset("calibrated")
TOP = ReSTConfig.preset("top_entropy")
LN2, LN4 = math.log(2), math.log(4)  # 1 / (1 - exp(-H)): 2, 4/3


def float64(*rows):
    return torch.tensor(rows, dtype=torch.float64)


# why, weights, counts, low, high, total, the factor
FACTORS = [
    ("nothing clipped: the plain factor, 2 tokens / (1 + 2)", [1, 2], [1, 1], 0.5, 2, None, 2 / 3),
    ("equal weights: 1 / weight", [5, 5, 5], [1, 2, 3], 0.6, 1.2, None, 0.2),
    ("one cell: 1 / weight", [0.25], [7], 0.6, 1.2, None, 4),
    (
        "the great one stays at 1.2, the others take (4 - 1.2) / 3 each, over their weight 4",
        [100, 4], [1, 3], 0.6, 1.2, None, 2.8 / 12,
    ),
    (
        "the small one stays at 0.6, the others take (4 - 0.6) / 3 each, over their weight 4",
        [0.1, 4], [1, 3], 0.6, 1.2, None, 3.4 / 12,
    ),
    (
        "one at each bound: 1.2 + 0.6 leave 1.2 of 3 tokens to the weight of 6",
        [90, 6, 0.5], [1, 1, 1], 0.6, 1.2, None, 0.2,
    ),
    (
        "a cell without tokens has no say, however great: as without it, 2 / 3",
        [1, 1e6, 2], [1, 0, 1], 0.5, 2, None, 2 / 3,
    ),
    ("a total of its own: 1.5 = 0.5 + 1", [1, 2], [1, 1], 0, 2, 1.5, 0.5),
    ("a ceiling: 4 + 2 = 6 where 1 and 3 scaled to 6 would give 4.5", [1, 3], [1, 1], 0, 4, 6, 2),
    ("no token at all", [1, 3], [0, 0], 0.6, 1.2, None, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "counts", "low", "high", "total", "expected"),
    [case[1:] for case in FACTORS],
    ids=[case[0] for case in FACTORS],
)
def test_the_factor_by_hand(weights, counts, low, high, total, expected):
    total = None if total is None else float64([total])
    factor = clipping_factor(float64(weights), float64(counts), low=low, high=high, total=total)
    assert factor.shape == (1, 1)
    assert float(factor) == pytest.approx(expected, rel=1e-14)


def test_where_many_factors_give_the_sum():
    # 2 tokens at 1.2 and 4 at 0.6 sum to 4.8, which any factor meets
    # from 1.2 / 1000 to 0.6 / 1: the weights are the same for all of them
    weights, counts = float64([1000, 1]), float64([2, 4])
    factor = clipping_factor(weights, counts, low=0.6, high=1.2, total=float64([4.8]))
    assert (factor * weights).clamp(0.6, 1.2).tolist() == [[1.2, 0.6]]


@st.composite
def cells(draw):
    """(weights, counts, low, high): a spread of up to 1e9, cells without tokens, ties."""
    num_cells = draw(st.integers(1, 8))
    some_weight = st.floats(1e-3, 1e6) | st.sampled_from([1e-3, 1.0, 1.5, 1e6])
    weights = draw(st.lists(some_weight, min_size=num_cells, max_size=num_cells))
    counts = draw(st.lists(st.integers(0, 5000), min_size=num_cells, max_size=num_cells))
    assume(sum(counts) > 0)
    low, high = draw(st.floats(0, 0.999)), draw(st.floats(1.001, 10))
    return float64(weights), float64(counts), low, high


@given(cells=cells())
@settings(deadline=None, max_examples=300)
def test_clipped_weights_have_mean_one(cells):
    weights, counts, low, high = cells
    factor = clipping_factor(weights, counts, low=low, high=high)
    assert torch.isfinite(factor).all()
    clipped = (factor * weights).clamp(low, high)
    assert float((clipped * counts).sum() / counts.sum()) == pytest.approx(1, abs=1e-12)


@given(cells=cells(), power=st.integers(-20, 20), scale=st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_the_scale_of_the_weights_does_not_show(cells, power, scale):
    weights, counts, low, high = cells

    def clipped(values):
        factor = clipping_factor(values, counts, low=low, high=high)
        return (factor * values).clamp(low, high)

    assert torch.equal(clipped(weights * 2.0**power), clipped(weights))  # a shift of the exponent
    torch.testing.assert_close(clipped(weights * scale), clipped(weights), rtol=1e-9, atol=0)


@given(rows=st.lists(cells().map(lambda row: row[:2]), min_size=1, max_size=4))
@settings(deadline=None)
def test_rows_side_by_side_are_solved_each_by_itself(rows):
    width = min(weights.shape[1] for weights, _ in rows)
    weights, counts = (torch.cat([row[i][:, :width] for row in rows]) for i in range(2))
    together = clipping_factor(weights, counts, low=0.6, high=1.2)
    alone = [
        clipping_factor(weights[i : i + 1], counts[i : i + 1], low=0.6, high=1.2)
        for i in range(len(rows))
    ]
    assert torch.equal(together, torch.cat(alone))


@given(cells=cells(), seed=st.integers(0, 2**16))
@settings(deadline=None)
def test_the_order_of_the_cells_does_not_show(cells, seed):
    weights, counts, low, high = cells
    order = torch.randperm(weights.shape[1], generator=torch.Generator().manual_seed(seed))
    here = clipping_factor(weights, counts, low=low, high=high) * weights
    there = clipping_factor(weights[:, order], counts[:, order], low=low, high=high)
    expected = here.clamp(low, high)[:, order]
    torch.testing.assert_close(
        (there * weights[:, order]).clamp(low, high), expected, rtol=1e-12, atol=0
    )


# why, config, entropies, counts, base weights
BASES = [
    (
        "mean: 2 and 4/3 three times sum to 6 over 4 tokens: times 2/3, and 4/3 is clipped",
        PAPER, [LN2, LN4], [1, 3], [1.2, 8 / 9],
    ),
    (
        "calibrated: what the bound takes from the first, 1.2, is left to the others: 2.8 / 3",
        CALIBRATED, [LN2, LN4], [1, 3], [1.2, 14 / 15],
    ),
    (
        "none: the rule's own values, clipped",
        replace(PAPER, scale="none"), [LN2, LN4], [1, 3], [1.2, 1.2],
    ),
    (
        "mean of a region without tokens: it has no say, and a weight that none reads",
        PAPER, [LN4, LN2, 0.0], [1, 1, 0], [0.8, 1.2, 1.2],
    ),
    (
        "inverse: 1 and 1/2 over two tokens, times 4/3: 4/3 -> 1.2, and 2/3",
        replace(PAPER, entropy_rule="inverse"), [1.0, 2.0], [1, 1], [1.2, 2 / 3],
    ),
    (
        "calibrated inverse: 1 and 1/2 with mean 1 and none above 1.2: 0.8 is left",
        replace(CALIBRATED, entropy_rule="inverse"), [1.0, 2.0], [1, 1], [1.2, 0.8],
    ),
    ("calibrated, no token anywhere", CALIBRATED, [0.0, 0.0], [0, 0], [1.2, 1.2]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "entropies", "counts", "expected"),
    [case[1:] for case in BASES],
    ids=[case[0] for case in BASES],
)
def test_base_weights_by_hand(config, entropies, counts, expected):
    weights = base_weights(float64(entropies), float64(counts), config)
    assert weights.dtype == torch.float64
    assert weights.tolist() == [pytest.approx(expected, rel=1e-12)]


# F, N, A, T of .03, .3, .3, .6 nats, 70 % THINK; 8 % FORMAT gives the issue's published numbers
ISSUE_ENTROPY, ISSUE_COUNT = float64(0.03, 0.3, 0.3, 0.6), float64(80, 25, 195, 700)


def test_the_issues_example_mean_saturates_calibrated_does_not():
    mean = base_weights(ISSUE_ENTROPY, ISSUE_COUNT, PAPER)
    calibrated = base_weights(ISSUE_ENTROPY, ISSUE_COUNT, CALIBRATED)
    # g: 33.8358, 3.8583, 3.8583, 2.2164; 5.1072 is their mean: THINK 0.434 -> 0.6, NAME 0.755
    assert mean.tolist() == pytest.approx([1.2, 0.7555, 0.7555, 0.6], abs=5e-5)
    # THINK takes what 300 tokens at 1.2 leave: 640 / 700
    assert calibrated.tolist() == pytest.approx([1.2, 1.2, 1.2, 640 / 700], abs=1e-12)

    def share_at_a_bound(weights):
        at_bound = (weights <= 0.6 + 1e-9) | (weights >= 1.2 - 1e-9)
        return float(ISSUE_COUNT[at_bound].sum() / ISSUE_COUNT.sum())

    assert share_at_a_bound(mean) == pytest.approx(0.78)  # FORMAT and THINK
    assert share_at_a_bound(calibrated) == pytest.approx(0.30)  # all but THINK
    for weights in (mean, calibrated):
        assert (weights.diff() <= 0).all()  # the order: a higher entropy never weighs more


@given(
    entropies=st.lists(st.floats(0, 12), min_size=1, max_size=8),
    scale=st.sampled_from(["mean", "calibrated", "none"]),
    rule=st.sampled_from(["score_norm", "inverse"]),
    data=st.data(),
)
@settings(deadline=None)
def test_any_scale_keeps_the_order_and_the_bounds(entropies, scale, rule, data):
    counts = data.draw(
        st.lists(st.integers(1, 99), min_size=len(entropies), max_size=len(entropies))
    )
    config = replace(PAPER, scale=scale, entropy_rule=rule)
    entropy, order = float64(*entropies).sort()
    weights = base_weights(entropy, float64(*counts)[order], config)
    assert (weights.diff() <= 0).all()
    assert 0.6 <= weights.min() <= weights.max() <= 1.2
    if scale == "calibrated":
        mean = (weights * float64(*counts)[order]).sum() / sum(counts)
        assert float(mean) == pytest.approx(1, abs=1e-12)


# why, share, entropies, the chosen
CHOSEN = [
    ("a fifth of five: the highest", 0.2, [1, 5, 2, 3, 4], [0, 1, 0, 0, 0]),
    ("a fifth of six: two, the share rounded up", 0.2, [1, 6, 2, 3, 4, 5], [0, 1, 0, 0, 0, 1]),
    ("ties at the threshold are all in", 0.2, [3, 1, 3, 2, 1], [1, 0, 1, 0, 0]),
    ("all alike: all", 0.2, [1, 1, 1], [1, 1, 1]),
    ("one at least", 0.01, [1, 2], [0, 1]),
    ("all of them", 1.0, [2, 0, 1], [1, 1, 1]),
    ("half", 0.5, [4, 1, 3, 2], [1, 0, 1, 0]),
]


@pytest.mark.parametrize(
    ("share", "entropies", "expected"),
    [case[1:] for case in CHOSEN],
    ids=[case[0] for case in CHOSEN],
)
def test_the_tokens_of_highest_entropy(share, entropies, expected):
    entropy = float64(*entropies)
    weights = entropy_weights(entropy, torch.ones_like(entropy), replace(TOP, top_share=share))
    assert weights.tolist() == expected


def test_the_share_is_not_rounded_up_by_its_floating_point():
    # 0.07 · 100 is 7.000000000000001 to the machine
    entropy = torch.arange(100, dtype=torch.float64)
    weights = entropy_weights(entropy, torch.ones_like(entropy), replace(TOP, top_share=0.07))
    assert weights.nonzero().flatten().tolist() == list(range(93, 100))


def test_certain_regions_have_a_finite_weight():
    weights = entropy_weights(float64(0.0, 1e-9), float64(1, 1), PAPER)
    # 1 / (1 - exp(-0.001)), the floor, is 1000.5
    assert weights.tolist() == pytest.approx([1000.5000833] * 2, rel=1e-9)
