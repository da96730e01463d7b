"""Lines of recorded chats: each gives the rows that it must, or the message that it must."""

import json
from pathlib import Path
from typing import Any

import pytest
from chat_lines import (
    STOCK,
    TOOL,
    USER,
    WEATHER,
    YES,
    Json,
    call,
    calling,
    chat,
    told,
    tool,
    turns,
    write_lines,
)

from rest_verl.data import STYLES, split_steps
from rest_verl.data.chats import read_chats
from rest_verl.data.chats.files import RefusedRecord
from rest_verl.data.chats.reader import ReadChat
from rest_verl.data.refusals import Refused
from rest_verl.rewards import tool_call_reward

SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases"

OSLO = """\
tools: get_weather
user: Rain in Oslo?
assistant: get_weather({"city": "Oslo"})
tool: rain
assistant: Yes."""
THINKING = OSLO.replace("assistant: get", "assistant: <think> Ask. </think> get")
TWO = """\
tools: get_weather
user: Rain in Oslo?
assistant: get_weather({"city": "Oslo"}) get_weather({"city": "Rome"})
tool: rain, says Oslo
tool: sun, says Rome
assistant: Yes."""
NO_TOOLS = "tools: \nuser: Rain in Oslo?\nassistant: Yes."
NO_ARGUMENTS = OSLO.replace('get_weather({"city": "Oslo"})', "list_files({})")
NO_ARGUMENTS = NO_ARGUMENTS.replace("get_weather", "list_files")


def observed(content: Any, id: Any = "c1", **rest: Any) -> Json:
    return {"role": "tool", "tool_call_id": id, "content": content, **rest}


def called(arguments: Any, *, tools: Any = (WEATHER,), name: str = "get_weather") -> Json:
    return chat(USER, calling(call(arguments, name=name)), TOOL, YES, tools=tools)


def said(**message: Any) -> Json:
    """The one assistant message of a chat without calls."""
    return chat(USER, {"role": "assistant", **message})


def schema(**properties: Any) -> tuple[Json]:
    return (tool("get_weather", **properties),)


PAIR = calling(call(), call('{"city": "Rome"}', "c2"))
OF_OSLO, OF_ROME = observed("rain, says Oslo"), observed("sun, says Rome", "c2")
PARTS = [{"type": "text", "text": "Rain in"}, {"type": "text", "text": "Oslo?"}]
BY_NAME = {
    "city": {"description": "Name of the city", "type": "str"},
    "unit": {"description": "c or f", "type": "str, optional", "default": "c"},
}
XLAM_TOOLS = json.dumps([{"name": "get_weather", "description": "", "parameters": BY_NAME}])
XLAM = {
    "id": 0,
    "query": "Rain in Oslo?",
    "tools": XLAM_TOOLS,
    "answers": '[{"name": "get_weather", "arguments": {"city": "Oslo"}}]',
}
XLAM_ROW = "\n".join(OSLO.splitlines()[:3])
BARE = [WEATHER["function"]]
SYSTEM = (
    f"You may call functions:\n{json.dumps(BARE)}\nWrite [func1(name=value), func2(name=value)]."
)
SHAREGPT = (
    ("human", "Rain in Oslo?"),
    ("function_call", '{"name": "get_weather", "arguments": {"city": "Oslo"}}'),
    ("observation", "rain"),
    ("gpt", "Yes."),
)
TOOLACE = (
    ("user", "Rain in Oslo?"),
    ("assistant", '[get_weather(city="Oslo")]'),
    ("tool", "rain"),
    ("assistant", "Yes."),
)
MARKET = {
    "name": "Market Trends API",
    "description": "",
    "parameters": {"type": "dict", "properties": {"country": {"type": "string"}}},
}
IN_TOOLACE = "tools: Market Trends API\nuser: Trends?\nassistant: Market Trends API({})"
BLOCK = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
HERMES_SYSTEM = (
    "Signatures are within <tools></tools> tags.\n<tools>\n{}\n</tools>\n"
    "Answer in <tool_call>\n{tool_call}\n</tool_call>"
)


def replaced(record: Any, number: int, value: str) -> tuple[tuple[str, str], ...]:
    return (*record[:number], (record[number][0], value), *record[number + 1 :])


def hermes(answer: str = BLOCK, shown: str = json.dumps([WEATHER]), **rest: Any) -> Json:
    system = HERMES_SYSTEM.replace("{}", shown)
    answered = "<tool_response>\nrain\n</tool_response>"
    return turns(
        ("system", system), ("human", "Rain in Oslo?"), ("gpt", answer), ("tool", answered),
        ("gpt", "Yes."), **rest,
    )  # fmt: skip


READ = {
    # openai: tools
    "openai": (chat(), OSLO),
    "tools null": (chat(USER, YES, tools=None), NO_TOOLS),
    "no tools": ({"messages": [USER, YES]}, NO_TOOLS),
    "tools of no text": (chat(USER, YES, tools=""), NO_TOOLS),
    "tools are bare functions": (chat(tools=BARE), OSLO),
    "tools in JSON": (chat(tools=json.dumps([WEATHER])), OSLO),
    "parameters in JSON": (
        chat(tools=[{**BARE[0], "parameters": json.dumps(BARE[0]["parameters"])}]),
        OSLO,
    ),
    "strict and other keys": (
        chat(tools=[{"type": "function", "function": {**BARE[0], "strict": True}, "x": 1}], y=2),
        OSLO,
    ),
    "parameters by name": (
        called({"city": "Oslo"}, tools=[{"name": "get_weather", "parameters": BY_NAME}]),
        OSLO,
    ),
    "legacy functions": (
        {
            "functions": BARE,
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": call()["function"],
                },
                {"role": "function", "name": "get_weather", "content": "rain"},
                YES,
            ],
        },
        OSLO,
    ),
    # openai: messages
    "developer": (
        chat({"role": "developer", "content": "Be brief."}, USER, YES, tools=None),
        NO_TOOLS.replace("user:", "system: Be brief.\nuser:"),
    ),
    "content in text parts": (chat({**USER, "content": PARTS}, YES, tools=None), NO_TOOLS),
    "observation in text parts": (
        chat(USER, calling(call()), observed([{"type": "text", "text": "rain"}]), YES),
        OSLO,
    ),
    "observation is an object": (
        chat(USER, calling(call()), observed({"mm": [3, None]}), YES),
        OSLO.replace("tool: rain", 'tool: {"mm": [3, null]}'),
    ),
    "observation null": (
        chat(USER, calling(call()), observed(None), YES),
        OSLO.replace("tool: rain", "tool: "),
    ),
    "text beside calls": (
        chat(USER, calling(call(), content="Let me look."), TOOL, YES),
        OSLO.replace("assistant: get", "assistant: Let me look. get"),
    ),
    "weight 1": (chat(USER, calling(call(), weight=1), TOOL, {**YES, "weight": 1.0}), OSLO),
    "last calls without observations": (chat(USER, calling(call())), XLAM_ROW),
    # openai: arguments
    "arguments an object": (called({"city": "Oslo"}), OSLO),
    "arguments of no text": (
        called("", tools=[tool("list_files")], name="list_files"),
        NO_ARGUMENTS,
    ),
    "arguments null": (called(None, tools=[tool("list_files")], name="list_files"), NO_ARGUMENTS),
    "whole float for an integer": (
        called({"city": "Oslo", "days": 3.0}),
        OSLO.replace('"Oslo"}', '"Oslo", "days": 3}'),
    ),
    "null of a key that the tool has not": (called({"city": "Oslo", "symbol": None}), OSLO),
    "null of an optional argument": (called({"city": "Oslo", "days": None}), OSLO),
    "null that the schema allows": (
        called({"city": None}, tools=schema(city={"type": ["string", "null"]})),
        OSLO.replace('"Oslo"', "null"),
    ),
    "nulls in nested objects": (
        called(
            {"at": {"lat": 1.5, "lon": None, "x": None}, "to": [{"a": 2.0, "b": None}, {"b": "c"}]},
            tools=schema(
                at={"type": "object", "properties": {"lat": {"type": "number"}}},
                to={
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                    },
                },
            ),
        ),
        OSLO.replace('{"city": "Oslo"}', '{"at": {"lat": 1.5}, "to": [{"a": 2}, {"b": "c"}]}'),
    ),
    "nulls in the object of several types": (
        called(
            {"at": {"lat": 1.0, "name": None}},
            tools=schema(
                at={
                    "anyOf": [
                        {"type": "string"},
                        {"type": "null"},
                        {
                            "type": "object",
                            "properties": {"lat": {"type": "integer"}},
                            "additionalProperties": False,
                        },
                    ]
                }
            ),
        ),
        OSLO.replace('{"city": "Oslo"}', '{"at": {"lat": 1}}'),
    ),
    "any argument where the schema allows any": (
        called(
            {"x": None, "y": [1]},
            tools=[
                {
                    "name": "get_weather",
                    "parameters": {"type": "object", "additionalProperties": {}},
                }
            ],
        ),
        OSLO.replace('{"city": "Oslo"}', '{"x": null, "y": [1]}'),
    ),
    # openai: observations
    "observations in another order": (chat(USER, PAIR, OF_ROME, OF_OSLO, YES), TWO),
    "observations without ids": (
        chat(USER, PAIR, observed("rain, says Oslo", None), observed("sun, says Rome", None), YES),
        TWO,
    ),
    "one observation without an id": (
        chat(USER, PAIR, OF_ROME, observed("rain, says Oslo", None), YES),
        TWO,
    ),
    "the same ids in each message": (
        chat(USER, calling(call()), TOOL, calling(call()), TOOL, YES),
        OSLO.replace(
            "\nassistant: Yes.",
            '\nassistant: get_weather({"city": "Oslo"})\ntool: rain\nassistant: Yes.',
        ),
    ),
    # openai: thoughts
    "reasoning_content": (
        chat(USER, calling(call(), reasoning_content="\nAsk.\n"), TOOL, YES),
        THINKING,
    ),
    "reasoning": (chat(USER, calling(call(), reasoning="Ask."), TOOL, YES), THINKING),
    "thinking part": (
        chat(USER, calling(call(), content=[{"type": "thinking", "thinking": "Ask."}]), TOOL, YES),
        THINKING,
    ),
    "thought in the content": (
        chat(USER, calling(call(), content="<think>\nAsk.\n</think>\n\n"), TOOL, YES),
        THINKING,
    ),
    "reasoning beside an empty block": (
        chat(USER, calling(call(), content="<think>\n\n</think>", reasoning="Ask."), TOOL, YES),
        THINKING,
    ),
    "no reasoning": (
        chat(USER, calling(call(), reasoning_content="", reasoning=None), TOOL, YES),
        OSLO,
    ),
    # sharegpt
    "sharegpt": (turns(*SHAREGPT, tools=json.dumps([WEATHER])), OSLO),
    "sharegpt, tools a list, a system text": (
        turns(*SHAREGPT, tools=[WEATHER], system="Be brief."),
        OSLO.replace("user:", "system: Be brief.\nuser:"),
    ),
    "sharegpt, tools in the system text": (turns(*SHAREGPT, system=SYSTEM), OSLO),
    "sharegpt, tools in a system turn": (turns(("system", SYSTEM), *SHAREGPT), OSLO),
    "sharegpt, a list of people in the system text": (
        turns(
            ("human", "Rain in Oslo?"),
            ("gpt", "Yes."),
            system='Users: [{"name": "Bob"}]. Be kind.',
        ),
        NO_TOOLS.replace("user:", 'system: Users: [{"name": "Bob"}]. Be kind.\nuser:'),
    ),
    "sharegpt, several calls": (
        turns(
            SHAREGPT[0],
            (
                "function_call",
                json.dumps(
                    [
                        call(id=None)["function"],
                        {"name": "get_weather", "arguments": '{"city": "Rome"}'},
                    ]
                ),
            ),
            ("observation", '["rain, says Oslo", "sun, says Rome"]'),
            SHAREGPT[3],
            tools=[WEATHER],
        ),
        TWO,
    ),
    "sharegpt, a thought": (
        turns(SHAREGPT[0], ("gpt", "<think> I know. </think> Yes.")),
        NO_TOOLS.replace("Yes", "<think> I know. </think> Yes"),
    ),
    # xlam
    "xlam": (XLAM, XLAM_ROW),
    "xlam, answers and tools as lists": (
        {**XLAM, "tools": json.loads(XLAM_TOOLS), "answers": json.loads(XLAM["answers"])},
        XLAM_ROW,
    ),
    "xlam, null of another row": (
        {**XLAM, "answers": XLAM["answers"].replace('"Oslo"', '"Oslo", "symbol": null')},
        XLAM_ROW,
    ),
    # toolace
    "toolace": (turns(*TOOLACE, system=SYSTEM), OSLO),
    "toolace, names with spaces": (
        turns(
            ("user", "Trends?"),
            ("assistant", '[Market Trends API(country="us"), Market Trends API()]'),
            system=f"Functions:\n{json.dumps([MARKET])}",
        ),
        IN_TOOLACE.replace("({})", '({"country": "us"}) Market Trends API({})'),
    ),
    "toolace, a thought of a tool": (
        turns(
            ("user", "Trends?"),
            ("assistant", "<think> It has trends. </think>[Market Trends API()]"),
            system=f"Functions:\n{json.dumps([MARKET])}",
        ),
        IN_TOOLACE.replace(
            "Market Trends API({", "<think> It has trends. </think> Market Trends API({"
        ),
    ),
    "toolace, Python's values": (
        turns(
            TOOLACE[0],
            ("assistant", "[get_weather(x=[True, None, 'a\\'b'], y={'k': -1.5})]"),
            system=json.dumps([tool("get_weather", x={"type": "array"}, y={"type": "object"})]),
        ),
        XLAM_ROW.replace('{"city": "Oslo"}', '{"x": [true, null, "a\'b"], "y": {"k": -1.5}}'),
    ),
    "toolace, an observation for each call": (
        turns(
            TOOLACE[0],
            ("assistant", '[get_weather(city="Oslo"), get_weather(city="Rome")]'),
            ("tool", '[{"name": "get_weather", "results": 1}, "sun, says Rome"]'),
            TOOLACE[3],
            system=SYSTEM,
        ),
        TWO.replace("rain, says Oslo", '{"name": "get_weather", "results": 1}'),
    ),
    # hermes
    "hermes": (hermes(), OSLO),
    "hermes, tools beside it": (hermes(shown="", tools=json.dumps([WEATHER])), OSLO),
    "hermes, a tool a line": (hermes(shown=f"{json.dumps(WEATHER)}\n"), OSLO),
    "hermes, tools as Python": (hermes(shown=str([WEATHER])), OSLO),
    "hermes, calls as Python": (
        hermes("<tool_call>\n{'arguments': {'city': 'Oslo'}, 'name': 'get_weather'}\n</tool_call>"),
        OSLO,
    ),
    "hermes, JSON with an apostrophe": (
        hermes(BLOCK.replace("Oslo", "d'\\/Oslo")),
        OSLO.replace('"Oslo"', '"d\'/Oslo"'),
    ),
    "hermes, thought, text and a call with an id": (
        hermes(f'<think>\nAsk.\n</think>\nLet me look.\n{BLOCK[:-14]}, "id": 7}}\n</tool_call>'),
        THINKING.replace("> get", "> Let me look. get"),
    ),
    "hermes, an empty response": (
        turns(
            ("system", HERMES_SYSTEM.replace("{}", json.dumps([WEATHER]))),
            ("human", "Rain in Oslo?"),
            ("gpt", BLOCK),
            ("tool", ""),
            ("gpt", "Yes."),
        ),
        OSLO.replace("tool: rain", "tool: "),
    ),
    "hermes, several responses in a turn": (
        turns(
            ("system", HERMES_SYSTEM.replace("{}", json.dumps([WEATHER]))),
            ("human", "Rain in Oslo?"),
            ("gpt", f"{BLOCK}\n{BLOCK.replace('Oslo', 'Rome')}"),
            (
                "tool",
                "<tool_response>\nrain, says Oslo\n</tool_response>\n"
                "<tool_response>\nsun, says Rome\n</tool_response>\n",
            ),
            ("gpt", "Yes."),
        ),
        TWO,
    ),
}

REFUSED = {
    # what is no record
    "broken off": ('{"messages": ', "no JSON object", "not a line of JSON: Expecting value"),
    "a list": ("[[1]]", "no JSON object", "not a JSON object but [[1]]"),
    "not a number": ('{"messages": [NaN]}', "no JSON object", "cannot hold it"),
    "half a surrogate pair": ('{"messages": ["\\ud800"]}', "no JSON object", "cannot hold it"),
    "nested deep": ("[" * 150 + "]" * 150, "no JSON object", "more than 100 levels"),
    "another layout": (
        {"text": "Hi", "messages": None},
        "unknown layout",
        'the keys ["text"] are of none of the layouts openai, xlam',
    ),
    # messages
    "no messages": ({"messages": []}, "no messages", '"messages" must be a list, not []'),
    "messages as a text": ({"messages": "Hi"}, "no messages", 'must be a list, not "Hi"'),
    "role of another layout": (
        chat({**USER, "role": "human"}, YES),
        "unknown role",
        'message 0: "role" is "human"',
    ),
    "message is no object": (chat(USER, "Yes."), "unknown role", 'message 1: "role" is null'),
    "content null": (
        chat({**USER, "content": None}, YES),
        "bad content",
        'message 0: "content" must be a text, not null',
    ),
    "picture": (
        chat({**USER, "content": [*PARTS, {"type": "image_url", "image_url": "x"}]}, YES),
        "bad content",
        'message 0: "content" has a part that is no text: {"type": "image_url"',
    ),
    "assistant without content": (said(), "it holds neither text nor calls", "message 1 (assis"),
    "assistant of white space": (
        said(content=" \n"),
        "it holds neither text nor calls",
        "message 1 (assistant)",
    ),
    "weight 0": (
        chat(USER, calling(call(), weight=0), TOOL, YES),
        "weight 0",
        'message 1: "weight" is 0: not to be learnt',
    ),
    "no assistant": (chat(USER), "no message of the assistant", "nothing to learn"),
    "assistant first": (
        chat(YES, USER),
        "a dialogue begins with system messages, if any, and the user's",
        "message 0 (assistant)",
    ),
    "late system message": (
        chat(USER, {"role": "system", "content": "x"}, YES),
        "system messages stand at the start",
        "message 1 (system)",
    ),
    "assistant twice": (
        chat(USER, YES, calling(call()), TOOL, YES),
        "two messages of the assistant in a row",
        "message 2 (assistant)",
    ),
    # tools
    "tools no JSON": (chat(tools="[{"), "bad tools", '"tools" is no JSON: Expecting property name'),
    "tools an object": (chat(tools={"a": 1}), "bad tools", '"tools" must be a list, not {"a": 1}'),
    "tool without a name": (chat(tools=[{"function": {}}]), "bad tools", "a tool without a name"),
    "parameters no schema": (
        chat(tools=[{"name": "get_weather", "parameters": {"properties": {"x": 3}}}]),
        "bad tools",
        "tool 'get_weather': parameters.properties.x must be a schema",
    ),
    "two tools of a name": (chat(tools=(WEATHER, WEATHER)), "bad tools", 'the name "get_weather"'),
    "half a surrogate pair in tools": (
        chat(tools='[{"name": "a\\ud800"}]'),
        "bad tools",
        "surrogates not allowed",
    ),
    # calls
    "unknown tool": (
        chat(tools=(STOCK,)),
        "unknown tool",
        'message 1: calls "get_weather", not offered at that point (tools: get_stock)',
    ),
    "unknown argument": (
        called({"city": "Oslo", "symbol": "X"}),
        "unknown argument",
        'message 1: get_weather has no argument "symbol", here "X"; it has city, days',
    ),
    "missing argument": (
        called({"days": 1}),
        "missing argument",
        'message 1: get_weather lacks the argument "city"',
    ),
    "value of another type": (
        called({"city": "Oslo", "days": "3"}),
        "value not allowed",
        '"days" is "3", but its schema has "type": "integer"',
    ),
    "required argument null": (
        called({"city": None}),
        "value not allowed",
        '"city" is null, but its schema has "type": "string"',
    ),
    "value out of range": (
        called(
            {"at": {"lat": [1, 91]}},
            tools=schema(at={"properties": {"lat": {"type": "array", "items": {"maximum": 90}}}}),
        ),
        "value not allowed",
        '"at.lat.1" is 91, but its schema has "maximum": 90',
    ),
    "value not in the list": (
        called({"unit": "k"}, tools=schema(unit={"enum": ["c", "f"]})),
        "value not allowed",
        '"unit" is "k", but its schema has "enum": ["c", "f"]',
    ),
    "long value": (
        called({"city": ["x" * 500]}),
        "value not allowed",
        f'"city" is ["{"x" * 78}…, but its schema has "type": "string"',
    ),
    "arguments no JSON": (
        called("{city: Oslo}"),
        "bad call",
        "message 1: the arguments of get_weather are not JSON: Expecting property name",
    ),
    "arguments a list": (
        called("[1]"),
        "bad call",
        'arguments of get_weather are no object: "[1]"',
    ),
    "arguments not a number": (called('{"city": NaN}'), "bad call", "are not JSON"),
    "arguments nested deep": (
        called('{"city":' * 50 + "1" + "}" * 50),
        "bad call",
        "nested more than 40 levels",
    ),
    "arguments beside the function": (
        chat(USER, calling({"function": {"name": "get_weather"}, "arguments": {"city": "Oslo"}})),
        "bad call",
        'get_weather: a call with the key "arguments"',
    ),
    "arguments by another name": (
        chat(USER, calling({"function": {"name": "get_weather", "args": {"city": "Oslo"}}})),
        "bad call",
        'get_weather: a call with the key "args"',
    ),
    "call without a name": (
        chat(USER, calling({"type": "custom", "custom": {}})),
        "bad call",
        'message 1: a call without the name of a function: {"type": "custom"',
    ),
    "calls no list": (
        chat(USER, calling() | {"tool_calls": 3}),
        "bad call",
        "must be a list, not 3",
    ),
    "calls of the user": (
        chat({**USER, "tool_calls": [call()]}, YES),
        "assistant's words of another role",
        "message 0: calls in a message of role user",
    ),
    # observations
    "observation of no call": (
        chat(USER, calling(call()), observed("rain", "c9"), YES),
        "observation of no call",
        'message 2: "tool_call_id" "c9" no call before it has',
    ),
    "observation of a call without an id": (
        chat(USER, calling(call(id=None)), TOOL, YES),
        "observation of no call",
        '"tool_call_id" "c1" no call',
    ),
    "call answered twice": (
        chat(USER, PAIR, OF_OSLO, OF_OSLO, YES),
        "call answered twice",
        'message 3: "tool_call_id" "c1" is answered already',
    ),
    "two calls of an id": (
        chat(USER, calling(call(), call()), TOOL, TOOL, YES),
        "two calls with one id",
        'two calls have the id "c1"',
    ),
    "observation of another tool": (
        chat(USER, calling(call()), {**TOOL, "name": "get_stock"}, YES),
        "observation of another tool",
        'message 2: "name" is "get_stock", but the call that it answers is of "get_weather"',
    ),
    "missing observation": (
        chat(USER, PAIR, OF_ROME, YES),
        "calls before it have no tool message",
        "message 3 (assistant)",
    ),
    "observation without a call": (
        chat(USER, TOOL, YES),
        "observation of no call",
        'message 1: "tool_call_id" "c1"',
    ),
    "one observation too many": (
        chat(USER, calling(call()), TOOL, observed("x", None), YES),
        "a tool's message without a call before it",
        "message 3 (tool)",
    ),
    # thoughts and calls in texts
    "two thoughts": (
        said(content="<think> A. </think> Yes.", reasoning_content="B."),
        "two thoughts",
        "message 1: a thought beside the one in its text",
    ),
    "thought given twice": (
        said(content="Yes.", reasoning_content="A.", reasoning="A."),
        "two thoughts",
        "message 1: its thought is given 2 times",
    ),
    "thought that only closes": (
        said(content="A. </think> Yes."),
        "thought within a text",
        "message 1: a thought must open the message",
    ),
    "thought of the user": (
        chat({**USER, "reasoning_content": "A."}, YES),
        "assistant's words of another role",
        "message 0: a thought in a message of role user",
    ),
    "hermes call in a text": (
        said(content=BLOCK),
        "call in text",
        "message 1: its text makes a call",
    ),
    "pythonic call in a text": (
        said(content='[get_weather(city="x")]'),
        "call in text",
        "message 1",
    ),
    "pythonic call within a text": (
        said(content='Sure. [get_weather(city="x")]'),
        "call in text",
        "message 1",
    ),
    "call beside the call in a text": (
        chat(USER, calling(call(), content=BLOCK), TOOL, YES),
        "call in text",
        "message 1",
    ),
    "JSON call in a text": (
        said(content='{"name": "get_weather", "arguments": {"city": "Oslo"}}'),
        "call in text",
        "message 1",
    ),
    # sharegpt
    "sharegpt, no turns": ({"conversations": []}, "no messages", '"conversations" must be a list'),
    "sharegpt, turn without a text": (
        {"conversations": [{"from": "human", "value": None}]},
        "bad content",
        'turn 0: "from" and "value" must be texts: {"from": "human", "value": null}',
    ),
    "sharegpt, unknown speaker": (
        turns(("human", "Hi"), ("bing", "Yes.")),
        "unknown role",
        'turn 1: "from" is "bing"',
    ),
    "sharegpt, call is no JSON": (
        turns(*replaced(SHAREGPT, 1, "get_weather")),
        "bad call",
        "turn 1: no JSON in function_call",
    ),
    "sharegpt, unlearnt": (
        {"conversations": [{"from": "human", "value": "Hi", "weight": 0}]},
        "weight 0",
        'turn 0: "weight" is 0',
    ),
    "sharegpt, one observation of two calls": (
        turns(
            SHAREGPT[0],
            ("function_call", json.dumps([call()["function"]] * 2)),
            *SHAREGPT[2:],
            tools=[WEATHER],
        ),
        "calls before it have no tool message",
        "turn 3 (assistant)",
    ),
    # xlam
    "xlam, no question": ({**XLAM, "query": 3}, "bad content", '"query" must be a text, not 3'),
    "xlam, answers no JSON": ({**XLAM, "answers": "[{"}, "bad call", '"answers" is no JSON'),
    "xlam, no call": (
        {**XLAM, "answers": "[]"},
        "bad call",
        '"answers" must be a list with a call',
    ),
    "xlam, missing argument": (
        {**XLAM, "answers": '[{"name": "get_weather", "arguments": {}}]'},
        "missing argument",
        '"answers": get_weather lacks the argument "city"',
    ),
    # toolace
    "toolace, unknown tool with spaces": (
        turns(*replaced(TOOLACE, 1, '[Market Trends API(country="us")]'), system=SYSTEM),
        "call in text",
        "turn 1: its text makes a call",
    ),
    "toolace, value that is no literal": (
        turns(*replaced(TOOLACE, 1, "[get_weather(city=Oslo)]"), system=SYSTEM),
        "unreadable call in text",
        "turn 1: its calls are no pythonic calls",
    ),
    "toolace, a value like a call": (
        turns(
            ("user", "Trends?"),
            ("assistant", '[Market Trends API(country="[Market Trends API()]")]'),
            system=json.dumps([MARKET]),
        ),
        "unreadable call in text",
        "turn 1: Market Trends API: an argument looks like a call",
    ),
    "toolace, calls after a text": (
        turns(*replaced(TOOLACE, 1, 'Sure: [get_weather(city="Oslo")]'), system=SYSTEM),
        "call in text",
        "turn 1: its text makes a call",
    ),
    # hermes
    "hermes, block not closed": (
        hermes(BLOCK[:-12]),
        "unreadable call in text",
        "turn 2: its calls are no hermes calls",
    ),
    "hermes, half a surrogate pair": (
        hermes(BLOCK.replace("Oslo", "\\ud800")),
        "unreadable call in text",
        "turn 2: JSON cannot hold its calls",
    ),
    "hermes, thought after the call": (
        hermes(f"{BLOCK}<think> A. </think>"),
        "thought within a text",
        "turn 2: a thought must open",
    ),
    "hermes, no tools": (hermes(shown="None."), "bad tools", "turn 0: no tools in <tools>"),
}


def read(folder: Path, *lines: Any) -> list[ReadChat | RefusedRecord]:
    return list(read_chats(write_lines(folder / "chats.jsonl", lines)))


@pytest.mark.parametrize(("line", "expected"), READ.values(), ids=READ)
def test_a_line_gives_its_rows(tmp_path: Path, line: Json, expected: str) -> None:
    (chat,) = read(tmp_path, line)
    assert isinstance(chat, ReadChat), chat.refused
    assert told(chat.dialogue) == expected
    for style in STYLES:
        for step in split_steps(chat.dialogue, style):
            best = 4.0 if step.wants_calls else 1.0
            assert tool_call_reward(step.answer, step.ground_truth).score == best


@pytest.mark.parametrize(("line", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_a_line_is_refused(tmp_path: Path, line: Any, reason: str, words: str) -> None:
    path = tmp_path / "chats.jsonl"
    good, chat = read(tmp_path, {"messages": [USER, YES]}, line)
    assert isinstance(good, ReadChat)
    assert isinstance(chat, RefusedRecord)
    assert chat.refused.reason == reason
    assert str(chat.refused).startswith((f"{path}:2: ", f"{path}:2, "))
    assert words in str(chat.refused)
    assert len(str(chat.refused)) < 500 + len(str(tmp_path))


COUNTED = {
    "key that the tool has not": (called({"city": "Oslo", "symbol": None}), 1),
    "optional argument": (called({"city": "Oslo", "days": None, "symbol": None}), 2),
    "allowed null": (READ["null that the schema allows"][0], 0),
    "nested": (READ["nulls in nested objects"][0], 3),
    "one of several schemas": (READ["nulls in the object of several types"][0], 1),
}


@pytest.mark.parametrize(("line", "number"), COUNTED.values(), ids=COUNTED)
def test_nulls_of_tables_are_counted(tmp_path: Path, line: Json, number: int) -> None:
    (chat,) = read(tmp_path, line)
    assert isinstance(chat, ReadChat)
    assert chat.num_nulls == number


LAYOUTS = {
    "openai": (chat(), False),
    "xlam": (XLAM, False),
    "hermes": (hermes(), True),
    "toolace": (turns(*TOOLACE, system=SYSTEM), True),
    "sharegpt": (turns(*SHAREGPT, tools=[WEATHER], system="Be brief."), False),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_found_and_forced(tmp_path: Path, layout: str) -> None:
    record, replaces_system = LAYOUTS[layout]
    found, same = read(tmp_path, record, {**dict.fromkeys(("messages", "query"), None), **record})
    assert isinstance(found, ReadChat)
    assert isinstance(same, ReadChat)
    assert found.layout == same.layout == layout
    assert found.system_replaced == replaces_system
    other = "openai" if layout == "xlam" else "xlam"
    (forced,) = read_chats(write_lines(tmp_path / "chats.jsonl", [record]), other)
    assert isinstance(forced, RefusedRecord)


@pytest.mark.parametrize("style", STYLES)
def test_a_text_that_the_reward_would_not_take(tmp_path: Path, style: Any) -> None:
    (chat,) = read(tmp_path, said(content="</response> and on"))
    assert isinstance(chat, ReadChat)
    if style == "chat_template":  # the tag is none there
        assert [step.answer for step in split_steps(chat.dialogue, style)] == ["</response> and on"]
        return
    with pytest.raises(Refused, match=r"chats\.jsonl:1, message 1: the reward would not") as caught:
        list(split_steps(chat.dialogue, style))
    assert caught.value.reason == "no right answer to the reward"


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/cases is not there")
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (20, OSLO.replace("tools: get_weather", "tools: get_weather, get_stock")),
        (24, OSLO),
        (26, TWO),
        (28, NO_ARGUMENTS),
    ],
)
def test_shared_cases(number: int, expected: str) -> None:
    (path,) = SHARED.glob(f"{number}_*.jsonl")
    (chat,) = read_chats(path)
    assert isinstance(chat, ReadChat)
    assert told(chat.dialogue) == expected.replace("Rain in", "Is it raining in")
