"""What the agent loop takes as a call, as a fault, and as the end of a turn."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tokenizers import BytesTokenizer, one_byte_per_token

from rest_verl.integration.agent_loops.readers import (
    MALFORMED,
    Asked,
    Call,
    SyntaxReader,
    VerlReader,
    plain_tool,
)
from rest_verl.integration.message_reader import MessageReader
from rest_verl.syntax import get_syntax

F = '{"name": "f", "arguments": {"x": 1}}'
G = '{"name": "g", "parameters": {}}'
CALL_F, CALL_G = Call("f", {"x": 1}), Call("g", {})
BOTH = ("toolrl", "hermes")
READERS = {
    name: SyntaxReader(MessageReader(one_byte_per_token(), get_syntax(name)))
    for name in (*BOTH, "qwen3_coder")
}


def read(text: str, syntax: str = "toolrl", prompt: str = "", tools: Sequence[dict] = ()) -> Asked:
    ids, before = list(text.encode()), list(prompt.encode())
    return asyncio.run(READERS[syntax].read(ids, before, lambda: list(tools)))


@pytest.mark.parametrize("syntax", BOTH)
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
        ("", []),
        (
            '<tool_call>{"name": "f", "arguments": {"x": "</tool_call>"}}</tool_call>',
            [Call("f", {"x": "</tool_call>"})],  # a tag in a string belongs to it
        ),
        (
            '<tool_call>{"id": "c1", "name": "g", "arguments": {}}</tool_call>',
            [Call("g", {}, "c1")],
        ),
    ],
)
def test_calls(text: str, calls: list[Call], syntax: str) -> None:
    assert read(text, syntax) == Asked(calls)


@pytest.mark.parametrize("syntax", BOTH)
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
        # a whole call in another syntax
        "<seed:tool_call>\n<function=f>\n<parameter=x>1</parameter>\n</function>\n</seed:tool_call>",
        F,
    ],
)
def test_a_call_that_cannot_be_read_spoils_the_message(text: str, syntax: str) -> None:
    assert read(text, syntax) == MALFORMED


def test_a_call_in_a_response_is_text_in_toolrl_alone() -> None:
    text = f"<response><tool_call>{F}</tool_call></response>"
    assert read(text, "toolrl") == Asked([])
    assert read(text, "hermes") == Asked([CALL_F])


@pytest.mark.parametrize("syntax", BOTH)
@pytest.mark.parametrize("prompt", ["<|im_start|>assistant\n<think>\n", "assistant<think>"])
@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (f"so <tool_call></think><tool_call>{F}</tool_call>", Asked([CALL_F])),
        (f"so <tool_call>{F}</tool_call>", Asked([])),  # the thought never ended
        ("so </think><tool_call>", MALFORMED),
    ],
)
def test_a_thought_that_the_prompt_opened(
    text: str, asked: Asked, prompt: str, syntax: str
) -> None:
    assert read(text, syntax, prompt) == asked


@pytest.mark.parametrize("prompt", ["<think>\n\n</think>\n\n", "<|im_start|>assistant\n", ""])
def test_a_prompt_that_opened_none(prompt: str) -> None:
    assert read(f"<tool_call>{F}</tool_call>", prompt=prompt) == Asked([CALL_F])


def test_types_of_untyped_arguments_come_from_the_tools() -> None:
    text = "<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call>"
    for kind, value in (("string", "1"), ("integer", 1)):
        parameters = {"type": "object", "properties": {"x": {"type": kind}}}
        tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
        assert read(text, "qwen3_coder", tools=[tool]) == Asked([Call("f", {"x": value})])


def test_tools_are_asked_for_only_where_they_tell_something() -> None:
    def no_tools() -> list[dict[str, Any]]:
        raise AssertionError

    ids = list(f"<tool_call>{F}</tool_call>".encode())
    assert asyncio.run(READERS["hermes"].read(ids, [], no_tools)).calls == [CALL_F]


PARTS = ["<tool_call>", "</tool_call>", "<think>", "</think>", F, '"', "{", "\n", "9"]


@given(st.lists(st.sampled_from(PARTS)), st.sampled_from(["", "<think>"]), st.sampled_from(BOTH))
def test_reading_never_raises(parts: list[str], prompt: str, syntax: str) -> None:
    asked = read("".join(parts), syntax, prompt)
    assert not (asked.calls and asked.is_malformed)


# ---- verl's parsers -----------------------------------------------------------------------------


class _Parsed:
    """What a parser of verl's gives of a call."""

    def __init__(self, arguments: str) -> None:
        self.name, self.arguments, self.tool_call_id = "f", arguments, None


class _Parser:
    """Notes what it is shown; finds a call with the arguments that it was made with, or none."""

    stop_token_ids = (5, None)

    def __init__(self, arguments: str | None = None) -> None:
        self.calls = [] if arguments is None else [_Parsed(arguments)]
        self.seen: list[bytes] = []

    async def extract_tool_calls(self, token_ids: list[int], tools: list[Any]) -> Any:
        self.seen.append(bytes(token_ids))
        return "", self.calls


class _Trips(_Parser):
    async def extract_tool_calls(self, token_ids: list[int], tools: list[Any]) -> Any:
        assert tools == ["f: "]
        raise IndexError


def verl_reader(parser: Any, syntax: str = "hermes") -> VerlReader:
    messages = MessageReader(one_byte_per_token(), get_syntax(syntax))
    return VerlReader(
        parser, lambda tool: "{name}: {description}".format(**tool["function"]), messages
    )


def behind_verl(parser: Any, text: str, prompt: str = "", syntax: str = "hermes") -> Asked:
    tools = [{"type": "function", "function": {"name": "f"}}]
    ids, before = list(text.encode()), list(prompt.encode())
    return asyncio.run(verl_reader(parser, syntax).read(ids, before, lambda: tools))


def test_a_parser_that_raises() -> None:
    assert behind_verl(_Trips(), "x") == MALFORMED


def test_stop_ids_that_the_tokenizer_has() -> None:
    assert verl_reader(_Parser()).stop_ids == [5]


@pytest.mark.parametrize(
    ("written", "arguments"),
    [('{"x": [1]}', {"x": [1]}), ("[]", None), ('{"x": Infinity}', None), ("", None)],
)
def test_arguments_are_an_object_or_none(written: str, arguments: dict | None) -> None:
    assert behind_verl(_Parser(written), "x") == Asked([Call("f", arguments)])


@pytest.mark.parametrize(
    ("text", "prompt", "seen"),
    [
        ("no thought", "", "no thought"),
        (f"<think>{F}</think>after", "", "after"),
        (f"{F}</think>after", "<think>\n", "after"),
        ("<think>a</think>b<think>c</think>d", "", "d"),
        ("<think>never closed", "", ""),
        ("never closed", "<think>\n", ""),
        ("<think>all</think>", "", ""),
        ("stray </think> tag", "", "stray </think> tag"),
    ],
)
def test_thoughts_are_cut_off_before_a_parser_looks(text: str, prompt: str, seen: str) -> None:
    parser = _Parser()
    assert behind_verl(parser, text, prompt) == Asked([])
    assert parser.seen == [seen.encode()]


def test_a_token_in_which_the_thought_ends_is_kept() -> None:
    tokens = [b"<think>", b"so", b"</thi", b"nk>\n<", b"tool_call>"]
    messages = MessageReader(BytesTokenizer(tokens), get_syntax("hermes"))
    assert VerlReader(_Parser(), str, messages)._after_thought([0, 1, 2, 3, 4], False) == [3, 4]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>{</tool_call>",
        "<tool_call>",
        "<think>a</think><tool_call>",
        f"<tool_call>{F}</tool_call><think>afterwards</think>",  # cut off with the thought
        "<seed:tool_call><function=f><parameter=x>1</parameter></function></seed:tool_call>",
    ],
)
def test_a_call_that_was_begun_but_not_found_is_malformed(text: str) -> None:
    assert behind_verl(_Parser(), text) == MALFORMED


@pytest.mark.parametrize("text", ["plain", "", "<think><tool_call></think>well", "a </tool_call>"])
def test_where_none_was_begun_the_turn_ends(text: str) -> None:
    assert behind_verl(_Parser(), text) == Asked([])


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["null", "integer", "string"]}, "integer"),
        ({"type": ["null"]}, "string"),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, "array"),
        ({"oneOf": [{"$ref": "#/d"}, {"type": "number"}]}, "number"),
        ({"$ref": "#/d"}, "string"),
        ({"anyOf": None}, "string"),
        ({}, "string"),
        (True, "string"),
        (None, "string"),
    ],
)
def test_a_property_has_one_type(spec: Any, kind: str) -> None:
    parameters = {"type": "object", "properties": {"x": spec}, "required": ["x"]}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assert plain_tool(tool) == {
        "type": "function",
        "function": {
            "name": "f",
            "description": "",
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": kind, "description": ""}},
                "required": ["x"],
            },
        },
    }


def test_what_verl_takes_is_kept() -> None:
    properties = {"x": {"type": "string", "description": "An x.", "enum": ["a"]}}
    function = {"name": "f", "description": "Does f.", "parameters": {"properties": properties}}
    made = plain_tool({"type": "function", "function": function})["function"]
    assert made["description"] == "Does f."
    assert made["parameters"]["properties"]["x"] == {"type": "string", "description": "An x."}
    assert made["parameters"]["required"] == []
