"""The five XML-like syntaxes: what they read, in one notation for all."""

import pytest
from xml_dialects import DIALECTS, TOOLS

from rest_verl.syntax import ToolCall, get_syntax

F, G = ToolCall("f", {"a": "x", "n": 3}), ToolCall("g.h", {})
FX = "[C f]\n[P a]x[/P]\n[J n]3[/P]\n[/C]\n"
BLOCK = f"[B]{FX}[/B]"
GH = "[B][C g.h][/C][/B]"
every_syntax = pytest.mark.parametrize("name", DIALECTS)


@every_syntax
@pytest.mark.parametrize(
    ("notation", "structure", "calls", "well_formed"),
    [
        # whole
        ("", "", [], True),
        ("no call", "", [], True),
        (BLOCK, "Cc", [F], True),
        (f"[T]hm[/T]\n\nHi\n\n{BLOCK}", "TtCc", [F], True),
        (f"{BLOCK}\n{GH} bye", "CcCc", [F, G], True),
        ("[B][C f][P a]x[/P][J n]3[/P][/C][/B]", "Cc", [F], True),  # no whitespace
        ("[B]\n\n [C f]\r\n\t[P a]x[/P]  [J n]3[/P]\n\n[/C] [/B]", "Cc", [F], True),
        ("[B][C f]\n[/C][/B]", "Cc", [ToolCall("f", {})], True),
        ("[B][C f][P a][/P][/C][/B]", "Cc", [ToolCall("f", {"a": ""})], True),
        ("[B][C f][P a]1[/P][P a]2[/P][/C][/B]", "Cc", [ToolCall("f", {"a": "2"})], True),
        ("[B][C f][P a]é\n😀[/P][/C][/B]", "Cc", [ToolCall("f", {"a": "é\n😀"})], True),
        ("[B][C f][P a] 5 [/P][/C][/B]", "Cc", [ToolCall("f", {"a": " 5 "})], True),
        ("[B][C f][J o]{'k': 1}[/P][/C][/B]", "Cc", None, True),
        ("[B][C u][J z][1, {}][/P][/C][/B]", "Cc", [ToolCall("u", {"z": [1, {}]})], True),
        ("[B][C f][J z]Oslo[/P][/C][/B]", "Cc", [ToolCall("f", {"z": "Oslo"})], True),
        ("[B][C f][J n]many[/P][/C][/B]", "Cc", [ToolCall("f", {"n": "many"})], True),
        ("[B][C f][P my key]x[/P][/C][/B]", "Cc", [ToolCall("f", {"my key": "x"})], True),
        # tags that are only text
        (f"[T]I write {GH}[/T]{BLOCK}", "TtCc", [F], True),
        (f"[T]never closed {GH}", "T", [], True),
        (f"never opened[/T]{BLOCK}", "TtCc", [F], True),
        ("[C f][P a]x[/P] outside", "", [], True),
        ("a [/C] [/P] b", "", [], True),
        # broken
        ("[B][/B]", "Cc", [], False),
        ("[B]  \n[/B]", "Cc", [], False),
        ("[B]{...}[/B]", "Cc", [], False),
        (f"[B]so: {FX}[/B]", "Cc", None, False),
        ("[B][C ][P a]x[/P][/C][/B]", "Cc", [], False),
        ("[B][C f][P ]x[/P][/C][/B]", "Cc", [], False),
        ("[B][C f] so: [P a]x[/P][/C][/B]", "Cc", [], False),
        ("[B][C f][P a]x[/P] so [/C][/B]", "Cc", [], False),
        ("[B][C f][P a]x[/C][/B]", "Cc", [], False),  # the value is not closed
        (f"[B][C f][P a]x[/C][/B]\n{GH}", "CcCc", [G], False),
        (f"[B][C f][T]{GH}", "CT", [], False),
        (f"[B]{GH}", "CCc", [G], False),
        # cut off
        ("[B]", "C", [], False),
        ("[B][C f]", "C", [], False),
        ("[B][C f][P a", "C", [], False),
        ("[B][C f][P a]x", "C", [], False),
        ("[B][C f][P a]x[/P]", "C", [], False),
        (f"{BLOCK}[B][C g.h]", "CcC", [F], False),
    ],
)
def test_reading(
    name: str, notation: str, structure: str, calls: list[ToolCall] | None, well_formed: bool
) -> None:
    text = DIALECTS[name].write(notation)
    reading = get_syntax(name).read(text, tools=TOOLS)
    assert (reading.structure, reading.well_formed) == (structure, well_formed)
    if calls is not None:
        assert reading.calls == calls


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "glm"])
@pytest.mark.parametrize(
    ("notation", "calls", "well_formed"),
    [
        (f"[B]{FX}[C g.h][/C][/B]", [F, G], True),
        (f"[B]{FX}\n\n{FX}[/B]", [F, F], True),
        (f"[B]{FX} so [/B]", [F], False),
        (f"[B]{FX} so [C g.h][/C][/B]", [F, G], False),
        (f"[B][C g.h]{FX}[/B]", [F], False),  # a call in a call
        ("[B][C f][P a]x[/C][C g.h][/C][/B]", [G], False),  # the value is not closed
        ("[B][C f][P a]x[/P][/B]", [], False),  # the call is not closed
        (f"[B]{FX}", [F], False),  # the block is not closed
        (f"[B]{FX}[/B", [F], False),
        ("[B][/C][/B]", [], False),
    ],
)
def test_several_calls_in_a_block(
    name: str, notation: str, calls: list[ToolCall], well_formed: bool
) -> None:
    reading = get_syntax(name).read(DIALECTS[name].write(notation), tools=TOOLS)
    assert (reading.calls, reading.well_formed) == (calls, well_formed)


@every_syntax
@pytest.mark.parametrize(
    "value",
    ["[/P] and on", "[/C]", "[/B]", "[/C][/B] more", "[T]", "[/T]", "[B]\n[C f]\nx", '"[/P]"', "<"],
)
@pytest.mark.parametrize("after", ["[/P][/C][/B]", "[/P]\n[J n]3[/P]\n[/C]\n[/B]\nDone."])
def test_tags_in_a_value_belong_to_it(name: str, value: str, after: str) -> None:
    dialect = DIALECTS[name]
    reading = get_syntax(name).read(dialect.write(f"[B][C f][P a]{value}{after}"), tools=TOOLS)
    assert reading.well_formed
    assert [call.arguments["a"] for call in reading.calls] == [dialect.write(value)]


@every_syntax
@pytest.mark.parametrize(
    ("head", "repeated"),
    [
        ("", "[B]"),
        ("", "[B][C f][P a]"),
        ("[B]", "[C f]"),
        ("[B]", "[C "),
        ("[B][C f]", "[P a]"),
        ("[B][C f]", "[P "),
        ("[B][C f][P a]", "[/P]"),
        ("[B][C f][P a]", "[/P] \n"),
        ("[B][C f][P a]", "[/P]x"),
        ("[B][C f][P a]", "[/C]"),
        ("[B][C f][P a]", "[/C]\n[/B]\n"),
        ("[B][C f][P a]", "\n"),
        ("[B][C f][P a][/P]", "\n"),
        ("[B][C f][P a]x[/C]", " "),
        ("", "[B][C f][P a]x[/C][/B]"),
        ("", "[B][C f][P a]x[/P] so [/C][/B]"),
        ("[B]", "so [C f] so [P a] so [/P] so [/C]"),
        ("", "[/T]"),
        ("[T]", "[B]"),
    ],
)
def test_long_hostile_messages_are_read(name: str, head: str, repeated: str) -> None:
    """A scan that searches the rest of the text again and again would take minutes."""
    text = DIALECTS[name].write(head + repeated * 30_000)
    assert get_syntax(name).read(text).calls == []


@every_syntax
def test_cut_off_anywhere_no_half_value_becomes_a_call(name: str) -> None:
    notation = f'[T]hm[/T] é {BLOCK}\n[B][C f][P a]it\'s "é"[/P]\n[J l][1, {{}}][/P]\n[/C][/B] end'
    message = DIALECTS[name].write(notation).encode()
    syntax = get_syntax(name)
    whole = syntax.read(message, tools=TOOLS).calls
    assert len(whole) == 2
    for cut in range(len(message)):
        reading = syntax.read(message[:cut], tools=TOOLS)
        assert reading.calls == whole[: len(reading.calls)]
        assert reading.well_formed == (not reading.structure.endswith("C"))
        if reading.well_formed:
            assert len(reading.calls) == reading.structure.count("Cc")


@pytest.mark.parametrize(
    ("name", "prompt", "is_open"),
    [
        ("qwen3_coder", "<|im_start|>assistant\n<think>\n", True),
        ("qwen3_coder", "<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("seed", "<seed:bos>assistant\n", False),
        ("seed", "<seed:bos>assistant\n<seed:think><seed:cot_budget_reflect>", True),
        ("minimax", "]~b]ai\n<think>\n", True),
        ("deepseek_v4", "<｜Assistant｜><think>", True),
        ("deepseek_v4", "<｜Assistant｜></think>", False),
        ("glm", "<|assistant|>\n<think></think>", False),
        ("glm", "<|assistant|><think>", True),
    ],
)
def test_prompts_that_open_a_thought(name: str, prompt: str, is_open: bool) -> None:
    assert get_syntax(name).leaves_think_open(prompt.encode()) is is_open


def test_glm_ends_its_turn_by_who_speaks_next() -> None:
    glm = get_syntax("glm")
    assert glm.end_tokens == ("<|observation|>", "<|user|>")
    assert glm.stop_tokens == ("<|observation|>",)
