"""A score in words: what each part earned, and which call or argument was wrong."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from rest_verl.rewards.assignment import best_pairs
from rest_verl.rewards.correctness import call_points
from rest_verl.rewards.ground_truth import ExpectedCall, GroundTruth
from rest_verl.syntax import Reading, ToolCall

_PARTS = {"T": "think", "C": "call", "R": "response"}
_TAGS = re.compile("Tt|Cc|Rr|.")
_VALUE_LENGTH = 60  # characters of a value that are shown


def format_sentence(answer: Reading, is_right: bool, earned: float) -> str:
    """What the format earned, and of a wrong one the parts that were found."""
    if is_right:
        return f"format {earned:g}: as asked"
    found = ", ".join(map(_part, _TAGS.findall(answer.structure))) or "no tags"
    broken = "" if answer.well_formed else "; its calls cannot be read"
    return f"format {earned:g}: not as asked (found: {found}{broken})"


def _part(tags: str) -> str:
    name = _PARTS[tags[0].upper()]
    if len(tags) == 2:
        return name
    return f"{name} left open" if tags.isupper() else f"closing {name}"


def correctness_sentences(answer: Reading, truth: GroundTruth) -> Iterator[str]:
    """What is right and wrong in the calls, a sentence a call."""
    if truth.expect == "no_call":
        yield "a call, where none is wanted" if answer.tries_to_call else "no call, as wanted"
    elif not answer.well_formed:
        yield "calls cannot be read"
    elif truth.expect == "any_call":
        yield "a call, as wanted" if answer.calls else "no call, where one is wanted"
    else:
        yield from _calls(answer.calls, truth)


def _calls(calls: list[ToolCall], truth: GroundTruth) -> Iterator[str]:
    made: defaultdict[str, list[ToolCall]] = defaultdict(list)
    for call in calls:
        made[call.name].append(call)
    for name, expected_K in truth.calls_by_name.items():
        calls_J = made.pop(name, [])
        points = [[call_points(k, j.arguments) for j in calls_J] for k in expected_K]
        pairs = dict(best_pairs(points)) if calls_J else {}
        for k, expected in enumerate(expected_K):
            faults = list(_faults(expected, calls_J[pairs[k]].arguments)) if k in pairs else []
            if k not in pairs:
                yield f"{name}: not called"
            else:
                yield f"{name}: {'; '.join(faults) or 'right'}"
        yield from [f"{name}: called once more than wanted"] * (len(calls_J) - len(pairs))
    yield from (f"{name}: called, and not wanted" for name, more in made.items() for _ in more)


def _faults(expected: ExpectedCall, arguments: dict[str, Any]) -> Iterator[str]:
    for key, is_right in expected.tests.items():
        if key not in arguments:
            if key not in expected.optional:
                yield f"{key} is missing"
        elif not is_right(arguments[key]):
            may_lack = key in expected.optional
            allowed = [v for v in expected.allowed[key] if not (may_lack and v == "")]
            wanted = map(_shown, allowed)
            yield f"{key} is {_shown(arguments[key])}, wanted {' or '.join(wanted) or 'none'}"
    yield from (f"{key} is not a parameter here" for key in arguments if key not in expected.tests)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"
