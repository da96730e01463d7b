"""The XML-like syntaxes read the calls that verl's parsers read, but for what is listed here."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verl_parsers import verl_calls
from xml_dialects import DIALECTS, TOOLS, plain_text, typed_calls

from rest_verl.syntax import ToolCall, get_syntax

Calls = list[tuple[str, dict[str, Any]]]
every_syntax = pytest.mark.parametrize("name", DIALECTS)


def our_calls(name: str, text: str) -> tuple[Calls, bool]:
    reading = get_syntax(name).read(text, think_is_open=False, tools=TOOLS)
    return [(call.name, call.arguments) for call in reading.calls], reading.well_formed


def reason_to_differ(name: str, ours: Any, verls: Any) -> str | None:
    """Why a value differs although both read the same text; None if nothing explains it."""
    if name == "qwen3_coder":
        if verls is None and isinstance(ours, str) and ours.lower() == "null":
            return "verl reads null as None, whatever the type; a string stays one"
        if isinstance(ours, list) and isinstance(verls, str):
            return "verl reads lists as Python literals only; JSON's true and null are none"
    elif isinstance(ours, str) and name != "deepseek_v4":
        try:
            value = json.loads(ours.strip())
        except ValueError:
            value = ours.strip()
        if verls == value:
            return "verl strips strings and reads them as JSON, whatever the tool's schema says"
    return None


def agree(name: str, ours: Calls, verls: Calls) -> bool:
    if [(call, list(arguments)) for call, arguments in ours] != [
        (call, list(arguments)) for call, arguments in verls
    ]:
        return False
    pairs = [
        (value, other)
        for (_, arguments), (_, others) in zip(ours, verls, strict=True)
        for value, other in zip(arguments.values(), others.values(), strict=True)
    ]
    return all(value == other or reason_to_differ(name, value, other) for value, other in pairs)


@every_syntax
@settings(max_examples=50, deadline=None)
@given(calls=typed_calls, text=plain_text, think=st.none() | plain_text, behind=plain_text)
def test_whole_messages(
    name: str, calls: list[ToolCall], text: str, think: str | None, behind: str
) -> None:
    message = get_syntax(name).write(calls, text, think=think) + behind
    ours, well_formed = our_calls(name, message)
    assert well_formed
    assert ours == [(call.name, call.arguments) for call in calls]
    (verls,) = verl_calls(name, [message], TOOLS)
    assert agree(name, ours, verls)


@every_syntax
@settings(max_examples=10, deadline=None)
@given(calls=typed_calls.filter(len), think=st.none() | plain_text)
def test_cut_off_at_every_character(name: str, calls: list[ToolCall], think: str | None) -> None:
    message = get_syntax(name).write(calls, "Hi", think=think)
    texts = [message[:cut] for cut in range(len(message))]
    for text, verls in zip(texts, verl_calls(name, texts, TOOLS), strict=True):
        ours, well_formed = our_calls(name, text)
        if name == "qwen3_coder" and not well_formed:
            # verl takes what is cut off for a call: here only the whole ones before it are.
            assert agree(name, ours, verls[: len(ours)])
        else:
            # verl's others skip a block that is not closed; here its whole calls are read, and
            # kept from being run because the message is not well-formed.
            assert agree(name, ours[: len(verls)], verls)
            assert len(ours) == len(verls) or not well_formed


ONE = "[B]\n[C f]\n[P a]x[/P]\n[/C]\n[/B]"
F: Calls = [("f", {"a": "x"})]
XML = ["qwen3_coder", "seed", "minimax", "deepseek_v4"]
QWEN, NOT_QWEN = ["qwen3_coder"], ["seed", "minimax", "deepseek_v4", "glm"]
UNTYPED = ["seed", "minimax", "glm"]


@pytest.mark.parametrize(
    ("names", "notation", "ours", "whole", "verls", "reason"),
    [
        # what is a call
        (DIALECTS, f"[T]I write {ONE}[/T]", [], True, F, "calls in a thought are thought"),
        (QWEN, "[B][C f][P a]x", [], False, F, "a half value is no call"),
        (QWEN, "[B][C f][P a]x[/P]", [], False, F, "a call that is not closed is none"),
        (QWEN, "[B][C f][P a]x[/C][/B]", [], False, F, "nor is one whose value is not closed"),
        (QWEN, "[B][C f][P a]x[/P][/C]", F, False, F, "whole, but no call is run"),
        (NOT_QWEN[:3], "[B][C f][P a]x[/P][/C]", F, False, [], "whole, but no call is run"),
        (XML, "[B]so [C f][P a]x[/P][/C][/B]", F, False, F, "text between the pieces"),
        (XML, "[B][C f]so [P a]x[/P][/C][/B]", [], False, F, "text between the pieces"),
        (["glm"], "[B]f so [P a]x[/P][/B]", [], False, [("f so", {"a": "x"})], "no name"),
        (["glm"], "[B]f[P a]x[/P] so[/B]", [], False, F, "text between the pieces"),
        (["glm"], '[B]{"name": 1}[/B]', [], False, [('{"name": 1}', {})], "no name"),
        (["glm"], "[B][/B]", [], False, [("", {})], "no name"),
        (["seed", "minimax"], "[B][C f ][P a]x[/P][/C][/B]", [], False, F, "no name"),
        (["seed"], f"[B]{ONE[3:-4]}{ONE[3:-4]}[/B]", F + F, True, F, "all calls of a block"),
        # types
        (
            QWEN,
            "[B][C f][P b]yes[/P][/C][/B]",
            [("f", {"b": "yes"})],
            True,
            [("f", {"b": False})],
            "what is no boolean stays text",
        ),
        (
            QWEN,
            "[B][C f][P n]1_000[/P][/C][/B]",
            [("f", {"n": "1_000"})],
            True,
            [("f", {"n": 1000})],
            "numbers are JSON's",
        ),
        (
            QWEN,
            "[B][C f][P n]5.0[/P][/C][/B]",
            [("f", {"n": 5})],
            True,
            [("f", {"n": "5.0"})],
            "an integer to JSON schema",
        ),
        (
            QWEN,
            "[B][C f][P o][1][/P][/C][/B]",
            [("f", {"o": "[1]"})],
            True,
            [("f", {"o": [1]})],
            "a list is no object",
        ),
        (
            QWEN,
            "[B][C f][P n]None[/P][/C][/B]",
            [("f", {"n": None})],
            True,
            [("f", {"n": "None"})],
            "as the template writes null",
        ),
        (
            QWEN,
            "[B][C f][P z]5[/P][/C][/B]",
            [("f", {"z": 5})],
            True,
            [("f", {"z": "5"})],
            "without a type, what it is as JSON",
        ),
        (
            UNTYPED,
            "[B][C f][P a] 5 [/P][/C][/B]",
            [("f", {"a": " 5 "})],
            True,
            [("f", {"a": 5})],
            "typed by the tool's schema",
        ),
        (
            UNTYPED,
            "[B][C f][P o]{'k': 1}[/P][/C][/B]",
            [("f", {"o": {"k": 1}})],
            True,
            [("f", {"o": "{'k': 1}"})],
            "a Python literal, as Seed's template writes it",
        ),
    ],
)
def test_known_differences(
    names: list[str], notation: str, ours: Calls, whole: bool, verls: Calls, reason: str
) -> None:
    for name in names:
        text = DIALECTS[name].write(notation)
        assert our_calls(name, text) == (ours, whole), (name, reason)
        assert verl_calls(name, [text], TOOLS) == [verls], (name, reason)


@every_syntax
def test_a_closing_tag_in_a_value_ends_it_for_verl_only(name: str) -> None:
    text = DIALECTS[name].write("[B][C f][P a]x[/P] y[/P][/C][/B]")
    value = DIALECTS[name].write("x[/P] y")
    assert our_calls(name, text) == ([("f", {"a": value})], True)
    assert verl_calls(name, [text], TOOLS) == [F]
