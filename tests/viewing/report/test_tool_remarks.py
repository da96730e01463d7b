"""Remarks on calls and turns: runs made to collapse, each in one way, and runs that are healthy."""

import random

import pytest

from rest_verl.viewing.palette import LIGHT
from rest_verl.viewing.report.remarks import remarks
from rest_verl.viewing.report.tool_panels import panels_of
from rest_verl.viewing.report.tool_remarks import tool_remarks

STEPS, BREAK = 60, 41
"""Steps of a made-up run, and the one at which what is to go wrong begins."""

HEALTHY = {
    "reward/total/mean": (0.2, 0.8, 0.05),
    "reward/official/mean": (0.2, 0.7, 0.05),
    "reward/calls/mean": (3.0, 4.0, 0.2),
    "reward/no_call/mean": (0.05, 0.02, 0.02),
    "reward/calls_repeated/mean": (0.4, 0.3, 0.1),
    "reward/invalid_streak/mean": (1.5, 0.3, 0.2),
    "rest/control/probability/call": (0.9, 0.99, 0.01),
    "rest/control/probability/name": (0.7, 0.95, 0.02),
    "rest/control/probability/end": (0.9, 0.99, 0.01),
    "rest/control/entropy/call": (0.4, 0.02, 0.02),
    "rest/control/entropy/name": (0.8, 0.3, 0.05),
    "rest/control/entropy/end": (0.4, 0.02, 0.02),
    "rest/tools/offered": (5.0, 5.0, 0.0),
    "rest/tools/never_called": (1.0, 0.0, 0.0),
    "rest/tools/called/read": (0.5, 0.7, 0.05),
    "rest/tools/called/write": (0.3, 0.6, 0.05),
    "rest/turn/reached/1": (1.0, 1.0, 0.0),
    "rest/turn/reached/2": (0.5, 0.9, 0.05),
    "rest/turn/reward/1": (0.3, 0.8, 0.05),
    "rest/turn/reward/2": (0.2, 0.6, 0.05),
    "rest/turn/log_prob_gap/1": (0.01, 0.012, 0.001),
    "rest/turn/log_prob_gap/2": (0.01, 0.015, 0.001),
}
"""First value, last, and the scatter of the steps."""


def run(seed: int = 0, **changes: float | dict[int, float]) -> list[dict[str, float]]:
    """A healthy run in which some metrics, from BREAK on, have another value; or on single steps.

    In the names of `changes`, `__` stands for `/`.
    """
    random_ = random.Random(seed)
    records = []
    for step in range(1, STEPS + 1):
        record: dict[str, float] = {"step": step}
        for name, (first, last, scatter) in HEALTHY.items():
            value = first + (last - first) * min(1.0, step / 30) + random_.gauss(0, scatter)
            record[name] = max(0.0, value)
        for written, change in changes.items():
            name = written.replace("__", "/")
            if isinstance(change, dict):
                record[name] = change.get(step, record.get(name, 0.0))
            elif step >= BREAK:
                record[name] = change
        records.append(record)
    return records


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_run_gives_no_remark(seed: int) -> None:
    assert remarks(run(seed)) == []


FLAT = {"reward__official__mean": 0.2}
"""Right answers end where they began."""

COLLAPSES = [
    pytest.param(
        {"rest__control__probability__call": 0.5},
        "The tokens for opening a call get uncertain",
        "Since step 41 their probability has fallen, from 0.9",
        id="the probability of a tag falls",
    ),
    pytest.param(
        {"rest__control__entropy__end": 0.9},
        "The tokens for ending a message get uncertain",
        "Since step 41 their entropy has risen, from 0.3",
        id="the entropy of the end rises",
    ),
    pytest.param(
        {"rest__control__entropy__name": {45: 2.0, 52: 1.5}},
        "The tokens for naming a tool get uncertain",
        "Since step 45 their probability or entropy leaps on single steps (steps 45, 52).",
        id="entropy leaps",
    ),
    pytest.param(
        {"rest__control__probability__end": {50: 0.3}},
        "The tokens for ending a message get uncertain",
        "Since step 50 their probability or entropy leaps on single steps (step 50).",
        id="probability leaps",
    ),
    pytest.param(
        {"rest__control__entropy__name": 0.001, **FLAT},
        "The choice of tools collapses",
        "the entropy of tools' names has fallen, from 0.",
        id="one tool only",
    ),
    pytest.param(
        {"reward__no_call__mean": 0.7, **FLAT},
        "Answers without any call become more",
        "Since step 41 their share has risen, from ",
        id="no calls any more",
    ),
    pytest.param(
        {"reward__calls_repeated__mean": 3.0},
        "Many calls repeat an earlier one",
        "Since step 41 calls of the same name and arguments are many: their share went from 1",
        id="repeated calls",
    ),
    pytest.param(
        {"reward__invalid_streak__mean": 4.0},
        "Invalid calls follow each other",
        "Since step 41 a rollout's longest run of them is long: its mean went from 1.",
        id="invalid calls in a row",
    ),
    pytest.param(
        {"rest__tools__called__write": 0.0},
        "Tools that are never called",
        "Not one rollout has called write since step 40.",
        id="a tool falls out of use",
    ),
    pytest.param(
        {"rest__tools__called__other": {}},
        "Tools that are never called",
        "Not one rollout has called other at any step.",
        id="a tool was never used",
    ),
    pytest.param(
        {"rest__tools__never_called": 4.0},
        "Tools that are never called",
        "Since step 41 more of the tools offered are never called in a batch, from 1 (",
        id="tools without names",
    ),
    pytest.param(
        {"rest__turn__reward__2": 0.0},
        "The reward of late turns vanishes",
        "Since step 41 turn 2 loses its mean reward, from 0.",
        id="the second turn earns nothing",
    ),
    pytest.param(
        {"rest__turn__reached__2": 0.02, **FLAT},
        "The reward of late turns vanishes",
        "Since step 41 turn 2 loses its share of rollouts, from 0.",
        id="nobody comes to the second turn",
    ),
    pytest.param(
        {"rest__turn__log_prob_gap__2": 0.2},
        "Sampler and trainer drift apart",
        "the gap of their log-probabilities has grown in turn 2, from 0.01",
        id="a gap in the second turn",
    ),
]


@pytest.mark.parametrize(("changes", "title", "seen"), COLLAPSES)
def test_a_collapse_is_named_with_its_step(changes: dict, title: str, seen: str) -> None:
    (remark,) = tool_remarks(run(**changes))
    assert remark.title == title
    assert seen in remark.seen
    assert remark.look_at


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"reward__no_call__mean": 0.3}, id="fewer calls, and more right answers"),
        pytest.param({"rest__turn__reached__2": 0.02}, id="users who are served sooner"),
        pytest.param(
            {"rest__control__entropy__end": {step: 0.9 * (step % 3) for step in range(1, 61)}},
            id="jumps all along: of few tokens",
        ),
        pytest.param({"rest__turn__log_prob_gap__2": 0.03}, id="a gap within what rounding makes"),
        pytest.param(
            {"rest__turn__reward__1": 0.0, "rest__turn__reward__2": 0.0},
            id="all turns lose their reward, which other remarks say",
        ),
        pytest.param(
            {"rest__control__entropy__call": dict.fromkeys(range(1, 9), 1.2)}, id="open at first"
        ),
    ],
)
def test_what_is_no_collapse(changes: dict) -> None:
    assert tool_remarks(run(**changes)) == []


def test_few_steps_give_no_remark() -> None:
    assert tool_remarks(run(rest__control__probability__call=0.1)[-9:]) == []


def test_panels_have_colours_enough() -> None:
    panels = panels_of([])
    assert len({panel.title for panel in panels}) == len(panels)
    assert all(len(panel.curves) <= len(LIGHT.neutrals) for panel in panels)


def test_later_turns_are_named_together() -> None:
    records = run(rest__turn__reward__2=0.0)
    for record in records:
        record["rest/turn/reward/3"] = record["rest/turn/reward/2"]
    (remark,) = tool_remarks(records)
    assert remark.seen.endswith("; so does turn 3.")
