"""How calls are read from a message: every syntax of ours, and every parser of verl's."""

import asyncio
import inspect
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("verl", reason="verl is not installed")

from templates import get_model
from verl.experimental.agent_loop import tool_parser
from verl.tools.schemas import OpenAIFunctionToolSchema

from rest_verl.algorithm.regions import PROMPT_TOKENS
from rest_verl.integration.agent_loops.options import VERL_PARSERS
from rest_verl.integration.agent_loops.readers import (
    MALFORMED,
    Asked,
    Call,
    CallReader,
    SyntaxReader,
    VerlReader,
)
from rest_verl.integration.message_reader import MessageReader
from rest_verl.syntax import ToolCall, get_syntax, syntax_names

TOKENIZER = get_model("qwen3").tokenizer
PARAMETERS = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "item": {"type": "string"}},
}
TOOLS = [{"type": "function", "function": {"name": "order_item", "parameters": PARAMETERS}}]
ARGUMENTS = {"n": 2, "item": "tea"}
JSON = '{"n": 2, "item": "tea"}'

PARSERS = sorted(
    name
    for name, cls in tool_parser.ToolParser._registry.items()
    if cls.__module__ == tool_parser.__name__  # not those of other tests
)
SYNTAXES = syntax_names()
READERS = [*(("syntax", name) for name in SYNTAXES), *(("verl", name) for name in PARSERS)]

CALLS = {
    "toolrl": f'<tool_call>\n{{"name": "order_item", "parameters": {JSON}}}\n</tool_call>',
    "hermes": f'<tool_call>\n{{"name": "order_item", "arguments": {JSON}}}\n</tool_call>',
    "qwen3_coder": "<tool_call>\n<function=order_item>\n<parameter=n>\n2\n</parameter>\n"
    "<parameter=item>\ntea\n</parameter>\n</function>\n</tool_call>",
    "gpt-oss": "<|start|>assistant<|channel|>commentary to=functions.order_item "
    f"<|constrain|>json<|message|>{JSON}<|call|>",
    "glm": "<tool_call>order_item\n<arg_key>n</arg_key>\n<arg_value>2</arg_value>\n"
    "<arg_key>item</arg_key>\n<arg_value>tea</arg_value>\n</tool_call>",
    "seed": "<seed:tool_call>\n<function=order_item>\n<parameter=n>2</parameter>\n"
    "<parameter=item>tea</parameter>\n</function>\n</seed:tool_call>",
    "minimax": '<minimax:tool_call>\n<invoke name="order_item">\n'
    '<parameter name="n">2</parameter>\n<parameter name="item">tea</parameter>\n'
    "</invoke>\n</minimax:tool_call>",
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.order_item:0"
    f"<|tool_call_argument_begin|>{JSON}<|tool_call_end|><|tool_calls_section_end|>",
    "deepseek_v4": '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="order_item">\n'
    '<｜DSML｜parameter name="n" string="false">2</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="item" string="true">tea</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
    "gemma4": '<|tool_call>call:order_item{n:2,item:<|"|>tea<|"|>}<tool_call|>',
}
"""One call in each syntax that verl has a parser of, and in ToolRL's."""
CALL = ToolCall("order_item", ARGUMENTS, "functions.order_item:0")
CALLS = {name: get_syntax(name).write([CALL]) for name in SYNTAXES} | CALLS
UNTAGGED = {"llama3_json", "pythonic"}
"""In which nothing may stand before a call."""


@cache
def make_reader(kind, name) -> CallReader:
    """As the agent loop does it."""
    messages = MessageReader(TOKENIZER, get_syntax(name))
    if kind == "syntax":
        return SyntaxReader(messages)
    parser = tool_parser.ToolParser.get_tool_parser(name, TOKENIZER)
    return VerlReader(parser, OpenAIFunctionToolSchema.model_validate, messages)


def read(reader, token_ids, prompt="") -> Asked:
    return asyncio.run(reader.read(token_ids, encode(prompt), lambda: TOOLS))


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False)


@pytest.mark.parametrize(("kind", "name"), READERS)
def test_one_call(kind, name):
    before = "" if name in UNTAGGED else "So be it."
    asked = read(make_reader(kind, name), encode(before + CALLS[name]))
    ids = {"kimi": CALL.id, "mistral": CALL.id}
    assert asked == Asked([Call("order_item", ARGUMENTS, ids.get(name))])


@pytest.mark.parametrize(("kind", "name"), READERS)
def test_a_call_that_is_thought_of_is_none(kind, name):
    syntax, reader = get_syntax(name), make_reader(kind, name)
    opening, closing = (tag.decode() for tag in syntax.think)
    thought = f"perhaps {CALLS[name].replace(closing, '')}"
    asked = read(reader, encode(syntax.write([], "No.", think=thought)))
    assert asked == Asked([])
    asked = read(reader, encode(f"{opening}{thought}{closing}{CALLS[name]}"))
    assert [call[:2] for call in asked.calls] == [("order_item", ARGUMENTS)]
    if len(encode(opening)) < PROMPT_TOKENS:  # harmony's is long where it has no tokens of its own
        assert read(reader, encode(thought), f"<|im_start|>assistant\n{opening}\n") == Asked([])


@pytest.mark.parametrize(("kind", "name"), READERS)
def test_plain_text_ends_the_turn(kind, name):
    for text in ("", "Two tea, then.", "if x < 3 and y > 4: {}"):
        assert read(make_reader(kind, name), encode(text)) == Asked([])


def keeps_its_promise(asked):
    assert isinstance(asked, Asked)
    assert not (asked.calls and asked.is_malformed)
    for call in asked.calls:
        assert isinstance(call.name, str)
        assert call.arguments is None or type(call.arguments) is dict
        assert call.id is None or isinstance(call.id, str)


@pytest.mark.parametrize(("kind", "name"), READERS)
def test_a_broken_message_never_raises(kind, name):
    reader, text = make_reader(kind, name), CALLS[name]
    for cut in range(0, len(text), 3):
        keeps_its_promise(read(reader, encode(text[:cut])))
        keeps_its_promise(read(reader, encode(text[cut:])))
    for wrong in ("[", "}", "null", "\x00", "<", '"'):
        keeps_its_promise(read(reader, encode(text.replace("2", wrong))))
    keeps_its_promise(read(reader, encode(text * 3), "<think>\n"))


@pytest.mark.parametrize("name", SYNTAXES)
def test_half_a_call_is_never_run(name):
    """Nor passed over: where the model began a call, it is told that it cannot be read."""
    reader, text = make_reader("syntax", name), CALLS[name]
    whole = read(reader, encode(text))
    begun = text.index("order_item") + len("order_item") + 1
    for cut in range(begun, len(text)):
        asked = read(reader, encode(text[:cut]))
        assert asked in (MALFORMED, whole), text[:cut]


PIECES = sorted(
    {piece for text in CALLS.values() for piece in text.split()} | {"{", '"', "\n", "ü"}
)


@pytest.mark.parametrize(("kind", "name"), READERS)
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=12), prompt=st.sampled_from(["", "<think>"])
)
@settings(deadline=None, max_examples=25)
def test_mixed_syntaxes_never_raise(kind, name, pieces, prompt):
    keeps_its_promise(read(make_reader(kind, name), encode("".join(pieces)), prompt))


@pytest.mark.parametrize(("kind", "name"), READERS)
def test_every_reader_is_called_alike(kind, name):
    reader = make_reader(kind, name)
    ours, promised = (inspect.signature(r.read).parameters for r in (type(reader), CallReader))
    assert [(p.name, p.kind) for p in ours.values()] == [
        (p.name, p.kind) for p in promised.values()
    ]
    assert all(isinstance(id_, int) for id_ in reader.stop_ids)


@pytest.mark.parametrize("name", PARSERS)
def test_every_parser_takes_verls_call(name):
    parser = tool_parser.ToolParser.get_tool_parser(name, TOKENIZER)
    inspect.signature(parser.extract_tool_calls).bind([1], [])
    assert inspect.iscoroutinefunction(inspect.unwrap(type(parser).extract_tool_calls))
    assert isinstance(parser.stop_token_ids, list)


def test_registry_and_calls_of_verls_parsers():
    assert set(PARSERS) <= set(SYNTAXES)
    assert sorted(VERL_PARSERS) == PARSERS
    assert set(tool_parser.FunctionCall.model_fields) == {"name", "arguments", "tool_call_id"}
    with pytest.raises(ValueError, match="Unknown tool parser"):
        tool_parser.ToolParser.get_tool_parser("no such parser", TOKENIZER)
