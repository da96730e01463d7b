"""Kimi K2's sections of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syntax_checks import check_any, check_cuts, mutated, parts, some_calls, without_ids
from verl_parsers import verl_calls

from rest_verl.syntax import ToolCall, get_syntax

KIMI = get_syntax("kimi")
OPEN, CLOSE = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
BEGIN, MIDDLE, END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
F = ToolCall("f", {"a": 1}, "functions.f:0")
G = ToolCall("g", {}, "functions.g:1")
F_TEXT = f'{BEGIN}functions.f:0{MIDDLE}{{"a": 1}}{END}'
G_TEXT = f"{BEGIN}functions.g:1{MIDDLE}{{}}{END}"


def section(*calls: str) -> str:
    return OPEN + "".join(calls) + CLOSE


def test_regions() -> None:
    message = f"<think>hm</think>Hi{section(F_TEXT, G_TEXT)}"
    assert parts("kimi", message) == [
        ("F", "<think>"),
        ("T", "hm"),
        ("F", "</think>"),
        ("x", "Hi"),
        ("F", f"{OPEN}{BEGIN}functions."),
        ("N", "f"),
        ("F", f":0{MIDDLE}"),
        ("A", '{"a": 1}'),
        ("F", f"{END}{BEGIN}functions."),
        ("N", "g"),
        ("F", f":1{MIDDLE}"),
        ("A", "{}"),
        ("F", f"{END}{CLOSE}"),
    ]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # cut off
        (BEGIN, [("F", OPEN + BEGIN)]),
        (f"{BEGIN}functions.ge", [("F", f"{OPEN}{BEGIN}functions."), ("N", "ge")]),
        (f"{BEGIN}g:0{MIDDLE}", [("F", OPEN + BEGIN), ("N", "g"), ("F", f":0{MIDDLE}")]),
        (
            f'{BEGIN}g{MIDDLE}{{"a": "x',
            [("F", OPEN + BEGIN), ("N", "g"), ("F", MIDDLE), ("A", '{"a": "x')],
        ),
        # broken
        (
            f"{BEGIN}g{MIDDLE}none{END}",
            [("F", OPEN + BEGIN), ("N", "g"), ("F", MIDDLE), ("x", "none"), ("F", END)],
        ),
        (
            f'{BEGIN}g{MIDDLE}{{"a{END}',
            [("F", OPEN + BEGIN), ("N", "g"), ("F", MIDDLE), ("A", '{"a'), ("F", END)],
        ),
        (
            f"{BEGIN}g h{MIDDLE}{{}}",
            [("F", OPEN + BEGIN), ("N", "g"), ("F", " "), ("x", f"h{MIDDLE}{{}}")],
        ),
        ("so: ", [("F", OPEN), ("x", "so: ")]),
    ],
)
def test_broken_calls_keep_what_can_be_read(call: str, expected: list[tuple[str, str]]) -> None:
    assert parts("kimi", OPEN + call) == expected
    assert not KIMI.read(OPEN + call).well_formed
    # The next call counts.
    reading = KIMI.read(OPEN + call + G_TEXT + CLOSE)
    assert (reading.structure, reading.calls, reading.well_formed) == ("Cc", [G], False)


@pytest.mark.parametrize(
    ("message", "structure", "calls", "well_formed"),
    [
        ("", "", [], True),
        ("only text", "", [], True),
        (section(F_TEXT), "Cc", [F], True),
        (section(F_TEXT, G_TEXT), "Cc", [F, G], True),
        (section("\n", F_TEXT, "\n ", G_TEXT, "\n"), "Cc", [F, G], True),
        (section(F_TEXT) + section(G_TEXT), "CcCc", [F, G], True),
        (section(f"{BEGIN} g:12 {MIDDLE} {{}} {END}"), "Cc", [ToolCall("g", {}, "g:12")], True),
        (section(f"{BEGIN}g{MIDDLE}{{}}{END}"), "Cc", [ToolCall("g", {}, "g")], True),
        (
            section(f"{BEGIN}m.g:1:2{MIDDLE}{{}}{END}"),
            "Cc",
            [ToolCall("m.g:1", {}, "m.g:1:2")],
            True,
        ),
        (f"<think>{section(G_TEXT)}</think>{section(F_TEXT)}", "TtCc", [F], True),
        (f"hm</think>{section(F_TEXT)}", "TtCc", [F], True),  # the prompt opened it
        # A tag in a string belongs to it.
        (
            section(f'{BEGIN}g:0{MIDDLE}{{"t": "{END}{CLOSE}"}}{END}'),
            "Cc",
            [ToolCall("g", {"t": END + CLOSE}, "g:0")],
            True,
        ),
        # Broken.
        (section(), "Cc", [], False),
        (F_TEXT, "", [], True),  # no section, no call
        (OPEN + F_TEXT, "C", [F], False),
        (section(f'{BEGIN}f:0{MIDDLE}{{"a": 1}}'), "Cc", [], False),  # the call is not closed
        (section(f"{BEGIN}f:0{MIDDLE}[1]{END}"), "Cc", [], False),
        (section(f"{BEGIN}f:0{MIDDLE}{{a: 1}}{END}"), "Cc", [], False),
        (section(f'{BEGIN}f:0{MIDDLE}{{"a": 01}}{END}'), "Cc", [], False),
        (section(f'{BEGIN}f:0{MIDDLE}{{"a": 1}} so{END}'), "Cc", [], False),
        (section(f"{BEGIN}functions.:0{MIDDLE}{{}}{END}"), "Cc", [], False),  # no name
        (section(F_TEXT, "and", G_TEXT), "Cc", [F, G], False),
        (f"{OPEN}{F_TEXT}<think>{CLOSE}", "CT", [F], False),
        (OPEN + section(F_TEXT), "CCc", [F], False),
    ],
)
def test_reading(message: str, structure: str, calls: list[ToolCall], well_formed: bool) -> None:
    reading = KIMI.read(message)
    assert (reading.structure, reading.calls, reading.well_formed) == (
        structure,
        calls,
        well_formed,
    )
    check_any("kimi", message)


def test_thought_that_the_prompt_opened() -> None:
    assert KIMI.leaves_think_open(b"<|im_middle|><think>")
    assert parts("kimi", section(G_TEXT), think=True) == [("T", section(G_TEXT))]
    assert KIMI.read(f"a</think>{section(F_TEXT)}", think_is_open=True).structure == "TtCc"
    assert KIMI.read(f"a</think>{section(F_TEXT)}", think_is_open=False).structure == "tCc"


def test_cut_off_anywhere() -> None:
    check_cuts("kimi", f"<think>é</think>{section(F_TEXT, G_TEXT)}")


@given(some_calls(st.text()), st.sampled_from(["", "Hi"]), st.sampled_from([None, "", "hm"]))
def test_what_is_written_is_read_back(calls: list[ToolCall], text: str, think: str | None) -> None:
    message = KIMI.write(calls, text, think=think)
    reading = KIMI.read(message)
    assert reading.well_formed
    assert without_ids(reading.calls) == calls
    assert KIMI.write(reading.calls, text, think=think) == message


def test_writing() -> None:
    calls = [F, ToolCall("g", {}, "call-7"), ToolCall("h", {})]
    assert KIMI.write(calls, "Hi", think="hm") == "<think>hm</think>Hi" + section(
        F_TEXT, G_TEXT, f"{BEGIN}functions.h:2{MIDDLE}{{}}{END}"
    )


@given(mutated("kimi", [OPEN, CLOSE, BEGIN, MIDDLE, END, "functions.", ":1", '"', "\\", "{", "<"]))
def test_hostile_messages(message: str) -> None:
    check_any("kimi", message)


@pytest.mark.parametrize(
    "unit", [OPEN, BEGIN, f'{BEGIN}f{MIDDLE}{{"a":{{\\"', f"{F_TEXT} so ", ":1"]
)
def test_long_hostile_messages(unit: str) -> None:
    check_any("kimi", OPEN + unit * (30_000 // len(unit)))


@pytest.mark.parametrize("message", ["Hi", section(F_TEXT), f"Hi{section(F_TEXT, G_TEXT)}"])
def test_finds_the_calls_that_verl_finds(message: str) -> None:
    ours = [(call.id, call.arguments) for call in KIMI.read(message).calls]
    assert ours == verl_calls("kimi", [message], [])[0]  # verl's name is the whole id


@pytest.mark.parametrize(
    ("message", "ours", "verls"),
    [
        # A draft is none.
        (f"<think>{section(G_TEXT)}</think>no", [], [("functions.g:1", {})]),
        # verl makes up arguments.
        (section(f"{BEGIN}f:0{MIDDLE}none{END}"), None, [("f:0", {})]),
        (section(f"{BEGIN}f:0{MIDDLE}[1]{END}"), None, [("f:0", {})]),
        # Nothing in a broken message is to be run.
        (OPEN + G_TEXT, None, [("functions.g:1", {})]),
        # A tag in a string is none.
        (section(f'{BEGIN}f{MIDDLE}{{"a": "{END}"}}{END}'), [("f", {"a": END})], [("f", {})]),
    ],
)
def test_differs_from_verl(message: str, ours: object, verls: object) -> None:
    whole = KIMI.read(message).whole_calls
    assert (whole if whole is None else [(c.name, c.arguments) for c in whole]) == ours
    assert verl_calls("kimi", [message], [])[0] == verls


def test_names_are_not_guessed() -> None:
    """verl takes the offered tool that a broken name, or the arguments, would fit."""
    parameters = {"type": "object", "properties": {}, "required": []}
    function = {"name": "weather", "description": "", "parameters": parameters}
    tools = [{"type": "function", "function": function}]
    message = section(f"{BEGIN}functions.get-weather:0{MIDDLE}{{}}{END}")
    assert verl_calls("kimi", [message], tools)[0] == [("weather", {})]
    assert KIMI.read(message, tools=tools).calls == [
        ToolCall("get-weather", {}, "functions.get-weather:0")
    ]
