"""Harmony: what gpt-oss writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syntax_checks import check_any, check_cuts, mutated, parts, some_calls
from verl_parsers import TextTokenizer, verl_calls

from rest_verl.syntax import ToolCall, get_syntax

OSS = get_syntax("gpt-oss")
F, G = ToolCall("f", {"a": 1}), ToolCall("g", {})
START = "<|start|>assistant"
THOUGHT = "<|channel|>analysis<|message|>hm<|end|>"
F_TEXT = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'
G_TEXT = " to=functions.g<|channel|>commentary json<|message|>{}<|call|>"
FINAL = "<|channel|>final<|message|>Hi<|return|>"


def call(content: str, recipient: str = "functions.f") -> str:
    return f"<|channel|>commentary to={recipient} json<|message|>{content}"


def test_regions() -> None:
    preamble = "<|channel|>commentary<|message|>I look.<|end|>"
    assert parts("gpt-oss", START.join([THOUGHT, preamble, F_TEXT, G_TEXT, FINAL])) == [
        ("F", "<|channel|>analysis<|message|>"),
        ("T", "hm"),
        ("F", f"<|end|>{START}<|channel|>commentary<|message|>"),
        ("x", "I look."),
        ("F", f"<|end|>{START}<|channel|>commentary to=functions."),
        ("N", "f"),
        ("F", " <|constrain|>json<|message|>"),
        ("A", '{"a": 1}'),
        ("F", f"<|call|>{START} to=functions."),
        ("N", "g"),
        ("F", "<|channel|>commentary json<|message|>"),
        ("A", "{}"),
        ("F", f"<|call|>{START}<|channel|>final<|message|>"),
        ("x", "Hi"),
        ("F", "<|return|>"),
    ]


HEAD = [("F", "<|channel|>commentary to=functions."), ("N", "f")]
WHOLE_HEAD = [*HEAD, ("F", " json<|message|>")]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # cut off
        ("<|channel|>commentary to=functions.f", HEAD),
        ("<|channel|>commentary to=functions.f <|con", [*HEAD, ("F", " <|con")]),
        (" to=functions.f", [("F", " to=functions."), ("N", "f")]),
        (" to=func", [("F", " to="), ("N", "func")]),
        (call(""), WHOLE_HEAD),
        (call('{"a": "x'), [*WHOLE_HEAD, ("A", '{"a": "x')]),
        # broken
        (call("print(1)"), [*WHOLE_HEAD, ("x", "print(1)")]),
        (call("{} so"), [*WHOLE_HEAD, ("A", "{}"), ("F", " "), ("x", "so")]),
    ],
)
def test_broken_calls_keep_what_can_be_read(message: str, expected: list[tuple[str, str]]) -> None:
    assert parts("gpt-oss", message) == expected
    reading = OSS.read(message)
    assert (reading.structure, reading.calls, reading.well_formed) == ("C", [], False)
    reading = OSS.read(f"{message}<|call|>{START}{G_TEXT}")
    assert (reading.structure, reading.calls, reading.well_formed) == ("CcCc", [G], False)


@pytest.mark.parametrize(
    ("message", "structure", "calls", "well_formed"),
    [
        ("", "", [], True),
        ("only text", "", [], True),
        ("<|channel|>fin", "", [], True),
        (FINAL, "", [], True),
        (THOUGHT + START + FINAL, "Tt", [], True),
        (THOUGHT + START + F_TEXT, "TtCc", [F], True),
        (THOUGHT + START + THOUGHT + START + F_TEXT, "TtTtCc", [F], True),
        (START.join([THOUGHT, F_TEXT, THOUGHT, G_TEXT]), "TtCcTtCc", [F, G], True),
        (START + F_TEXT, "Cc", [F], True),  # the start once more
        # Without the token that ends it, or with another one.
        (F_TEXT.removesuffix("<|call|>"), "Cc", [F], True),
        (F_TEXT.replace("<|call|>", "<|end|>"), "Cc", [F], True),
        (F_TEXT.replace("<|call|>", "<|return|>\n"), "Cc", [F], True),
        # Ways to write the header.
        (" to=functions.g<|channel|>commentary <|constrain|>json<|message|>{}", "Cc", [G], True),
        ("<|channel|>commentary to=functions.g<|constrain|>json<|message|>{}", "Cc", [G], True),
        ("<|channel|>commentary to=functions.g code<|message|>{}", "Cc", [G], True),
        ("<|channel|>commentary to=functions.g<|message|>\n{ }\n", "Cc", [G], True),
        ("<|channel|>analysis to=functions.g json<|message|>{}", "Cc", [G], True),
        (call("{}", "g"), "Cc", [G], True),
        (call("{}", "browser.search"), "Cc", [ToolCall("browser.search", {})], True),
        # No calls: drafts, quotes, other roles.
        (f"<|channel|>analysis<|message|>{F_TEXT}<|end|>{START}{FINAL}", "Tt", [], True),
        ("<|channel|>final<|message|> to=functions.f <|message|>{}", "", [], True),
        ("I call to=functions.f<|channel|>commentary json<|message|>{}", "", [], True),
        (
            "<|start|>functions.f to=assistant<|channel|>commentary<|message|>{}<|end|>",
            "",
            [],
            True,
        ),
        (f"hm<|end|>{START}{F_TEXT}", "TtCc", [F], True),  # the prompt opened it
        # A tag in a string belongs to it.
        (call('{"t": "<|call|>"}'), "Cc", [ToolCall("f", {"t": "<|call|>"})], True),
        # Broken.
        (call("import os<|call|>", "python"), "Cc", [], False),
        (call("[1]<|call|>"), "Cc", [], False),
        (call("{a: 1}<|call|>"), "Cc", [], False),
        (call('{"a": 01}<|call|>'), "Cc", [], False),
        (call("{}", "functions."), "Cc", [], False),  # no name
        (f"{call('{}')}{START}{G_TEXT}", "CcCc", [G], False),  # nothing ends the first
        (f"{call('')}{START}{G_TEXT}", "CcCc", [G], False),
        (f"<|channel|>commentary to=functions.f{START}{G_TEXT}", "CcCc", [G], False),
        ("<|channel|>analysis<|message|>never closed", "T", [], True),
    ],
)
def test_reading(message: str, structure: str, calls: list[ToolCall], well_formed: bool) -> None:
    reading = OSS.read(message)
    assert (reading.structure, reading.calls, reading.well_formed) == (
        structure,
        calls,
        well_formed,
    )
    check_any("gpt-oss", message)


def test_form() -> None:
    for message in (F_TEXT, START.join([THOUGHT, THOUGHT, F_TEXT, THOUGHT, G_TEXT])):
        assert OSS.has_form(OSS.read(message), wants_calls=True)
        assert not OSS.has_form(OSS.read(message), wants_calls=False)
    for message in (FINAL, START.join([THOUGHT, THOUGHT, FINAL])):
        assert OSS.has_form(OSS.read(message), wants_calls=False)
        assert not OSS.has_form(OSS.read(message), wants_calls=True)
    assert not OSS.has_form(OSS.read(F_TEXT + START + THOUGHT), wants_calls=True)


def test_thought_that_the_prompt_opened() -> None:
    assert OSS.leaves_think_open(f"{START}<|channel|>analysis<|message|>".encode())
    assert not OSS.leaves_think_open(START.encode())
    assert parts("gpt-oss", F_TEXT, think=True) == [("T", F_TEXT)]
    assert OSS.read(f"a<|end|>{START}{F_TEXT}", think_is_open=True).structure == "TtCc"
    assert OSS.read(f"a<|end|>{START}{F_TEXT}", think_is_open=False).structure == "Cc"


def test_cut_off_anywhere() -> None:
    structures = check_cuts("gpt-oss", START.join([THOUGHT.replace("hm", "é"), F_TEXT, G_TEXT]))
    assert (
        structures[-len("<|call|>")] == "TtCcCc"
    )  # a call is whole without the token that ends it


@given(some_calls(st.text()), st.sampled_from(["", "Hi"]), st.sampled_from([None, "", "hm"]))
def test_what_is_written_is_read_back(calls: list[ToolCall], text: str, think: str | None) -> None:
    reading = OSS.read(OSS.write(calls, text, think=think))
    assert (reading.calls, reading.well_formed) == (calls, True)
    assert OSS.has_form(reading, wants_calls=bool(calls))


def test_writing() -> None:
    f_text = ' to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>'
    assert OSS.write([F, G], think="hm") + "<|call|>" == START.join([THOUGHT, f_text, G_TEXT])
    assert OSS.write([], "Hi", think="hm") + "<|return|>" == START.join([THOUGHT, FINAL])
    preamble = "<|channel|>commentary<|message|>Hi<|end|>"
    assert OSS.write([G], "Hi") + "<|call|>" == START.join([preamble, G_TEXT])


@given(
    mutated(
        "gpt-oss",
        [START, "<|channel|>", "<|message|>", "<|end|>", "<|call|>", " to=", "{", '"', "\\", "<|"],
    )
)
def test_hostile_messages(message: str) -> None:
    check_any("gpt-oss", message)


@pytest.mark.parametrize(
    "unit",
    [
        "<|start|>",
        "<|channel|>",
        "<|message|>",
        "<|end|>",
        f'{START} to=f<|message|>{{"a":{{\\"',
        f"{START}<|channel|>analysis<|message|>",
        " to=",
        " ",
        "{",
    ],
)
def test_long_hostile_messages(unit: str) -> None:
    check_any("gpt-oss", unit * (30_000 // len(unit)))
    check_any("gpt-oss", " to=f<|message|>" + unit * (30_000 // len(unit)))


@pytest.fixture(autouse=True)
def _pads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextTokenizer, "pad_token", "<|endoftext|>")


@pytest.mark.parametrize("message", [FINAL, F_TEXT, f"{THOUGHT}{START}{F_TEXT}"])
def test_reads_what_verl_reads(message: str) -> None:
    ours = [(call.name, call.arguments) for call in OSS.read(message).calls]
    assert ours == verl_calls("gpt-oss", [START + message], [])[0]


@pytest.mark.parametrize(
    ("message", "ours", "verls"),
    [
        # verl asks for the start, the recipient behind the channel, the constraint and the end.
        (F_TEXT, [("f", {"a": 1})], []),
        (START + G_TEXT, [("g", {})], []),
        (START + call("{}<|call|>"), [("f", {})], []),
        (START + F_TEXT.removesuffix("<|call|>"), [("f", {"a": 1})], []),
        # verl takes any JSON for arguments.
        (START + F_TEXT.replace('{"a": 1}', "[1]"), None, [("f", [1])]),
        # A draft is none, even where the thought breaks off.
        (f"<|channel|>analysis<|message|>{START}{F_TEXT}", [], [("f", {"a": 1})]),
    ],
)
def test_differs_from_verl(message: str, ours: object, verls: object) -> None:
    whole = OSS.read(message).whole_calls
    assert (whole if whole is None else [(c.name, c.arguments) for c in whole]) == ours
    assert verl_calls("gpt-oss", [message], [])[0] == verls
