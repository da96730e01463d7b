"""Gemma 4's calls and the values in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syntax_checks import check_any, check_cuts, mutated, parts, some_calls
from verl_parsers import verl_calls

from rest_verl.syntax import ToolCall, get_syntax
from rest_verl.syntax.gemma4_values import read_gemma_object

GEMMA = get_syntax("gemma4")
Q = '<|"|>'
F, G = ToolCall("f", {"a": "x", "n": 3}), ToolCall("g", {})
F_TEXT = f"<|tool_call>call:f{{a:{Q}x{Q},n:3}}<tool_call|>"
G_TEXT = "<|tool_call>call:g{}<tool_call|>"


def test_regions() -> None:
    message = (
        "<|channel>thought\nhm<channel|><|tool_call>call:f{"
        f"a:{Q}x{Q}, l:[{Q}a{Q},1],o:{{k:{{}}}},{Q}b c{Q}:true}}<tool_call|>Hi"
    )
    assert parts("gemma4", message) == [
        ("F", "<|channel>"),
        ("T", "thought\nhm"),
        ("F", "<channel|><|tool_call>call:"),
        ("N", "f"),
        ("F", "{"),
        ("A", "a"),
        ("F", ":"),
        ("A", f"{Q}x{Q}"),
        ("F", ", "),
        ("A", "l"),
        ("F", ":"),
        ("A", f"[{Q}a{Q},1]"),
        ("F", ","),
        ("A", "o"),
        ("F", ":"),
        ("A", "{k:{}}"),
        ("F", ","),
        ("A", f"{Q}b c{Q}"),
        ("F", ":"),
        ("A", "true"),
        ("F", "}<tool_call|>"),
        ("x", "Hi"),
    ]


HEAD = [("F", "<|tool_call>call:"), ("N", "g")]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # cut off
        ("call:g", HEAD),
        ("call:g{ci", [*HEAD, ("F", "{"), ("A", "ci")]),
        ("call:g{a:", [*HEAD, ("F", "{"), ("A", "a"), ("F", ":")]),
        (f"call:g{{a:{Q}Os", [*HEAD, ("F", "{"), ("A", "a"), ("F", ":"), ("A", f"{Q}Os")]),
        ("call:g{a:[1,", [*HEAD, ("F", "{"), ("A", "a"), ("F", ":"), ("A", "[1,")]),
        ("ca", [("F", "<|tool_call>"), ("x", "ca")]),
        # broken
        ("call:g{a}b", [*HEAD, ("F", "{"), ("A", "a"), ("x", "}b")]),
        ("call:g(1)", [("F", "<|tool_call>call:"), ("N", "g(1)")]),
        ("call:g{} so", [*HEAD, ("F", "{} "), ("x", "so")]),
        ("g{}", [("F", "<|tool_call>"), ("x", "g{}")]),
        ("call:g{a:1<b}", [*HEAD, ("F", "{"), ("A", "a"), ("F", ":"), ("A", "1"), ("x", "<b}")]),
    ],
)
def test_broken_calls_keep_what_can_be_read(call: str, expected: list[tuple[str, str]]) -> None:
    assert parts("gemma4", f"<|tool_call>{call}") == expected
    assert not GEMMA.read(f"<|tool_call>{call}").well_formed
    reading = GEMMA.read(f"<|tool_call>{call}<tool_call|>{G_TEXT}")
    assert reading.structure == "CcCc"
    assert reading.calls[-1] == G
    assert not reading.well_formed


@pytest.mark.parametrize(
    ("message", "structure", "calls", "well_formed"),
    [
        ("", "", [], True),
        ("only text {a:1}", "", [], True),
        (F_TEXT, "Cc", [F], True),
        (f"{F_TEXT}\n{G_TEXT} done", "CcCc", [F, G], True),
        (f"<|tool_call> call: f {{ a : {Q}x{Q} ,\n n : 3 }} <tool_call|>", "Cc", [F], True),
        ("<|tool_call>call:m.g-h{}<tool_call|>", "Cc", [ToolCall("m.g-h", {})], True),
        (f"<|channel>thought\n{G_TEXT}<channel|>{F_TEXT}", "TtCc", [F], True),
        (f"hm<channel|>{F_TEXT}", "TtCc", [F], True),  # the prompt opened it
        # A tag in a string belongs to it.
        (
            f"<|tool_call>call:g{{t:{Q}<tool_call|>{{}}\n{Q}}}<tool_call|>",
            "Cc",
            [ToolCall("g", {"t": "<tool_call|>{}\n"})],
            True,
        ),
        # Broken.
        ("<|tool_call><tool_call|>", "Cc", [], False),
        ("<|tool_call>call:{}<tool_call|>", "Cc", [], False),
        ("<|tool_call>call:g<tool_call|>", "Cc", [], False),
        ("<|tool_call>call:g{}", "C", [G], False),
        ("<|tool_call>call:g{}{}<tool_call|>", "Cc", [G], False),
        ("<|tool_call>call:g{a:}<tool_call|>", "Cc", [], False),
        ("<|tool_call>call:g{a:1,,b:2}<tool_call|>", "Cc", [], False),
        ("<|tool_call>call:g{a:1,}<tool_call|>", "Cc", [], False),
        (f"<|tool_call>call:f{{a:{Q}x}}<tool_call|>{F_TEXT}", "CcCc", [F], False),  # not closed
        (f"<|tool_call>call:f{{a:{Q}x{F_TEXT}", "CCc", [F], False),
        (f"<|tool_call>call:f{{<|channel>{F_TEXT}", "CT", [], False),
    ],
)
def test_reading(message: str, structure: str, calls: list[ToolCall], well_formed: bool) -> None:
    reading = GEMMA.read(message)
    assert (reading.structure, reading.calls, reading.well_formed) == (
        structure,
        calls,
        well_formed,
    )
    check_any("gemma4", message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("{a:1,b:-2.5e3,c:0}", {"a": 1, "b": -2500.0, "c": 0}),
        ("{a:true,b:False,c:null,d:None}", {"a": True, "b": False, "c": None, "d": None}),
        (f"{{a:{Q}{Q},b:{Q}1{Q},c:{Q}true{Q}}}", {"a": "", "b": "1", "c": "true"}),
        (f'{{a:{Q}"\\n" é\n{{[,:{Q}}}', {"a": '"\\n" é\n{[,:'}),  # nothing is escaped
        (
            "{a:[],b:[[1,[]],{}],c:{d:{e:[1]}}}",
            {"a": [], "b": [[1, []], {}], "c": {"d": {"e": [1]}}},
        ),
        (f"{{{Q}a:b{Q}:1,c d:2}}", {"a:b": 1, "c d": 2}),
        ("{a:1,a:2}", {"a": 2}),
        (
            "{a:Oslo town,b:01,c:1_000,d:NaN}",
            {"a": "Oslo town", "b": "01", "c": "1_000", "d": "NaN"},
        ),
        ('{a:"x"}', {"a": '"x"'}),
        # none
        ("[]", None),
        ("{a}", None),
        ("{:1}", None),
        ("{a:1 b:2}", None),
        ("{a:12:30}", None),
        ("{a:<}", None),
        (f"{{a:{Q}x{Q}y}}", None),
        (f"{{a:{Q}x}}", None),
        ("{a:[1}", None),
        ("{1:{}", None),
        (f"{{a:{'9' * 5000}}}", None),
        (f"{{a:{'[' * 100_000}", None),
    ],
)
def test_values(text: str, value: dict[str, Any] | None) -> None:
    assert repr(read_gemma_object(text.encode())) == repr(value)


def test_thought_that_the_prompt_opened() -> None:
    assert GEMMA.leaves_think_open(b"<|turn>model\n<|channel>thought\n")
    assert GEMMA.leaves_think_open(b"<|turn>model\n<|channel>")
    assert not GEMMA.leaves_think_open(b"<|channel>thought\n<channel|>")
    assert not GEMMA.leaves_think_open(b"a thought")
    assert parts("gemma4", G_TEXT, think=True) == [("T", G_TEXT)]
    assert GEMMA.read(f"a<channel|>{F_TEXT}", think_is_open=True).structure == "TtCc"
    assert GEMMA.read(f"a<channel|>{F_TEXT}", think_is_open=False).structure == "tCc"


def test_cut_off_anywhere() -> None:
    message = f"<|channel>thought\né<channel|>{G_TEXT}{F_TEXT}"
    structures = check_cuts("gemma4", message)
    assert structures[-1] == "TtCcC"


@given(
    some_calls(st.text().filter(lambda key: Q not in key)).filter(
        lambda calls: Q not in str(calls)
    ),
    st.sampled_from(["", "Hi"]),
    st.sampled_from([None, "", "hm"]),
)
def test_what_is_written_is_read_back(calls: list[ToolCall], text: str, think: str | None) -> None:
    reading = GEMMA.read(GEMMA.write(calls, text, think=think))
    assert reading.well_formed
    assert repr(reading.calls) == repr([c._replace(arguments=in_order(c.arguments)) for c in calls])


def in_order(value: Any) -> Any:
    """The template sorts keys."""
    if isinstance(value, dict):
        return {k: in_order(v) for k, v in sorted(value.items(), key=lambda item: item[0].lower())}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def test_writing() -> None:
    calls = [ToolCall("f", {"b": [True, None, 1.5], "A": {"k": "x"}, "odd key": "é"}), G]
    assert GEMMA.write(calls, "Hi", think="hm") == (
        f"<|channel>thought\nhm\n<channel|><|tool_call>call:f{{A:{{k:{Q}x{Q}}},b:[true,None,1.5],"
        f"{Q}odd key{Q}:{Q}é{Q}}}<tool_call|>{G_TEXT}Hi"
    )


@given(
    mutated(
        "gemma4", ["<|tool_call>", "<tool_call|>", "call:", Q, "{", "}", "[", ",", ":", "<", '"']
    )
)
def test_hostile_messages(message: str) -> None:
    check_any("gemma4", message)


@pytest.mark.parametrize(
    "unit",
    ["<|tool_call>", f"<|tool_call>call:f{{a:{Q}", Q, "[", "a:1,", "{a:", "a ", "<", f"{Q}:", " "],
)
def test_long_hostile_messages(unit: str) -> None:
    check_any("gemma4", "<|tool_call>call:f{a:" + unit * (30_000 // len(unit)))
    check_any("gemma4", "<|tool_call>call:f{" + unit * (30_000 // len(unit)) + "}<tool_call|>")


@pytest.mark.parametrize("message", ["Hi", F_TEXT, f"Hi{F_TEXT}{G_TEXT}"])
def test_reads_what_verl_reads(message: str) -> None:
    ours = [(call.name, call.arguments) for call in GEMMA.read(message).calls]
    assert ours == verl_calls("gemma4", [message], [])[0]


@pytest.mark.parametrize(
    ("message", "ours", "verls"),
    [
        # A draft is none.
        (f"<|channel>thought\n{G_TEXT}<channel|>no", [], [("g", {})]),
        # verl does not look into lists and objects.
        (
            "<|tool_call>call:f{a:[1,2]}<tool_call|>",
            [("f", {"a": [1, 2]})],
            [("f", {"a": "[1"})],
        ),
        (
            "<|tool_call>call:f{a:{k:1}}<tool_call|>",
            [("f", {"a": {"k": 1}})],
            [("f", {"a": "{k:1"})],
        ),
        # verl's names and keys are words.
        ("<|tool_call>call:m.g{}<tool_call|>", [("m.g", {})], []),
        ("<|tool_call>call:g{a-b:1}<tool_call|>", [("g", {"a-b": 1})], [("g", {"b": 1})]),
        # The template writes null as None.
        ("<|tool_call>call:g{a:None}<tool_call|>", [("g", {"a": None})], [("g", {"a": "None"})]),
        # verl reads numbers as Python does.
        ("<|tool_call>call:g{a:1_0}<tool_call|>", [("g", {"a": "1_0"})], [("g", {"a": 10})]),
        # A tag in a string is none.
        (
            f"<|tool_call>call:g{{a:{Q}}}<tool_call|>{Q}}}<tool_call|>",
            [("g", {"a": "}<tool_call|>"})],
            [("g", {"a": Q})],
        ),
        # Nothing in a broken message is to be run.
        (f"<|tool_call>call:g{{a}}<tool_call|>{F_TEXT}", None, [("g", {}), ("f", F.arguments)]),
    ],
)
def test_differs_from_verl(message: str, ours: object, verls: object) -> None:
    whole = GEMMA.read(message).whole_calls
    assert (whole if whole is None else [(c.name, c.arguments) for c in whole]) == ours
    assert verl_calls("gemma4", [message], [])[0] == verls
