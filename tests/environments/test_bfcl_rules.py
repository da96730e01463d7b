"""The state rule, the response rule, and call strings, on examples by hand."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.environments.bfcl_backend import plain_copy
from rest_verl.environments.bfcl_rules import differing_class, holds_outputs
from rest_verl.environments.bfcl_task import parse_call

LOOP: list = []
LOOP.append(LOOP)
OTHER_LOOP: list = []
OTHER_LOOP.append(OTHER_LOOP)


@pytest.mark.parametrize(
    ("model", "truth", "differing"),
    [
        ({"x": 1}, {"x": 1}, None),
        ({"x": 1.0}, {"x": 1}, None),  # equal in Python
        ({"x": 2}, {"x": 1}, "A"),
        ({"_x": 2}, {"_x": 1}, None),  # private
        ({}, {"x": 1}, "A"),
        ({"x": 1, "y": 2}, {"x": 1}, None),  # only the ground truth's attributes count
        ({"x": LOOP}, {"x": OTHER_LOOP}, "A"),  # cannot be compared
    ],
)
def test_state_rule(model: dict, truth: dict, differing: str | None) -> None:
    same = SimpleNamespace(z=0)
    left = {"A": SimpleNamespace(**model), "B": same}
    right = {"A": SimpleNamespace(**truth), "B": same}
    assert differing_class(left, right) == differing


@pytest.mark.parametrize(
    ("outputs", "expected", "held"),
    [
        ([], [], True),
        (["a", "b"], ["b", "a"], True),
        (["a", "b", "c"], ["a"], True),
        (["a"], ["a", "a"], False),
        (["a"], ["b"], False),
        ([], ["a"], False),
    ],
)
def test_response_rule(outputs: list[str], expected: list[str], held: bool) -> None:
    assert holds_outputs(Counter(outputs), expected) is held


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("ls()", ("ls", (), {})),
        (" ls(a = True) ", ("ls", (), {"a": True})),
        ("f('a', -1.5, x=[1, {'k': None}])", ("f", ("a", -1.5), {"x": [1, {"k": None}]})),
        ("f(x='g(1)')", ("f", (), {"x": "g(1)"})),
    ],
)
def test_calls_are_parsed(text: str, call: tuple) -> None:
    assert parse_call(text) == call


@pytest.mark.parametrize(
    "text", ["", "f", "f(", "f()()", "a.f()", "f(x)", "f(g())", "f(*[1])", "f(**{})", "f(); g()",
             "__import__('os').system('x')", "f(" * 5000, "f('\0')\0"],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- many messages, of Python's parser too
        parse_call(text)


@given(st.text(max_size=10), st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers()))
def test_written_calls_are_read_again(value: str, numbers: dict[str, Any]) -> None:
    named = ", ".join(f"{k}={v!r}" for k, v in numbers.items())
    assert parse_call(f"f({value!r}, {named})") == ("f", (value,), numbers)


def test_copies_share_nothing_that_can_change() -> None:
    original = {"a": [{"b": [1, "x"]}], "c": None}
    copied = plain_copy(original)
    assert copied == original
    copied["a"][0]["b"].append(2)
    assert original == {"a": [{"b": [1, "x"]}], "c": None}
