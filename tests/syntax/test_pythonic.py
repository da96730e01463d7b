"""Calls as a Python list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syntax_checks import check_any, check_cuts, mutated, parts, some_calls

from rest_verl.syntax import ToolCall, get_syntax

PYTHONIC = get_syntax("pythonic")
F, G = ToolCall("f", {"a": 1, "b": "x"}), ToolCall("g", {})


def test_regions() -> None:
    message = (
        "<think>hm</think> <|python_start|>[f(a=1, b = 'x, )' ,), "
        "m.g(l=[(1, 2), {'k': None}])]<|python_end|>\n"
    )
    assert parts("pythonic", message) == [
        ("F", "<think>"),
        ("T", "hm"),
        ("F", "</think>"),
        ("x", " "),
        ("F", "<|python_start|>["),
        ("N", "f"),
        ("F", "("),
        ("A", "a"),
        ("F", "="),
        ("A", "1"),
        ("F", ", "),
        ("A", "b"),
        ("F", " = "),
        ("A", "'x, )'"),
        ("F", " ,), "),
        ("N", "m.g"),
        ("F", "("),
        ("A", "l"),
        ("F", "="),
        ("A", "[(1, 2), {'k': None}]"),
        ("F", ")]<|python_end|>"),
        ("x", "\n"),
    ]


HEAD = [("F", "["), ("N", "f")]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # cut off
        ("[", [("F", "[")]),
        ("<|python_start|>", [("F", "<|python_start|>")]),
        ("[f", HEAD),
        ("[f(", [*HEAD, ("F", "(")]),
        ("[f(ci", [*HEAD, ("F", "("), ("A", "ci")]),
        ("[f(a=", [*HEAD, ("F", "("), ("A", "a"), ("F", "=")]),
        ("[f(a='x, ", [*HEAD, ("F", "("), ("A", "a"), ("F", "="), ("A", "'x, ")]),
        ("[f(a=[1, ", [*HEAD, ("F", "("), ("A", "a"), ("F", "="), ("A", "[1, ")]),
        ("[f(), g", [*HEAD, ("F", "(), "), ("N", "g")]),
        # broken
        ("[f(1)]", [*HEAD, ("F", "("), ("A", "1"), ("F", ")]")]),
        (
            "[f(a=1) so",
            [*HEAD, ("F", "("), ("A", "a"), ("F", "="), ("A", "1"), ("F", ")"), ("x", " so")],
        ),
        ("[f(a=1]", [*HEAD, ("F", "("), ("A", "a"), ("F", "="), ("A", "1"), ("x", "]")]),
        ("[f(), 1]", [*HEAD, ("F", "(), "), ("x", "1]")]),
        ("[f(,)]", [*HEAD, ("F", "("), ("x", ",)]")]),
    ],
)
def test_broken_calls_keep_what_can_be_read(message: str, expected: list[tuple[str, str]]) -> None:
    assert parts("pythonic", message) == expected
    assert not PYTHONIC.read(message).well_formed


@pytest.mark.parametrize(
    ("message", "structure", "calls", "well_formed"),
    [
        # calls
        ("[g()]", "Cc", [G], True),
        ('[f(a=1, b="x")]', "Cc", [F], True),
        ("\n[ f ( a=1 , b='x' ), g( ) ]\n", "", [], True),  # no bracket right behind the name
        ("\n[ f( a=1 , b='x' ), g( ), ]\n", "Cc", [F, G], True),
        ("[f(\n    a=1,\n    b='x',\n),\ng()]", "Cc", [F, G], True),
        ("<|python_start|>[g()]<|python_end|>", "Cc", [G], True),
        ("<|python_start|>[g()]", "Cc", [G], True),
        ("[a.b_c.d2()]", "Cc", [ToolCall("a.b_c.d2", {})], True),
        ("[né(é='é')]", "Cc", [ToolCall("né", {"é": "é"})], True),
        (
            "[g(a=-1.5, b=True, c=null, d=[], e={'k': (1, 'é')})]",
            "Cc",
            [ToolCall("g", {"a": -1.5, "b": True, "c": None, "d": [], "e": {"k": [1, "é"]}})],
            True,
        ),
        ("[g(a=1, a=2)]", "Cc", [ToolCall("g", {"a": 2})], True),
        (r"""[g(a='it\'s', b="]\n</think>")]""", "Cc", None, True),
        ("<think>[f()]</think>\n[g()]", "TtCc", [G], True),
        ("hm</think>[g()]", "TtCc", [G], True),  # the prompt opened it
        # text
        ("", "", [], True),
        ("only text", "", [], True),
        ("I call [g()]", "", [], True),
        ("<think>a</think>I call [g()]", "Tt", [], True),
        ("<think>[g()]", "T", [], True),
        ("g()", "", [], True),
        ("[1, 2]", "", [], True),
        ("[]", "", [], True),
        ("[Note (1)] so", "", [], True),
        ("[link](f)", "", [], True),
        ("<|python_start|>print(1)", "", [], True),
        # broken calls
        ("[f(1)]", "Cc", [], False),
        ("[f(a=1, 2), g()]", "Cc", [G], False),
        ("[f(a=b)]", "Cc", [], False),
        ("[f(a=g())]", "Cc", [], False),
        ("[f(a=1 + 1)]", "Cc", [], False),
        ("[f(a='x' 'y')]", "Cc", [], False),
        ("[f(a='x\ny')]", "Cc", [], False),
        ("[f(a==1)]", "Cc", [], False),
        ("[f(*a)]", "Cc", [], False),
        ("[f(**{'a': 1})]", "Cc", [], False),
        (f"[f(a={'[' * 300}{']' * 300})]", "Cc", [], False),
        ("[g() g()]", "C", [G], False),
        ("[g(), 1]", "C", [G], False),
        ("[g()] so", "Cc", [G], False),
        ("[g()][g()]", "Cc", [G], False),
        ("[g()", "C", [G], False),
        ("[g()]<think>a</think>", "CcTt", [G], False),
    ],
)
def test_reading(
    message: str, structure: str, calls: list[ToolCall] | None, well_formed: bool
) -> None:
    reading = PYTHONIC.read(message)
    calls = [ToolCall("g", {"a": "it's", "b": "]\n</think>"})] if calls is None else calls
    assert (reading.structure, reading.calls, reading.well_formed) == (
        structure,
        calls,
        well_formed,
    )
    check_any("pythonic", message)


def test_thought_that_the_prompt_opened() -> None:
    assert parts("pythonic", "[g()]", think=True) == [("T", "[g()]")]
    assert PYTHONIC.read("[f()]</think>[g()]", think_is_open=True).calls == [G]
    assert PYTHONIC.read("a</think>[g()]", think_is_open=False).structure == "t"


def test_cut_off_anywhere() -> None:
    message = "<think>é</think>[f(a=1, b='é'), m.g(l=[{'k': (1,)}])]"
    check_cuts("pythonic", message)
    for cut in range(message.index("[") + 1, len(message)):
        assert not PYTHONIC.read(message[:cut]).well_formed


@given(some_calls(), st.sampled_from(["", "Hi"]), st.sampled_from([None, "hm"]))
def test_what_is_written_is_read_back(calls: list[ToolCall], text: str, think: str | None) -> None:
    reading = PYTHONIC.read(PYTHONIC.write(calls, text, think=think))
    assert (reading.calls, reading.well_formed) == (calls, True)
    assert PYTHONIC.has_form(reading, wants_calls=bool(calls))


def test_writing() -> None:
    assert PYTHONIC.write([F, G], "Hi") == "[f(a=1, b='x'), g()]"
    assert PYTHONIC.write([], "Hi", think="hm") == "<think>\nhm\n</think>\n\nHi"


@given(
    mutated(
        "pythonic", ["<|python_start|>", "<|python_end|>", "<think>", "</think>", *"[]()='\"\\,.{"]
    )
)
def test_hostile_messages(message: str) -> None:
    check_any("pythonic", message)


@pytest.mark.parametrize("unit", ["[", "(", "{", "'", '"', "\\'", "a=", "a", ".", ",", " ", "a=1,"])
def test_long_hostile_messages(unit: str) -> None:
    check_any("pythonic", "[f(a=" + unit * (30_000 // len(unit)))
    check_any("pythonic", "[f(" + unit * (30_000 // len(unit)) + ")]")
    check_any("pythonic", "[" + unit * (30_000 // len(unit)))
