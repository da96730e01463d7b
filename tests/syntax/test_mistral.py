"""Mistral's three generations of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syntax_checks import check_any, check_cuts, mutated, parts, some_calls

from rest_verl.syntax import ToolCall, get_syntax

MISTRAL = get_syntax("mistral")
F, G = ToolCall("f", {"a": 1}), ToolCall("g", {})
F_TEXT, G_TEXT = '[TOOL_CALLS]f[ARGS]{"a": 1}', "[TOOL_CALLS]g[ARGS]{}"
F_ITEM = '{"name": "f", "arguments": {"a": 1}}'


def test_regions() -> None:
    assert parts("mistral", f"[THINK]hm[/THINK]Hi{F_TEXT}[TOOL_CALLS]g[CALL_ID]a1[ARGS]{{}}") == [
        ("F", "[THINK]"),
        ("T", "hm"),
        ("F", "[/THINK]"),
        ("x", "Hi"),
        ("F", "[TOOL_CALLS]"),
        ("N", "f"),
        ("F", "[ARGS]"),
        ("A", '{"a": 1}'),
        ("F", "[TOOL_CALLS]"),
        ("N", "g"),
        ("F", "[CALL_ID]a1[ARGS]"),
        ("A", "{}"),
    ]


def test_regions_of_the_oldest_form() -> None:
    assert parts("mistral", f'[TOOL_CALLS] [{F_ITEM}, {{"name": "g", "arguments": {{}}}}] so') == [
        ("F", '[TOOL_CALLS] [{"name": "'),
        ("N", "f"),
        ("F", '", "arguments": '),
        ("A", '{"a": 1}'),
        ("F", '}, {"name": "'),
        ("N", "g"),
        ("F", '", "arguments": '),
        ("A", "{}"),
        ("F", "}]"),
        ("x", " so"),
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # cut off
        ("ge", [("F", "[TOOL_CALLS]"), ("N", "ge")]),
        ("g[ARGS]", [("F", "[TOOL_CALLS]"), ("N", "g"), ("F", "[ARGS]")]),
        ('g{"a": "x', [("F", "[TOOL_CALLS]"), ("N", "g"), ("A", '{"a": "x')]),
        ('[{"name": "ge', [("F", '[TOOL_CALLS][{"name": "'), ("N", "ge")]),
        ("[", [("F", "[TOOL_CALLS][")]),
        # broken
        ("g[ARGS]none", [("F", "[TOOL_CALLS]"), ("N", "g"), ("F", "[ARGS]"), ("x", "none")]),
        ("g is", [("F", "[TOOL_CALLS]"), ("N", "g"), ("F", " "), ("x", "is")]),
        ("[1]", [("F", "[TOOL_CALLS]"), ("x", "[1]")]),
    ],
)
def test_broken_calls_keep_what_can_be_read(message: str, expected: list[tuple[str, str]]) -> None:
    assert parts("mistral", f"[TOOL_CALLS]{message}") == expected
    assert not MISTRAL.read(f"[TOOL_CALLS]{message}").well_formed


@pytest.mark.parametrize(
    ("message", "structure", "calls", "well_formed"),
    [
        ("", "", [], True),
        ("only text, [brackets]", "", [], True),
        (F_TEXT, "Cc", [F], True),
        (F_TEXT + G_TEXT, "CcCc", [F, G], True),
        (f"{F_TEXT}\n{G_TEXT} done", "CcCc", [F, G], True),
        ('[TOOL_CALLS]f{"a": 1}[TOOL_CALLS]g{}', "CcCc", [F, G], True),  # no [ARGS]
        ('[TOOL_CALLS] f [ARGS] {"a": 1}', "Cc", [F], True),
        ("[TOOL_CALLS]g[CALL_ID]a1B[ARGS]{}", "Cc", [ToolCall("g", {}, "a1B")], True),
        ("[TOOL_CALLS]g[CALL_ID]a1B{}", "Cc", [ToolCall("g", {}, "a1B")], True),
        (f"[TOOL_CALLS][{F_ITEM}, {F_ITEM}]", "Cc", [F, F], True),
        (f"[TOOL_CALLS] [ {F_ITEM} ]\n", "Cc", [F], True),
        (
            '[TOOL_CALLS][{"name": "g", "arguments": {}, "id": "abcdefghi"}]',
            "Cc",
            [ToolCall("g", {}, "abcdefghi")],
            True,
        ),
        (f"[TOOL_CALLS][{F_ITEM}]{G_TEXT}", "CcCc", [F, G], True),
        (f"[THINK]{G_TEXT}[/THINK]{F_TEXT}", "TtCc", [F], True),
        (f"hm[/THINK]{F_TEXT}", "TtCc", [F], True),  # the prompt opened it
        # A tag in a string belongs to it.
        (
            '[TOOL_CALLS]g[ARGS]{"t": "[TOOL_CALLS]f[ARGS]{}"}',
            "Cc",
            [ToolCall("g", {"t": "[TOOL_CALLS]f[ARGS]{}"})],
            True,
        ),
        # Broken.
        ("[TOOL_CALLS]", "Cc", [], False),
        ("[TOOL_CALLS]{}", "Cc", [], False),  # no name
        ("[TOOL_CALLS]g[ARGS][1]", "Cc", [], False),
        ("[TOOL_CALLS]g[ARGS]{a: 1}", "Cc", [], False),
        ('[TOOL_CALLS]g[ARGS]{"a": 01}', "Cc", [], False),
        (f'[TOOL_CALLS]g[ARGS]{{"a": 1{F_TEXT}', "CcCc", [F], False),  # never closed
        (f'[TOOL_CALLS]g[ARGS]{{"a": "x{F_TEXT}', "Cc", [], False),  # nor the string
        ("[TOOL_CALLS][]", "Cc", [], False),
        (f"[TOOL_CALLS][{F_ITEM} {F_ITEM}]", "Cc", [], False),
        (f"[TOOL_CALLS][{F_ITEM}, 1]", "Cc", [], False),
        (f'[TOOL_CALLS][{F_ITEM}, {{"name": "g"}}]', "Cc", [F], False),
        (f"[TOOL_CALLS][{F_ITEM}", "Cc", [], False),
        (f"[TOOL_CALLS]{F_ITEM}", "Cc", [], False),  # no list
        (f"[TOOL_CALLS][{F_ITEM}, so{G_TEXT}", "CcCc", [G], False),
    ],
)
def test_reading(message: str, structure: str, calls: list[ToolCall], well_formed: bool) -> None:
    reading = MISTRAL.read(message)
    assert (reading.structure, reading.calls, reading.well_formed) == (
        structure,
        calls,
        well_formed,
    )
    check_any("mistral", message)


def test_thought_that_the_prompt_opened() -> None:
    assert MISTRAL.leaves_think_open(b"[/INST][THINK]")
    assert parts("mistral", G_TEXT, think=True) == [("T", G_TEXT)]
    assert MISTRAL.read(f"a[/THINK]{F_TEXT}", think_is_open=True).structure == "TtCc"
    assert MISTRAL.read(f"a[/THINK]{F_TEXT}", think_is_open=False).structure == "tCc"


@pytest.mark.parametrize("message", [f"[THINK]é[/THINK]Hi{F_TEXT}", f"[TOOL_CALLS][{F_ITEM}]"])
def test_cut_off_anywhere(message: str) -> None:
    check_cuts("mistral", message)
    start = message.index("[TOOL_CALLS]") + len("[TOOL_CALLS]")
    for cut in range(start, len(message)):
        assert not MISTRAL.read(message[:cut]).well_formed


@given(some_calls(st.text()), st.sampled_from(["", "Hi"]), st.sampled_from([None, "", "hm"]))
def test_what_is_written_is_read_back(calls: list[ToolCall], text: str, think: str | None) -> None:
    reading = MISTRAL.read(MISTRAL.write(calls, text, think=think))
    assert (reading.calls, reading.well_formed) == (calls, True)


def test_writing() -> None:
    calls = [F, ToolCall("g", {}, "a1B2c3D4e")]
    written = f"[THINK]hm[/THINK]Hi{F_TEXT}[TOOL_CALLS]g[CALL_ID]a1B2c3D4e[ARGS]{{}}"
    assert MISTRAL.write(calls, "Hi", think="hm") == written
    assert MISTRAL.read(written).calls == calls


@given(
    mutated("mistral", ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "[THINK]", "[", "]", "{", '"', "\\"])
)
def test_hostile_messages(message: str) -> None:
    check_any("mistral", message)


@pytest.mark.parametrize(
    "unit",
    ["[TOOL_CALLS]", '[TOOL_CALLS]f{"a":{\\"', "[TOOL_CALLS][", "[TOOL_CALLS][{", "[", '{"a":[\\"'],
)
def test_long_hostile_messages(unit: str) -> None:
    check_any("mistral", "[TOOL_CALLS]f[ARGS]" + unit * (30_000 // len(unit)))
    check_any("mistral", "[TOOL_CALLS][" + unit * (30_000 // len(unit)))
