"""Llama's bare JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syntax_checks import check_any, check_cuts, mutated, parts, some_calls

from rest_verl.syntax import ToolCall, get_syntax

LLAMA = get_syntax("llama3_json")
F, G = ToolCall("f", {"a": 1}), ToolCall("g", {})
F_TEXT = '{"name": "f", "parameters": {"a": 1}}'
G_TEXT = '{"name": "g", "arguments": {}}'


def test_regions() -> None:
    message = (
        '<think>hm</think>\n\n<|python_tag|>{"type": "function", "name": "f", '
        '"parameters": {"a": 1}}; {"name": "g", "parameters": {}}\n'
    )
    assert parts("llama3_json", message) == [
        ("F", "<think>"),
        ("T", "hm"),
        ("F", "</think>"),
        ("x", "\n\n"),
        ("F", "<|python_tag|>{"),
        ("x", '"type"'),
        ("F", ": "),
        ("x", '"function"'),
        ("F", ', "name": "'),
        ("N", "f"),
        ("F", '", "parameters": '),
        ("A", '{"a": 1}'),
        ("F", '}; {"name": "'),
        ("N", "g"),
        ("F", '", "parameters": '),
        ("A", "{}"),
        ("F", "}"),
        ("x", "\n"),
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # cut off
        ("{", [("F", "{")]),
        ('{ "na', [("F", "{ "), ("x", '"na')]),
        ('{"name": "ge', [("F", '{"name": "'), ("N", "ge")]),
        (
            '{"name": "g", "parameters": {"a": "x',
            [("F", '{"name": "'), ("N", "g"), ("F", '", "parameters": '), ("A", '{"a": "x')],
        ),
        ("<|python_tag|>", [("F", "<|python_tag|>")]),
        # broken
        (
            f"{G_TEXT} so <think>hm",
            [
                ("F", '{"name": "'),
                ("N", "g"),
                ("F", '", "arguments": '),
                ("A", "{}"),
                ("F", "}"),
                ("x", " so "),
                ("F", "<think>"),
                ("T", "hm"),
            ],
        ),
        ('{"name": so', [("F", '{"name": '), ("x", "so")]),
    ],
)
def test_broken_calls_keep_what_can_be_read(message: str, expected: list[tuple[str, str]]) -> None:
    assert parts("llama3_json", message) == expected
    assert not LLAMA.read(message).well_formed


@pytest.mark.parametrize(
    ("message", "structure", "calls", "well_formed"),
    [
        # calls
        (F_TEXT, "Cc", [F], True),
        (f"\n {F_TEXT} \n", "Cc", [F], True),
        (f"<|python_tag|>{F_TEXT}", "Cc", [F], True),
        (f"{F_TEXT}{G_TEXT}", "Cc", [F, G], True),
        (f"{F_TEXT};{G_TEXT}", "Cc", [F, G], True),
        (f"{F_TEXT} ; <|python_tag|>{G_TEXT}", "Cc", [F, G], True),
        (f"{F_TEXT},\n{G_TEXT}", "Cc", [F, G], True),
        (f"<think>{G_TEXT}</think>\n{F_TEXT}", "TtCc", [F], True),
        (f"hm</think>\n{F_TEXT}", "TtCc", [F], True),  # the prompt opened it
        (f"<think>a<think>b</think>{F_TEXT}", "TtCc", [F], True),
        ('{"name": "f", "parameters": {"a": "</think>"}}', "Cc", None, True),
        ('{"type": "function", "name": "f", "parameters": {"a": 1}}', "Cc", [F], True),
        # text
        ("", "", [], True),
        ("only text", "", [], True),
        (f"I call {F_TEXT}", "", [], True),
        (f"<think>a</think>I call {F_TEXT}", "Tt", [], True),
        (f"So <think>a</think>{F_TEXT}", "Tt", [], True),
        (f"<think>{F_TEXT}", "T", [], True),
        ('{"city": "Oslo"}', "", [], True),
        ('{"parameters": {}, "name": "g"}', "", [], True),  # the name comes first
        ("{}", "", [], True),
        (f"[{F_TEXT}]", "", [], True),
        ("<|python_tag|>print(1)", "", [], True),
        # broken calls
        ('{"name": "Oslo", "people": 700000}', "Cc", [], False),
        ('{"name": 7, "parameters": {}}', "Cc", [], False),
        ('{"name": "f", "parameters": "x"}', "Cc", [], False),
        ('{"name": "f", "parameters": {}, "arguments": {}}', "Cc", [], False),
        ('{"name": "f", "parameters": {"a": 01}}', "Cc", [], False),
        (f"{F_TEXT} so", "Cc", [F], False),
        (f"{F_TEXT};", "Cc", [F], False),
        (f"{F_TEXT};;{G_TEXT}", "Cc", [F], False),
        (f"{F_TEXT}<think>a</think>", "CcTt", [F], False),
        (f"{F_TEXT}; {{", "C", [F], False),
        (F_TEXT[:-1], "C", [], False),
    ],
)
def test_reading(
    message: str, structure: str, calls: list[ToolCall] | None, well_formed: bool
) -> None:
    reading = LLAMA.read(message)
    calls = [ToolCall("f", {"a": "</think>"})] if calls is None else calls
    assert (reading.structure, reading.calls, reading.well_formed) == (
        structure,
        calls,
        well_formed,
    )
    check_any("llama3_json", message)


def test_thought_that_the_prompt_opened() -> None:
    assert parts("llama3_json", F_TEXT, think=True) == [("T", F_TEXT)]
    assert LLAMA.read(f"{G_TEXT}</think>{F_TEXT}", think_is_open=True).calls == [F]
    assert LLAMA.read(f"a</think>{F_TEXT}", think_is_open=False).structure == "t"
    assert LLAMA.read(f"a</think>{F_TEXT}", think_is_open=None).structure == "TtCc"


def test_cut_off_anywhere() -> None:
    message = f"<think>é</think>{F_TEXT}; {G_TEXT}"
    check_cuts("llama3_json", message)
    for cut in range(message.index("{") + 1, message.index(";")):
        reading = LLAMA.read(message[:cut])
        assert reading.well_formed == (message[:cut].endswith("}}"))


@given(some_calls(st.text()), st.sampled_from(["", "Hi"]), st.sampled_from([None, "hm"]))
def test_what_is_written_is_read_back(calls: list[ToolCall], text: str, think: str | None) -> None:
    reading = LLAMA.read(LLAMA.write(calls, text, think=think))
    assert (reading.calls, reading.well_formed) == (calls, True)
    assert LLAMA.has_form(reading, wants_calls=bool(calls))


def test_writing() -> None:
    assert LLAMA.write([F, G], "Hi") == f'{F_TEXT}; {{"name": "g", "parameters": {{}}}}'
    assert LLAMA.write([], "Hi", think="hm") == "<think>\nhm\n</think>\n\nHi"


@given(mutated("llama3_json", ["<|python_tag|>", "<think>", "</think>", ";", ",", '"', "\\", "{"]))
def test_hostile_messages(message: str) -> None:
    check_any("llama3_json", message)


@pytest.mark.parametrize("unit", ["{", "[", '"', '{"name":"f","parameters":{\\"', ";", " ", "\\"])
def test_long_hostile_messages(unit: str) -> None:
    check_any("llama3_json", F_TEXT + unit * (30_000 // len(unit)))
    check_any("llama3_json", '{"name": "f", "parameters": {' + unit * (30_000 // len(unit)))
