"""`toolrl` and `hermes`: tags, blocks and calls, and where the two differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syntax_checks import check_any, check_cuts, mutated

from rest_verl.syntax import ToolCall, get_syntax

F1 = '{"name": "f", "parameters": {"x": 1}}'
G2 = '{"name": "g", "arguments": {"y": 2}}'
F, G = ToolCall("f", {"x": 1}), ToolCall("g", {"y": 2})
NAMES = ("toolrl", "hermes")
Case = tuple[str, str, list[ToolCall], bool]


def block(content: str) -> str:
    return f"<tool_call>\n{content}\n</tool_call>"


def with_argument(text: str) -> Case:
    """A call whose argument is `text`, which stays one."""
    return block(f'{{"name": "f", "parameters": {{"x": "{text}"}}}}'), "Cc", [
        ToolCall("f", {"x": text})
    ], True  # fmt: skip


BOTH: list[Case] = [
    # well-formed
    ("", "", [], True),
    ("only text", "", [], True),
    (f"<think>a</think>{block(F1)}", "TtCc", [F], True),
    (block(f"{F1}\n{G2}"), "Cc", [F, G], True),
    (block(f"{F1}\n\n {G2}"), "Cc", [F, G], True),  # blank line between calls
    (block(F1 + G2), "Cc", [F, G], True),  # two calls on a line
    (block('{\n "name": "f",\n "parameters": {\n"x": 1\n}}'), "Cc", [F], True),  # over lines
    (block(F1) + block(G2), "CcCc", [F, G], True),  # all blocks count
    (block('{"at": 7, "name": "f", "parameters": {"x": 1}}'), "Cc", [F], True),  # further key
    # the model's own name for a call; one that is no string is a further key
    (block('{"id": "c1", "name": "f", "parameters": {"x": 1}}'), "Cc", [F._replace(id="c1")], True),
    (block('{"id": 7, "name": "f", "parameters": {"x": 1}}'), "Cc", [F], True),
    # tags that are only text
    (f"<think>I write {block(G2)}</think>{block(F1)}", "TtCc", [F], True),  # quoted in think
    (f"<think>a<think>b</think>{block(F1)}", "TtCc", [F], True),  # first </think> closes
    (f"<think>never closed {block(F1)}", "T", [], True),
    with_argument("<think> <response>"),
    with_argument("</tool_call>"),
    with_argument("</tool_call>, then <tool_call>{}"),
    # tags that count
    (f"a</think>{block(F1)}", "tCc", [F], True),  # stray
    (f"{block(F1)}</tool_call>", "Ccc", [F], True),
    # malformed blocks
    (block(""), "Cc", [], False),
    (block("not json"), "Cc", [], False),
    (block(f"{F1}\nand so on"), "Cc", [F], False),
    (block(f"[{F1}]"), "Cc", [], False),  # a list of calls is no call
    (block(f"{F1}, {G2}"), "Cc", [F], False),
    (block('{"name": "f"}'), "Cc", [], False),
    (block('{"parameters": {}}'), "Cc", [], False),
    (block('{"name": ["f"], "parameters": {}}'), "Cc", [], False),
    (block('{"name": "f", "parameters": "{}"}'), "Cc", [], False),
    (block('{"name": "f", "parameters": {}, "arguments": {}}'), "Cc", [], False),  # which one?
    (block('{"name": "f", "parameters": {"x": NaN}}'), "Cc", [], False),  # not JSON
    (f"<tool_call>{F1}", "C", [F], False),  # never closed
    (f"<tool_call>{block(F1)}", "CCc", [F], False),  # a tag in no argument counts
    (block('{"name": "f", "parameters": {"x": </tool_call>}}'), "Ccc", [], False),
    (block('{"name": "f", "parameters": {"x": "</tool_call>'), "Ccc", [], False),  # string is open
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("text", "structure", "calls", "well_formed"), BOTH)
def test_what_both_read(
    text: str, structure: str, calls: list[ToolCall], well_formed: bool, name: str
) -> None:
    reading = get_syntax(name).read(text, think_is_open=False)
    assert reading[:3] == (structure, calls, well_formed)


@pytest.mark.parametrize(
    ("text", "toolrl", "hermes"),
    [
        ("<response>b</response>", ("Rr", []), ("", [])),
        (f"{block(F1)}<response>b</response>", ("CcRr", [F]), ("Cc", [F])),
        # a call in a closed response is text; its tags still count for the form
        (f"<response>{block(F1)}</response>", ("RCcr", []), ("Cc", [F])),
        (f"<response>{block(F1)}", ("RCc", [F]), ("Cc", [F])),
        (f"</response>{block(F1)}", ("rCc", [F]), ("Cc", [F])),
    ],
)
def test_a_response_is_a_part_of_toolrl_alone(text: str, toolrl: tuple, hermes: tuple) -> None:
    for name, expected in (("toolrl", toolrl), ("hermes", hermes)):
        reading = get_syntax(name).read(text, think_is_open=False)
        assert (reading.structure, reading.calls) == expected
        assert reading.well_formed


@pytest.mark.parametrize("name", NAMES)
def test_last_of_duplicate_keys_stands(name: str) -> None:
    text = block('{"name": "g", "name": "f", "parameters": {"x": 3, "x": 1}}')
    assert get_syntax(name).read(text).calls == [F]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("text", "think_is_open", "structure", "calls"),
    [
        (f"reasons </think>{block(F1)}", True, "TtCc", [F]),
        (f"{block(G2)} quoted </think>{block(F1)}", True, "TtCc", [F]),
        (f"<think>again</think>{block(F1)}", True, "TtCc", [F]),
        (block(F1), True, "T", []),  # never closed
        # unknown: the message has to tell
        (f"reasons </think>{block(F1)}", None, "TtCc", [F]),
        (f"<tool_call> quoted </think>{block(F1)}", None, "TtCc", [F]),  # that was no call
        (f"{block(G2)} after it </think>{block(F1)}", None, "CctCc", [G, F]),  # that was one
        (f"<think>a</think> b </think>{block(F1)}", None, "TttCc", [F]),
        (block(F1), None, "Cc", [F]),
    ],
)
def test_a_thought_that_the_prompt_may_have_opened(
    text: str, think_is_open: bool | None, structure: str, calls: list[ToolCall], name: str
) -> None:
    reading = get_syntax(name).read(text, think_is_open=think_is_open)
    assert reading[:3] == (structure, calls, True)


@pytest.mark.parametrize(
    ("name", "text", "with_calls", "without"),
    [
        ("toolrl", f"<think>a</think>{block(F1)}", True, False),
        ("toolrl", f"<think>a</think>{block(F1)}<response>b</response>", True, False),
        ("toolrl", "<think>a</think><response>b</response>", False, True),
        ("toolrl", block(F1), False, False),
        ("toolrl", "", False, False),
        ("hermes", block(F1), True, False),
        ("hermes", f"<think>a</think>{block(F1)}{block(G2)}", True, False),
        ("hermes", f"{block(F1)}{block('?')}", False, False),
        ("hermes", f"{block(F1)}</tool_call>", False, False),
        ("hermes", "Well.", False, True),
        ("hermes", "<think>a</think>Well.", False, True),
        ("hermes", "<think>a", False, False),
    ],
)
def test_form(name: str, text: str, with_calls: bool, without: bool) -> None:
    syntax = get_syntax(name)
    reading = syntax.read(text, think_is_open=False)
    assert syntax.has_form(reading, wants_calls=True) is with_calls
    assert syntax.has_form(reading, wants_calls=False) is without


WRITTEN = [
    ("toolrl", [F], "", None, f"<tool_call>\n{F1}\n</tool_call>"),
    ("toolrl", [], "b", "", "<think>  </think>\n<response> b </response>"),
    (
        "toolrl", [F, F], "b", "a",
        f"<think> a </think>\n<tool_call>\n{F1}\n{F1}\n</tool_call>\n<response> b </response>",
    ),
    ("hermes", [G], "", None, f"<tool_call>\n{G2}\n</tool_call>"),
    ("hermes", [], "b", "", "b"),  # an empty thought is left out
    (
        "hermes", [G, G], "b", "a",
        f"<think>\na\n</think>\n\nb\n<tool_call>\n{G2}\n</tool_call>\n<tool_call>\n{G2}\n</tool_call>",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "calls", "text", "think", "message"), WRITTEN)
def test_written(
    name: str, calls: list[ToolCall], text: str, think: str | None, message: str
) -> None:
    assert get_syntax(name).write(calls, text, think=think) == message


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
texts |= st.sampled_from(["</tool_call>", "<tool_call>", "<think>", "</think>", "</response>", '"'])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
calls_of_any_kind = st.lists(
    st.builds(ToolCall, texts, st.dictionaries(texts, values, max_size=3), st.none()),
    min_size=1,
    max_size=3,
)


@given(calls=calls_of_any_kind, think=st.none() | st.just("so <tool_call>"))
@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read(name: str, calls: list[ToolCall], think: str | None) -> None:
    syntax = get_syntax(name)
    reading = syntax.read(syntax.write(calls, "Well.", think=think), think_is_open=False)
    assert reading.calls == calls
    assert reading.well_formed


@pytest.mark.parametrize("name", NAMES)
def test_cut_off_anywhere(name: str) -> None:
    calls = [F, ToolCall("g", {"y": ["</tool_call>", {}]})]
    check_cuts(name, get_syntax(name).write(calls, "Well.", think="Two calls."))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_message(name: str, data: st.DataObject) -> None:
    tags = [tag.decode() for tag in get_syntax("toolrl").tags]
    check_any(name, data.draw(mutated(name, [*tags, F1, '"', "{", "}", ",", "\n{"])))
