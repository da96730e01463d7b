"""The curriculum against values by hand, and its directions and bounds as properties."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.curriculum import scheduled_weights
from rest_verl.algorithm.regions import Region

PAPER = ReSTConfig.preset("paper")  # bounds 0.6 and 1.2, every alpha 0.2
OFFICIAL = ReSTConfig.preset("official")  # bounds 0.001 and 8, caps 1.2 and 1, 0.002 a step

# why, config, base, clock, expected; columns: FORMAT NAME ARGS THINK TEXT
CASES = [
    ("start: nothing moved", PAPER, [1.2, 1.1, 0.9, 0.6, 0.7], 0.0, [1.2, 1.1, 0.9, 0.6, 0.7]),
    ("half way", PAPER, [1.2, 1.1, 0.9, 0.6, 0.7], 0.5, [1.1, 1.1, 1.0, 0.7, 0.8]),
    ("end", PAPER, [1.2, 1.1, 0.9, 0.6, 0.7], 1.0, [1.0, 1.1, 1.1, 0.8, 0.9]),
    ("both bounds hold", PAPER, [0.7, 1.2, 1.1, 1.2, 1.15], 1.0, [0.6, 1.2, 1.2, 1.2, 1.2]),
    ("a base of 0 stays 0", PAPER, [1.0, 1.0, 1.0, 0.0, 0.0], 1.0, [0.8, 1.0, 1.2, 0.0, 0.0]),
    ("step 0", OFFICIAL, [1.0, 1.2, 0.6, 0.6, 0.0], 0, [1.0, 1.2, 0.6, 0.6, 0.0]),
    ("step 100: equal ramps", OFFICIAL, [1.0, 1.2, 0.6, 0.6, 0.0], 100, [1.0, 1.2, 0.8, 0.8, 0.0]),
    ("step 250: THINK at cap", OFFICIAL, [1.0, 1.2, 0.6, 0.6, 0.0], 250, [1.0, 1.2, 1.1, 1.0, 0.0]),
    ("step 400: both at cap", OFFICIAL, [1.0, 1.2, 0.6, 0.6, 0.0], 400, [1.0, 1.2, 1.2, 1.0, 0.0]),
    (
        "a cap holds from the start, for TEXT as for THINK",
        replace(PAPER, cap_think=0.8), [1.0, 1.0, 1.0, 1.1, 0.9], 0.0, [1.0, 1.0, 1.0, 0.8, 0.8],
    ),
    (
        "no curriculum, no clock",
        ReSTConfig.preset("static"), [1.2, 1.1, 0.9, 0.6, 0.7], 1.0, [1.2, 1.1, 0.9, 0.6, 0.7],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "base", "clock", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_by_hand(config, base, clock, expected):
    weights = scheduled_weights(torch.tensor(base, dtype=torch.float64), clock, config)
    assert weights.tolist() == pytest.approx(expected, abs=1e-12)


def test_rows_are_independent():
    base_BR = torch.tensor([[1.2, 1.1, 0.9, 0.6, 0.7], [0.7, 1.2, 1.1, 1.2, 1.15]])
    both = scheduled_weights(base_BR, 1.0, PAPER)
    each = [scheduled_weights(base_R, 1.0, PAPER) for base_R in base_BR]
    assert torch.equal(both, torch.stack(each))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_clock_for_each_row(dtype):
    base_BR = torch.tensor([[1.2, 1.1, 0.9, 0.6, 0.7], [0.7, 1.2, 1.1, 1.2, 1.15]], dtype=dtype)
    clocks = [0.3, 1 / 3]
    both = scheduled_weights(base_BR, torch.tensor(clocks, dtype=dtype)[:, None], PAPER)
    each = [scheduled_weights(base_BR[i], clock, PAPER) for i, clock in enumerate(clocks)]
    assert torch.equal(both, torch.stack(each))
    shared = scheduled_weights(base_BR[:1], torch.tensor(clocks, dtype=dtype)[:, None], PAPER)
    assert shared.shape == (2, 5)
    assert torch.equal(shared[0], each[0])


@given(
    base=st.lists(st.floats(0.6, 1.2), min_size=5, max_size=5),
    moments=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
    alphas=st.lists(st.floats(0, 2), min_size=3, max_size=3),
)
def test_directions_and_bounds(base, moments, alphas):
    config = replace(
        PAPER, **dict(zip(("alpha_format", "alpha_args", "alpha_think"), alphas, strict=True))
    )
    early, late = (
        scheduled_weights(torch.tensor(base, dtype=torch.float64), moment, config)
        for moment in moments
    )
    assert late[Region.FORMAT] <= early[Region.FORMAT]
    assert late[Region.NAME] == early[Region.NAME] == base[Region.NAME]
    for region in (Region.ARGS, Region.THINK, Region.TEXT):
        assert late[region] >= early[region]
    assert late.min() >= 0.6
    assert late.max() <= 1.2
