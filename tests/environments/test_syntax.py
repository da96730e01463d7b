"""What is read as a call, as a fault, and as plain text."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.environments.syntax import (
    Call,
    Reading,
    RestReader,
    VerlReader,
    ends_in_think,
    read_object,
)

F = '{"name": "f", "arguments": {"x": 1}}'
G = '{"name": "g", "parameters": {}}'
CALL_F, CALL_G = Call("f", {"x": 1}), Call("g", {})


def read(text: str, *, think_is_open: bool = False) -> Reading:
    return asyncio.run(RestReader().read([], text, think_is_open=think_is_open, get_tools=list))


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (f"<tool_call>{F}</tool_call>", [CALL_F]),
        (f"<tool_call>\n{F}\n{G}\n</tool_call>", [CALL_F, CALL_G]),  # ToolRL: a line each
        (f"<tool_call>{G}</tool_call> <tool_call>{F}</tool_call>", [CALL_G, CALL_F]),  # Hermes
        (f"<think>or <tool_call>?</think><tool_call>{F}</tool_call>", [CALL_F]),
        (f"<think>open <tool_call>{F}</tool_call>", []),  # think to the end
        (f"</think><tool_call>{F}</tool_call>", [CALL_F]),  # a stray tag is text
        ("<response> Done. </response>", []),
        (F, []),  # outside a block
        ("", []),
    ],
)
def test_calls(text: str, calls: list[Call]) -> None:
    assert read(text) == Reading(calls)


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        f"<tool_call>{F}",
        "<tool_call></tool_call>",
        f"<tool_call>{F}, {G}</tool_call>",
        f"<tool_call>[{F}]</tool_call>",
        f"<tool_call>{F}</tool_call><tool_call>f(x=1)</tool_call>",
        '<tool_call>{"name": "f"}</tool_call>',
        '<tool_call>{"name": "f", "arguments": "{}"}</tool_call>',
        '<tool_call>{"name": 1, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {}, "parameters": {}}</tool_call>',
    ],
)
def test_a_malformed_block_spoils_the_message(text: str) -> None:
    assert read(text) == Reading([], is_malformed=True)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        (f"so <tool_call></think><tool_call>{F}</tool_call>", Reading([CALL_F])),
        (f"so <tool_call>{F}</tool_call>", Reading([])),  # the thought never ended
        ("so </think><tool_call>", Reading([], is_malformed=True)),
    ],
)
def test_think_text_that_the_prompt_opened(text: str, reading: Reading) -> None:
    assert read(text, think_is_open=True) == reading


PARTS = ["<tool_call>", "</tool_call>", "<think>", "</think>", F, '"', "{", "\n", "9"]


@given(st.lists(st.sampled_from(PARTS)), st.booleans())
def test_reading_never_raises(parts: list[str], think_is_open: bool) -> None:
    reading = read("".join(parts), think_is_open=think_is_open)
    assert not (reading.calls and reading.is_malformed)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"x": [1]}', {"x": [1]}),
        ("\n{} ", {}),
        ("{} {}", None),
        ("[]", None),
        ("1", None),
        ("", None),
        ('{"x": Infinity}', None),
        ('{"x": 1', None),
        ("[" * 100_000, None),
        ('{"x": ' + "9" * 5000 + "}", None),  # past Python's limit of digits
    ],
)
def test_read_object(text: str, value: dict | None) -> None:
    assert read_object(text) == value


class _Trips:
    stop_token_ids = (5,)

    async def extract_tool_calls(self, token_ids, tools):
        assert tools == ["f: "]
        raise IndexError


def test_a_parser_that_raises() -> None:
    reader = VerlReader(_Trips(), lambda tool: "{name}: {description}".format(**tool["function"]))
    assert reader.stop_token_ids == (5,)
    tools = [{"type": "function", "function": {"name": "f"}}]
    reading = asyncio.run(reader.read([1], "", think_is_open=False, get_tools=lambda: tools))
    assert reading == Reading([], is_malformed=True)


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("assistant<think>", True),
        ("<think>\n\n</think>\n\n", False),
        ("<|im_start|>assistant\n", False),
        ("", False),
    ],
)
def test_ends_in_think(text: str, is_open: bool) -> None:
    assert ends_in_think(text) is is_open
