"""Read a row's ground truth, once: what an answer must look like and which calls it must make.

Two notations, both strings (``reward_model.ground_truth`` of a row):

1. ToolRL's text: optional ``<think>``, then ``<tool_call>`` with calls in JSON and/or
   ``<response>``. Argument values must be equal.
2. A JSON object ``{"format", "expect", "calls"}``, written for BFCL rows, in which every argument
   has a list of allowed values (see :func:`rest_verl.rewards.values.allowed_values`). With
   ``"values": "equal"`` beside them, every argument has the one value that is right.

A malformed ground truth is our error, not the model's: it raises ``ValueError``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from rest_verl.rewards.values import ValueTest, allowed_values, equal_to, may_be_left_out
from rest_verl.syntax import get_syntax
from rest_verl.syntax.json_values import decode_json

FORMATS = ("toolrl", "chat_template")
EXPECTATIONS = ("calls", "no_call", "any_call")
VALUES = ("allowed", "equal")
_KEYS = {"format", "expect", "calls"}
_CALL = '{"name": "f", "parameters": {"city": ["Oslo"]}}'
MAX_NESTING = 100
"""Deepest nesting of values in a ground truth: comparing recurses as deep, but no deeper, however
deep the answer is."""


class ExpectedCall(NamedTuple):
    """One ground-truth call, ready to compare with."""

    name: str
    tests: dict[str, ValueTest]
    """The test of each parameter's value."""
    optional: frozenset[str]
    """Parameters that may be left out."""
    allowed: dict[str, list[Any]]
    """The values that each parameter may have, for people; "" where it may be left out."""


class GroundTruth(NamedTuple):
    """What a row asks for."""

    format: str
    """``toolrl``, as the prompt asked, or ``chat_template``: in the model's own syntax."""
    expect: str
    """``calls`` (these), ``no_call``, or ``any_call`` (one or more, whichever)."""
    response_too: bool
    """True if the answer needs a ``<response>`` after its calls (ToolRL's rows with both)."""
    calls_by_name: dict[str, list[ExpectedCall]]
    """Empty unless ``expect`` is ``calls``."""
    num_calls: int
    max_points: int
    """The points of a fully right answer, ``1 + Σ(1 + number of parameters)``."""


def parse_ground_truth(text: str) -> GroundTruth:
    """The ground truth in ``text``; the 4,096 used last are kept.

    Raises:
        ValueError: saying what is wrong with it, with its beginning.
    """
    if not isinstance(text, str):
        raise ValueError(
            "malformed ground truth: it must be a string (json.dumps makes one of an object): "
            f"{repr(text)[:80]}"
        )
    return _parse(text)


@lru_cache(maxsize=4096)
def _parse(text: str) -> GroundTruth:
    text = text.strip()
    return _from_json(text) if text.startswith("{") else _from_toolrl(text)


def _from_toolrl(text: str) -> GroundTruth:
    answer = get_syntax("toolrl").read(text, think_is_open=False)
    structure = answer.structure
    if not answer.well_formed:
        _refuse(
            text, "its tool_call block is not closed or not JSON calls with name and parameters"
        )
    if structure.removeprefix("Tt") not in ("Cc", "CcRr", "Rr"):
        _refuse(text, "it needs <tool_call>, <response> or both in this order, after any <think>")
    for call in answer.calls:
        _check_nesting(text, call.arguments)
    expected = [_exact_call(call.name, call.arguments) for call in answer.calls]
    return _ground_truth("toolrl", "calls" if expected else "no_call", "R" in structure, expected)


def _from_json(text: str) -> GroundTruth:
    try:
        record, end = decode_json(text, 0)
    except (ValueError, RecursionError) as error:
        _refuse(text, f"it is not JSON ({error})")
    if end < len(text) or record.keys() | {"values"} != _KEYS | {"values"}:
        _refuse(
            text,
            "it must be one object with the keys format, expect, calls and at will values, as in "
            '{"format": "toolrl", "expect": "no_call", "calls": []}',
        )
    _check_nesting(text, record)
    if record["format"] not in FORMATS:
        _refuse(text, f"format must be one of {', '.join(FORMATS)}")
    if record["expect"] not in EXPECTATIONS:
        _refuse(text, f"expect must be one of {', '.join(EXPECTATIONS)}")
    if record.get("values", "allowed") not in VALUES:
        _refuse(text, f"values must be one of {', '.join(VALUES)}")
    if not isinstance(record["calls"], list):
        _refuse(text, f"calls must be a list, as in [{_CALL}]")
    if bool(record["calls"]) != (record["expect"] == "calls"):
        _refuse(text, 'calls must be given for expect "calls" and be empty for the others')
    equal = record.get("values") == "equal"
    calls = [_expected_call(text, call, equal) for call in record["calls"]]
    return _ground_truth(record["format"], record["expect"], False, calls)


def _expected_call(text: str, call: Any, equal: bool) -> ExpectedCall:
    match call:
        case {"name": str(name), "parameters": dict(parameters)} if len(call) == 2:
            pass
        case _:
            _refuse(
                text,
                "a call must be an object with a string name and an object of parameters, as in "
                f"{_CALL}",
            )
    if equal:
        return _exact_call(name, parameters)
    for key, allowed in parameters.items():
        if not isinstance(allowed, list):
            _refuse(
                text,
                f'parameter {key!r} must have a list of allowed values, as in {{"city": ["Oslo"]}}',
            )
    return ExpectedCall(
        name,
        {key: allowed_values(allowed) for key, allowed in parameters.items()},
        frozenset(key for key, allowed in parameters.items() if may_be_left_out(allowed)),
        parameters,
    )


def _exact_call(name: str, arguments: dict[str, Any]) -> ExpectedCall:
    return ExpectedCall(
        name,
        {key: equal_to(value) for key, value in arguments.items()},
        frozenset(),
        {key: [value] for key, value in arguments.items()},
    )


def _ground_truth(
    format: str, expect: str, response_too: bool, calls: list[ExpectedCall]
) -> GroundTruth:
    calls_by_name: dict[str, list[ExpectedCall]] = {}
    for call in calls:
        calls_by_name.setdefault(call.name, []).append(call)
    return GroundTruth(
        format,
        expect,
        response_too,
        calls_by_name,
        len(calls),
        1 + sum(1 + len(call.tests) for call in calls),
    )


def _check_nesting(text: str, value: Any) -> None:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            item
            for parent in level
            if isinstance(parent, (dict, list))
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
    _refuse(text, f"its values are nested more than {MAX_NESTING} levels deep")


def _refuse(text: str, why: str) -> NoReturn:
    raise ValueError(f"malformed ground truth: {why}: {text[:80]!r}")
