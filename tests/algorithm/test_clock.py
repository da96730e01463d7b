"""Training progress: the plain clock, and one that goes on with another horizon."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.algorithm.clock import Clock

STEPS = np.arange(0, 400)


@pytest.mark.parametrize("horizon", [1, 7, 105, 150.0, 99.9])
def test_a_plain_clock_is_step_by_horizon_to_the_last_bit(horizon):
    expected = [min(1.0, step / horizon) for step in STEPS.tolist()]
    assert Clock(horizon=horizon).progress(STEPS).tolist() == expected


def test_progress_has_the_shape_of_the_steps():
    clock = Clock(horizon=10).resumed(20, 5)
    assert float(Clock(horizon=10).progress(3)) == 0.3
    assert clock.progress(5).shape == ()
    assert clock.progress([[5, 6], [7, 8]]).shape == (2, 2)
    assert clock.progress(np.array([5], dtype=np.int64)).dtype == np.float64


# why, horizon, resumes as (horizon, step), progress by step
BY_HAND = [
    ("before the horizon, at it and after", 10, [], {0: 0, 5: 0.5, 10: 1, 11: 1, 999: 1}),
    (
        "twice as long, resumed half way: from 0.5 evenly to 1 over the 15 steps that are left",
        10, [(20, 5)], {0: 0, 4: 0.4, 5: 0.5, 8: 0.6, 11: 0.7, 20: 1, 21: 1},
    ),
    (
        "longer, resumed at the end: 1 it was, 1 it stays",
        10, [(20, 10)], {5: 0.5, 10: 1, 11: 1, 15: 1, 20: 1},
    ),
    (
        "longer, resumed after the end",
        10, [(40, 15)], {5: 0.5, 10: 1, 15: 1, 20: 1, 40: 1},
    ),
    (
        "shorter: 5 of 8 steps is ahead of 5 of 10; the new horizon counts",
        10, [(8, 5)], {5: 0.625, 6: 0.75, 8: 1},
    ),
    ("shorter than what is done: the end", 10, [(3, 5)], {5: 1, 6: 1}),
    ("the same horizon", 10, [(10, 5)], {5: 0.5, 6: 0.6, 10: 1}),
    ("resumed before any step: another horizon, nothing else", 10, [(20, 0)], {0: 0, 10: 0.5}),
    (
        "longer twice: 0.5 at 5, then 0.7 at 11 of 20, then evenly to 41",
        10, [(20, 5), (41, 11)], {5: 0.5, 8: 0.6, 11: 0.7, 21: 0.8, 31: 0.9, 41: 1},
    ),
    (
        "longer, then shorter: from 0.5 at 5 evenly to 1 at 15, of which 8 steps give 0.65",
        10, [(20, 5), (15, 6)], {5: 0.5, 8: 0.65, 10: 0.75, 15: 1},
    ),
    (
        "longer, then shorter than what is done: the end, not 0.6 for ever",
        10, [(20, 5), (4, 8)], {8: 1, 9: 1, 20: 1},
    ),
    (
        "longer, then to end just where that began: the end",
        10, [(20, 5), (5, 5)], {5: 1, 6: 1},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("horizon", "resumes", "expected"), [case[1:] for case in BY_HAND],
    ids=[case[0] for case in BY_HAND],
)  # fmt: skip
def test_by_hand(horizon, resumes, expected):
    clock = Clock(horizon=horizon)
    for new_horizon, step in resumes:
        clock = clock.resumed(new_horizon, step)
    found = clock.progress(list(expected)).tolist()
    assert found == pytest.approx(list(expected.values()), abs=1e-15)


def test_the_same_horizon_is_the_same_clock():
    clock = Clock(horizon=10)
    assert clock.resumed(10, 5) == clock
    longer = clock.resumed(20, 5)
    assert longer.resumed(20, 11) == longer
    assert longer.resumed(20, 11).progress(STEPS).tolist() == longer.progress(STEPS).tolist()


def test_steps_of_before_the_resume_keep_their_progress():
    # rows that an older policy sampled are weighed after the resume
    before, after = Clock(horizon=10), Clock(horizon=10).resumed(20, 5)
    assert after.progress(range(6)).tolist() == pytest.approx(before.progress(range(6)).tolist())


def test_a_clock_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        Clock(horizon=10).horizon = 20


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"horizon": 10},
        {"anchors": [[0, 0]]},
        {"horizon": 0, "anchors": [[0, 0]]},
        {"horizon": "10", "anchors": [[0, 0]]},
        {"horizon": 10, "anchors": []},
        {"horizon": 10, "anchors": None},
        {"horizon": 10, "anchors": [[0, 0, 0]]},
        {"horizon": 10, "anchors": [0, 0]},
    ],
    ids=str,
)
def test_a_foreign_state_is_refused(state):
    with pytest.raises(ValueError, match="no state of a training clock"):
        Clock.from_state(state)


# ---- properties --------------------------------------------------------------------------------

HORIZONS = st.floats(0.5, 2000) | st.integers(1, 2000).map(float)
RESUMES = st.lists(st.tuples(HORIZONS, st.integers(0, 300)), max_size=5)


def runs(horizon, resumes):
    """The clocks of a run that is resumed after so many more steps each, with (step, clock)."""
    step, clock = 0, Clock(horizon=horizon)
    yield step, clock
    for new_horizon, more_steps in resumes:
        step += more_steps
        clock = clock.resumed(new_horizon, step)
        yield step, clock


@given(horizon=HORIZONS, resumes=RESUMES)
@settings(deadline=None, max_examples=200)
def test_progress_never_falls_and_ends_at_one(horizon, resumes):
    clocks = list(runs(horizon, resumes))
    for _, clock in clocks:
        progress = clock.progress(np.arange(0, clocks[-1][0] + 400))
        assert progress.min() == 0
        assert progress.max() <= 1
        assert (np.diff(progress) >= 0).all()
        assert float(clock.progress(clock.horizon)) == 1
        assert float(clock.progress(clock.horizon + 1000)) == 1
    for (_, before), (step, after) in pairwise(clocks):
        assert float(after.progress(step)) >= float(before.progress(step))


@given(horizon=HORIZONS, resumes=RESUMES)
@settings(deadline=None)
def test_the_new_horizon_is_the_one_that_was_asked_for(horizon, resumes):
    asked = [horizon, *(new_horizon for new_horizon, _ in resumes)]
    for new_horizon, (_, clock) in zip(asked, runs(horizon, resumes), strict=True):
        assert clock.horizon == new_horizon


@given(horizon=HORIZONS, resumes=RESUMES)
@settings(deadline=None)
def test_a_checkpoint_holds_the_clock_to_the_last_bit(horizon, resumes):
    *_, (_, clock) = runs(horizon, resumes)
    again = Clock.from_state(json.loads(json.dumps(clock.state())))
    assert again == clock
    assert np.array_equal(again.progress(STEPS), clock.progress(STEPS))
