"""Ground truths: both notations, and what is refused."""

import json

import pytest

from rest_verl.rewards import compute_score, tool_call_reward
from rest_verl.rewards.ground_truth import parse_ground_truth


def record(**changes: object) -> str:
    calls = [{"name": "f", "parameters": {"x": [1]}}]
    return json.dumps({"format": "toolrl", "expect": "calls", "calls": calls} | changes)


@pytest.mark.parametrize(
    ("text", "expect", "response_too", "num_calls", "max_points"),
    [
        ('<tool_call>{"name": "f", "parameters": {}}</tool_call>', "calls", False, 1, 2),
        (
            '<think>t</think>\n<tool_call>\n{"name": "f", "parameters": {"x": 1, "y": 2}}\n'
            '{"name": "f", "parameters": {"x": 3}}\n</tool_call>\n<response>r</response>\n',
            "calls",
            True,
            2,
            6,
        ),
        ("<think>t</think><response>r</response>", "no_call", True, 0, 1),
        ("<think>a <tool_call> is not needed</think><response>r</response>", "no_call", True, 0, 1),
        (record(), "calls", False, 1, 3),
        (record(format="chat_template"), "calls", False, 1, 3),
        (record(expect="no_call", calls=[]), "no_call", False, 0, 1),
        (record(expect="any_call", calls=[]), "any_call", False, 0, 1),
        (record(values="allowed"), "calls", False, 1, 3),
        (
            record(values="equal", calls=[{"name": "f", "parameters": {"x": 1, "y": ""}}]),
            "calls",
            False,
            1,
            4,
        ),
    ],
)
def test_read(text: str, expect: str, response_too: bool, num_calls: int, max_points: int) -> None:
    truth = parse_ground_truth(text)
    assert truth.expect == expect
    assert truth.response_too is response_too
    assert truth.num_calls == num_calls
    assert truth.max_points == max_points


DEEP = "[" * 200 + "]" * 200


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "needs <tool_call>, <response>"),
        ("<think>only thought</think>", "needs <tool_call>, <response>"),
        ("<response>never closed", "needs <tool_call>, <response>"),
        ("<response>r</response><tool_call>{}</tool_call>", "not JSON calls"),
        ("<tool_call></tool_call>", "not closed or not JSON calls"),
        ('<tool_call>{"name": "f", "parameters": {}}', "not closed or not JSON calls"),
        ('<tool_call>{"name": "f"}</tool_call>', "not closed or not JSON calls"),
        (
            f'<tool_call>{{"name": "f", "parameters": {{"x": {DEEP}}}}}</tool_call>',
            "nested more than 100 levels",
        ),
        ("{", "not JSON"),
        ("{" * 100_000, "not JSON"),
        (record() + "x", "one object with the keys"),
        (record(more=1), "one object with the keys"),
        ("{}", "one object with the keys"),
        (record(format="xml"), "format must be one of toolrl, chat_template"),
        (record(format=["toolrl"]), "format must be one of"),
        (record(expect="call"), "expect must be one of calls, no_call, any_call"),
        (record(calls={}), "calls must be a list"),
        (record(calls=[]), "calls must be given"),
        (record(expect="no_call"), "be empty for the others"),
        (record(calls=["f"]), "a call must be an object"),
        (record(calls=[{"name": "f", "arguments": {}}]), "a call must be an object"),
        (record(calls=[{"name": 1, "parameters": {}}]), "a call must be an object"),
        (record(calls=[{"name": "f", "parameters": {"x": 1}}]), 'as in {"city": ["Oslo"]}'),
        (record().replace("[1]", f"[{DEEP}]"), "nested more than 100 levels"),
        (record(values="alike"), "values must be one of allowed, equal"),
        (record(value="equal"), "keys format, expect, calls and at will values"),
        (None, "must be a string (json.dumps makes one of an object): None"),
        ({"calls": []}, "must be a string"),
    ],
)
def test_malformed_is_our_error(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="malformed ground truth") as caught:
        tool_call_reward("any response", text)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("extra_info", "row"),
    [
        ({"index": 7, "id": "live_simple_3"}, "row live_simple_3:"),
        ({"index": 7}, "row 7:"),
        ({}, "row without id:"),
        (None, "row without id:"),
    ],
)
def test_compute_score_names_the_row(extra_info: dict[str, object] | None, row: str) -> None:
    with pytest.raises(ValueError, match=f"bfcl, {row} malformed ground truth"):
        compute_score("bfcl", "text", "{", extra_info)
