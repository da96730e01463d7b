"""Metrics of turns, tools and control tokens on batches by hand."""

import math

import pytest

pytest.importorskip("verl", reason="the module is beside verl's trainer")
import numpy as np
import torch
from tensordict import TensorDict
from trainer_in_memory import jagged

from rest_verl.algorithm.control import Control
from rest_verl.integration.labelling import Labels
from rest_verl.integration.policy_metrics import policy_metrics
from rest_verl.integration.rollout_metrics import (
    MOST_TOOLS,
    MOST_TURNS,
    tool_metrics,
    turn_metrics,
)
from rest_verl.integration.turn_credit import batch_turns


def turns(spans: int, scores: list[float]) -> dict[str, list]:
    return {"turn_spans": [[n, n + 1] for n in range(spans)], "turn_scores": scores}


BATCH = [turns(2, [1.0, 0.5]), turns(1, [0.0]), turns(3, []), {"turn_scores": []}]


def test_turns() -> None:
    assert turn_metrics(BATCH, [False] * 4) == {
        "rest/turn/reached/1": 1.0,
        "rest/turn/reached/2": pytest.approx(2 / 3),
        "rest/turn/reached/3": pytest.approx(1 / 3),
        "rest/turn/reward/1": 0.5,
        "rest/turn/reward/2": 0.5,
    }


def test_padding_and_single_turns_have_none() -> None:
    assert turn_metrics(BATCH[1:2], [True]) == turn_metrics([{}], [False]) == {}
    assert turn_metrics([], [False]) == tool_metrics([], [False]) == {}


def test_very_long_conversations_have_no_more_names() -> None:
    found = turn_metrics([turns(99, [1.0] * 99)], [False])
    assert len(found) == 2 * MOST_TURNS


def test_tools() -> None:
    rows = [
        {"tool_calls": {"read": 2, "write": 0}},
        {"tool_calls": {"read": 0, "write": 0, "late": 1}},
        {"tool_calls": {}},  # said nothing
        {"tool_calls": {"write": 5}},  # verl's padding
    ]
    assert tool_metrics(rows, [False, False, False, True]) == {
        "rest/tools/offered": 3.0,
        "rest/tools/never_called": 1.0,
        "rest/tools/called/late": 1.0,
        "rest/tools/called/read": 0.5,
        "rest/tools/called/write": 0.0,
    }


def test_many_tools_are_counted_only() -> None:
    row = {"tool_calls": {f"tool_{n}": n % 2 for n in range(2 * MOST_TOOLS)}}
    found = tool_metrics([row], [False])
    assert found == {"rest/tools/offered": 48.0, "rest/tools/never_called": 24.0}


# Two rows of 5 and 2 tokens: the first with two turns and an observation between them.
LABELS = Labels(
    regions=np.array([[0, 1, -1, 4, 0], [4, 0, -1, -1, -1]], dtype=np.int8),
    controls=np.array(
        [[Control.CALL, Control.NAME, 0, 0, Control.END], [0, Control.END, 0, 0, 0]], dtype=np.int8
    ),
)
TURNS = batch_turns([{"turn_spans": [[0, 2], [3, 5]]}, {}], [5, 2]).of_token
PROBABILITIES = [[0.5, 0.25, 1.0, 0.5, 0.8], [0.1, 0.6]]
GAPS = [[0.1, -0.3, 7.0, 0.2, 0.4], [-0.5, 0.1]]


def columns() -> dict[str, torch.Tensor]:
    trainer = [[math.log(value) for value in row] for row in PROBABILITIES]
    sampler = [
        [value + gap for value, gap in zip(*rows, strict=True)]
        for rows in zip(trainer, GAPS, strict=True)
    ]
    return {
        "entropy": jagged([[0.1, 0.2, 0.0, 9.0, 0.3], [9.0, 0.5]]),
        "old_log_probs": jagged(trainer),
        "rollout_log_probs": jagged(sampler),
    }


CONTROL = {
    "rest/control/probability/call": 0.5,
    "rest/control/probability/name": 0.25,
    "rest/control/probability/end": 0.7,
    "rest/control/entropy/call": 0.1,
    "rest/control/entropy/name": 0.2,
    "rest/control/entropy/end": 0.4,
}


def test_policy() -> None:
    found = policy_metrics(LABELS, TURNS, TensorDict(columns(), batch_size=2))
    gaps = {
        "rest/turn/log_prob_gap/1": (0.1 + 0.3 + 0.5 + 0.1) / 4,
        "rest/turn/log_prob_gap/2": (0.2 + 0.4) / 2,
    }
    assert found == pytest.approx(CONTROL | gaps)


def test_a_sampler_that_gives_no_log_probabilities() -> None:
    data = TensorDict(columns(), batch_size=2).exclude("rollout_log_probs")
    assert policy_metrics(LABELS, TURNS, data) == pytest.approx(CONTROL)
