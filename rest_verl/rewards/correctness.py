"""How right are the calls? Points for names, keys and values (docs/reward-rule.md, section 2)."""

from __future__ import annotations

from typing import Any

from rest_verl.rewards.assignment import best_total
from rest_verl.rewards.ground_truth import ExpectedCall, GroundTruth
from rest_verl.syntax import ToolCall

# K ground-truth calls and J predicted calls, of one name where they are matched.


def call_points(expected: ExpectedCall, arguments: dict[str, Any]) -> float:
    """Jaccard index of the parameter keys + number of right values.

    A parameter that may be left out, and is, counts as right and not as a missing key.
    """
    shared = left_out = right = 0
    for key, is_right in expected.tests.items():
        if key in arguments:
            shared += 1
            right += is_right(arguments[key])
        elif key in expected.optional:
            left_out += 1
    all_keys = len(expected.tests) - left_out + len(arguments) - shared
    return (shared / all_keys if all_keys else 1.0) + right + left_out


def correctness_points(calls: list[ToolCall], truth: GroundTruth) -> tuple[float, bool]:
    """Points of the predicted calls, and whether their names are the ground truth's.

    The points are the Jaccard index of the two multisets of names + :func:`call_points` of the
    best matching of same-name calls: in [0, ``truth.max_points``], whatever the calls' order.
    """
    arguments_by_name: dict[str, list[dict[str, Any]]] = {}
    for call in calls:
        arguments_by_name.setdefault(call.name, []).append(call.arguments)
    shared, points = 0, 0.0
    for name, expected_K in truth.calls_by_name.items():
        if arguments_J := arguments_by_name.get(name):
            shared += min(len(expected_K), len(arguments_J))
            points += best_total([[call_points(k, j) for j in arguments_J] for k in expected_K])
    all_names = len(calls) + truth.num_calls - shared
    return shared / all_names + points, shared == all_names
