"""Weights of mean 1 over a response, under a ceiling, beside what is held."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.algorithm.normalisation import normalised

NAN = math.nan


def float64(*rows):
    return torch.tensor(rows, dtype=torch.float64)


# why, weights, counts, over, cap, expected
CASES = [
    ("mean 6/5 over two tokens", [1.6, 0.8], [1, 1], "trained", 4, [4 / 3, 2 / 3]),
    ("counts are the tokens: mean (1.6 + 3 · 0.8) / 4 = 1", [1.6, 0.8], [1, 3], "trained", 4,
     [1.6, 0.8]),
    ("a weight of 0 does not train: mean 6/5 over two", [1.6, 0.8, 0], [1, 1, 8], "trained", 4,
     [4 / 3, 2 / 3, 0]),
    ("sampled: mean 0.6 over four tokens", [1.6, 0.8, 0], [1, 1, 2], "sampled", 4,
     [8 / 3, 4 / 3, 0]),
    ("ceiling: 8 / 1.7 stays at 2, and (10 - 2) / 9 is left to each of the nine others",
     [8, 1], [1, 9], "trained", 2, [2, 8 / 9]),
    ("the others reach the ceiling in turn: (10 - 2) / 12 · 4 = 2.7, so 6 / 8 for the eight",
     [8, 4, 1], [1, 1, 8], "trained", 2, [2, 2, 0.75]),
    ("sampled where one of ten trains: 10 would be mean 1, the ceiling is 4",
     [1, 0], [1, 9], "sampled", 4, [4, 0]),
    ("sampled where two of eight train: mean 1 is just the ceiling for both",
     [2, 1, 0], [1, 1, 6], "sampled", 4, [4, 4, 0]),
    ("sampled where three of eight train: 4 for the first, 2 for the two others",
     [9, 1, 0], [1, 2, 5], "sampled", 4, [4, 2, 0]),
    ("a ceiling of 1 leaves nothing but 1", [8, 1, 0], [1, 9, 1], "trained", 1, [1, 1, 0]),
    ("one token that trains", [0.6, 0], [1, 2047], "trained", 4, [1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "counts", "over", "cap", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_by_hand(weights, counts, over, cap, expected):
    result = normalised(float64(weights), float64(counts), over=over, cap=cap)
    assert result.tolist() == [pytest.approx(expected, rel=1e-7)]


# why, weights, counts, held, over, expected; the ceiling is 4, the second cell is NAME
HELD = [
    ("1.5 is held; the two others share 3 - 1.5 as 2 : 1", [1, 1, 0.5], [1, 1, 1], 1.5, "trained",
     [1, 1.5, 0.5]),
    ("0.5 is held; 2.5 is left to the two others", [1, 1, 1], [1, 1, 1], 0.5, "trained",
     [1.25, 0.5, 1.25]),
    ("1.2 is held twice; the single other token keeps 3 - 2.4, less than one token's worth",
     [9, 1, 1], [1, 2, 0], 1.2, "trained", [0.6, 1.2, None]),
    ("what does not train takes nothing up", [1, 1, 0], [1, 1, 6], 1.5, "trained", [0.5, 1.5, 0]),
    ("sampled: 8 - 1.5 would be 6.5 for one token: 4", [1, 1, 0], [1, 1, 6], 1.5, "sampled",
     [4, 1.5, 0]),
    ("only names", [1, 1, 1], [0, 3, 0], 1.0, "trained", [None, 1, None]),
    ("no names: held is not read, mean 1 for the others", [3, 1, 1], [1, 0, 1], 1.5, "trained",
     [1.5, None, 0.5]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "counts", "held", "over", "expected"),
    [case[1:] for case in HELD],
    ids=[case[0] for case in HELD],
)
def test_a_held_weight_by_hand(weights, counts, held, over, expected):
    result = normalised(
        float64(weights), float64(counts), over=over, cap=4, held_BC=float64([NAN, held, NAN])
    )
    for value, wanted in zip(result[0].tolist(), expected, strict=True):
        assert math.isfinite(value)
        assert wanted is None or value == pytest.approx(wanted, rel=1e-6)  # None: no token reads it


def test_one_row_of_weights_serves_all_responses():
    # means 1.2 and 1; the third response has no tokens
    result = normalised(float64([1.6, 0.8]), float64([1, 1], [1, 3], [0, 0]), over="trained", cap=4)
    assert result.shape == (3, 2)
    torch.testing.assert_close(result[:2], float64([4 / 3, 2 / 3], [1.6, 0.8]))
    assert result.isfinite().all()


def test_only_the_rows_that_exceed_are_brought_under_the_ceiling():
    weights, counts = float64([8, 1], [1.5, 1], [8, 1]), float64([1, 9], [1, 1], [9, 1])
    result = normalised(weights, counts, over="trained", cap=2)
    # 2 and 8/9 as above; 1.5 and 1 have mean 1.25; 8 and 1 have mean 7.3 and stay below 2
    expected = float64([2, 8 / 9], [1.2, 0.8], [80 / 73, 10 / 73])
    torch.testing.assert_close(result, expected)


@st.composite
def rows(draw):
    """(weights, counts) of one response: zeros and a spread of 1e4."""
    num_cells = draw(st.integers(1, 7))
    weight = st.just(0.0) | st.floats(1e-3, 10)
    return (
        float64(draw(st.lists(weight, min_size=num_cells, max_size=num_cells))),
        float64(draw(st.lists(st.integers(0, 500), min_size=num_cells, max_size=num_cells))),
    )


@given(row=rows(), cap=st.floats(1, 8), over=st.sampled_from(["trained", "sampled"]))
@settings(deadline=None, max_examples=300)
def test_mean_ceiling_and_order(row, cap, over):
    weights, counts = row
    result = normalised(weights, counts, over=over, cap=cap)
    assert result.isfinite().all()
    assert result.min() >= 0
    assert (result[weights == 0] == 0).all()
    present = counts > 0
    assert (result[present] <= cap).all()

    trained, sampled = counts[weights > 0].sum(), counts.sum()
    mass = trained if over == "trained" else min(sampled, cap * trained)  # what the ceiling lets
    expected = 0 if trained == 0 else float(mass)
    # the published δ of 1e-8 beside a mean of no less than 1e-3 (of 1e-3 / 3500 over all sampled)
    assert float((result * counts).sum()) == pytest.approx(
        expected, rel=2e-5 if over == "trained" else 0.04
    )

    order = weights[present].argsort()
    assert (result[present][order].diff() >= -1e-12).all()
    free = (result[present] > 0) & (result[present] < cap * (1 - 1e-9))
    factors = result[present][free] / weights[present][free]
    if len(factors):  # below the ceiling, one factor for all
        assert float(factors.max() / factors.min()) == pytest.approx(1, rel=1e-9)


@given(row=rows(), cap=st.floats(1, 8), data=st.data())
@settings(deadline=None)
def test_a_response_is_normalised_by_itself(row, cap, data):
    weights, counts = row
    other = float64(data.draw(st.lists(st.floats(0, 9), min_size=7, max_size=7)))
    width = weights.shape[1]
    together = normalised(
        torch.cat([weights, other[:, :width]]), counts.repeat(2, 1), over="trained", cap=cap
    )
    assert torch.equal(together[:1], normalised(weights, counts, over="trained", cap=cap))
