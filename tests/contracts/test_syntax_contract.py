"""How calls are read from a message: our reader and every parser of verl's behind VerlReader."""

import asyncio
import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("verl", reason="verl is not installed")

from templates import get_model
from verl.experimental.agent_loop import tool_parser
from verl.tools.schemas import OpenAIFunctionToolSchema

from rest_verl.environments.syntax import (
    Call,
    CallReader,
    Reading,
    RestReader,
    VerlReader,
)

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
READERS = ["rest", *PARSERS]

CALLS = {
    "rest": f'<tool_call>\n{{"name": "order_item", "parameters": {JSON}}}\n</tool_call>',
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
"""One call in each syntax."""


def make_reader(name) -> CallReader:
    """As the agent loop does it."""
    if name == "rest":
        return RestReader()
    parser = tool_parser.ToolParser.get_tool_parser(name, TOKENIZER)
    return VerlReader(parser, OpenAIFunctionToolSchema.model_validate)


def read(reader, token_ids, *, think_is_open=False) -> Reading:
    text = TOKENIZER.decode(token_ids, clean_up_tokenization_spaces=False)
    return asyncio.run(
        reader.read(token_ids, text, think_is_open=think_is_open, get_tools=lambda: TOOLS)
    )


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("name", CALLS)
def test_one_call(name):
    reading = read(make_reader(name), encode(f"So be it.{CALLS[name]}"))
    call_id = "functions.order_item:0" if name == "kimi" else None
    assert reading == Reading([Call("order_item", ARGUMENTS, call_id)])


@pytest.mark.parametrize("name", READERS)
def test_plain_text_ends_the_turn(name):
    for text in ("", "Two tea, then.", "if x < 3 and y > 4: {}"):
        assert read(make_reader(name), encode(text)) == Reading([])


def keeps_its_promise(reading):
    assert isinstance(reading, Reading)
    assert not (reading.calls and reading.is_malformed)
    for call in reading.calls:
        assert isinstance(call.name, str)
        assert call.arguments is None or type(call.arguments) is dict


@pytest.mark.parametrize("name", READERS)
def test_a_broken_message_never_raises(name):
    reader, text = make_reader(name), CALLS.get(name, CALLS["hermes"])
    for cut in range(0, len(text), 3):
        keeps_its_promise(read(reader, encode(text[:cut])))
        keeps_its_promise(read(reader, encode(text[cut:])))
    for wrong in ("[", "}", "null", "\x00", "<", '"'):
        keeps_its_promise(read(reader, encode(text.replace("2", wrong))))
    keeps_its_promise(read(reader, encode(text * 3), think_is_open=True))


PIECES = sorted(
    {piece for text in CALLS.values() for piece in text.split()} | {"{", '"', "\n", "ü"}
)


@pytest.mark.parametrize("name", READERS)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12), think_is_open=st.booleans())
@settings(deadline=None, max_examples=25)
def test_mixed_syntaxes_never_raise(name, pieces, think_is_open):
    ids = encode("".join(pieces))
    keeps_its_promise(read(make_reader(name), ids, think_is_open=think_is_open))


@pytest.mark.parametrize("name", READERS)
def test_every_reader_is_called_alike(name):
    reader = make_reader(name)
    ours, promised = (inspect.signature(r.read).parameters for r in (type(reader), CallReader))
    assert [(p.name, p.kind) for p in ours.values()] == [
        (p.name, p.kind) for p in promised.values()
    ]
    assert isinstance(reader.stop_token_ids, tuple)


@pytest.mark.parametrize("name", PARSERS)
def test_every_parser_takes_verls_call(name):
    parser = tool_parser.ToolParser.get_tool_parser(name, TOKENIZER)
    inspect.signature(parser.extract_tool_calls).bind([1], [])
    assert inspect.iscoroutinefunction(inspect.unwrap(type(parser).extract_tool_calls))
    assert isinstance(parser.stop_token_ids, list)


def test_registry_and_calls_of_verls_parsers():
    assert set(CALLS) - {"rest"} <= set(PARSERS)
    assert set(tool_parser.FunctionCall.model_fields) == {"name", "arguments", "tool_call_id"}
    with pytest.raises(ValueError, match="Unknown tool parser"):
        tool_parser.ToolParser.get_tool_parser("no such parser", TOKENIZER)
