"""Prompts, ground truths and reference answers of the three styles, on rows written by hand."""

import json
from dataclasses import replace

import pytest
from bfcl_samples import QUESTION

from rest_verl.data import (
    STYLES,
    BfclRow,
    build_prompt,
    ground_truth,
    openai_tools,
    reference_answer,
    verl_row,
)

CALLS = [{"name": "weather.get", "parameters": {"city": ["Oslo", "oslo"], "days": ["", 1]}}]
ROW = BfclRow(
    id="multiple_0",
    category="multiple",
    version="v4",
    messages=[{"role": "user", "content": "Weather in Oslo?"}],
    functions=QUESTION["function"],
    expect="calls",
    calls=CALLS,
)
DIALOGUE = replace(
    ROW,
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello {x}"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Weather in Oslo?"},
    ],
)
NO_CALL = replace(ROW, category="irrelevance", expect="no_call", calls=[])
ANY_CALL = replace(ROW, category="live_relevance", expect="any_call", calls=[])


def function(**properties: dict) -> list[dict]:
    return [{"name": "f", "parameters": {"type": "dict", "properties": properties}}]


def test_compact_prompt() -> None:
    assert build_prompt(ROW, "compact") == [
        {"role": "system", "content": "Tools:\nweather.get(city: str, days?: int)"},
        {"role": "user", "content": "Weather in Oslo?"},
    ]


def test_compact_types() -> None:
    types = {
        "a": (
            {"type": "tuple", "items": {"type": "array", "items": {"type": "float"}}},
            "list[list[float]]",
        ),
        "b": ({"type": "dict", "properties": {}}, "dict"),
        "c": ({"type": "HashMap"}, "dict"),
        "d": ({"type": "Boolean"}, "bool"),
        "e": ({"type": "any"}, "str"),
        "f": ({"type": ""}, "str"),
        "g": ({}, "str"),
        "h": ({"type": "ArrayList", "items": {"type": "long"}}, "list[int]"),
        "i": ({"type": "string", "items": {"type": "long"}}, "str"),
    }
    row = replace(ROW, functions=function(**{name: spec for name, (spec, _) in types.items()}))
    signature = ", ".join(f"{name}?: {short}" for name, (_, short) in types.items())
    assert build_prompt(row, "compact")[0]["content"] == f"Tools:\nf({signature})"


def test_compact_keeps_the_dialogue_and_appends_the_system_message() -> None:
    prompt = build_prompt(DIALOGUE, "compact")
    assert prompt[0]["content"] == "Tools:\nweather.get(city: str, days?: int)\n\nBe brief."
    assert prompt[1:] == DIALOGUE.messages[1:]


def test_chat_template_keeps_the_messages() -> None:
    prompt = build_prompt(DIALOGUE, "chat_template")
    assert prompt == DIALOGUE.messages
    prompt[0]["content"] = "changed"
    assert DIALOGUE.messages[0]["content"] == "Be brief."


def test_toolrl_prompt() -> None:
    system, user = build_prompt(ROW, "toolrl")
    assert user == {
        "role": "user",
        "content": "**Dialogue Records History**\n<user> Weather in Oslo? </user>",
    }
    assert (
        "tools in your answer:\n"
        "1. Name: weather.get\n"
        "Description: Current weather.\n"
        'Parameters: {"city": {"type": "string", "description": "The city.", "required": true}, '
        '"days": {"type": "integer", "default": 1}}\n\n'
        "**Steps for Each Turn**\n"
    ) in system["content"]
    heads = [line for line in system["content"].split("\n") if line.startswith("**")]
    assert heads == [
        "**Available Tools**",
        "**Steps for Each Turn**",
        "**Output Format**",
        "**Important Notes**",
    ]
    shown = system["content"].split("<tool_call>\n")[1].split("\n...\n</tool_call>")[0]
    assert [sorted(json.loads(line)) for line in shown.split("\n")] == [["name", "parameters"]] * 2


def test_toolrl_dialogue_is_one_user_message() -> None:
    system, user = build_prompt(DIALOGUE, "toolrl")
    assert system["content"].endswith("\n\nBe brief.")
    assert user["content"] == (
        "**Dialogue Records History**\n<user> Hello {x} </user>\n\n<response> Hi. </response>\n\n"
        "<user> Weather in Oslo? </user>"
    )


def test_row_without_functions() -> None:
    row = replace(NO_CALL, functions=[])
    assert build_prompt(row, "compact")[0]["content"] == "Tools:"
    assert "in your answer:\n(none)\n" in build_prompt(row, "toolrl")[0]["content"]
    assert openai_tools(row) == []


def test_openai_tools_use_json_schema_types_and_leave_the_row_alone() -> None:
    nested = {
        "type": "dict",
        "properties": {"type": {"type": "float"}},
        "required": ["type"],
    }
    row = replace(ROW, functions=function(p=nested, q={"type": "tuple", "items": nested}))
    schema = {
        "type": "object",
        "properties": {"type": {"type": "number"}},
        "required": ["type"],
    }
    assert openai_tools(row) == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "parameters": {
                    "type": "object",
                    "properties": {"p": schema, "q": {"type": "array", "items": schema}},
                },
            },
        }
    ]
    assert row.functions[0]["parameters"]["type"] == "dict"


@pytest.mark.parametrize(
    ("row", "style", "expected"),
    [
        (ROW, "toolrl", {"format": "toolrl", "expect": "calls", "calls": CALLS}),
        (ROW, "compact", {"format": "toolrl", "expect": "calls", "calls": CALLS}),
        (ROW, "chat_template", {"format": "chat_template", "expect": "calls", "calls": CALLS}),
        (NO_CALL, "toolrl", {"format": "toolrl", "expect": "no_call", "calls": []}),
        (ANY_CALL, "compact", {"format": "toolrl", "expect": "any_call", "calls": []}),
    ],
)
def test_ground_truth(row: BfclRow, style: str, expected: dict) -> None:
    assert json.loads(ground_truth(row, style)) == expected


@pytest.mark.parametrize(
    ("row", "style", "think", "expected"),
    [
        (
            replace(ROW, calls=CALLS * 2),
            "toolrl",
            "Look it up.",
            "<think> Look it up. </think>\n<tool_call>\n"
            '{"name": "weather.get", "parameters": {"city": "Oslo"}}\n'
            '{"name": "weather.get", "parameters": {"city": "Oslo"}}\n</tool_call>',
        ),
        (
            replace(ROW, calls=CALLS * 2),
            "chat_template",
            "",
            '<tool_call>\n{"name": "weather.get", "arguments": {"city": "Oslo"}}\n</tool_call>\n'
            '<tool_call>\n{"name": "weather.get", "arguments": {"city": "Oslo"}}\n</tool_call>',
        ),
        (
            NO_CALL,
            "compact",
            "No.",
            "<think> No. </think>\n<response> None of the available tools can do this. </response>",
        ),
        (
            NO_CALL,
            "chat_template",
            "No.",
            "<think>\nNo.\n</think>\n\nNone of the available tools can do this.",
        ),
    ],
    ids=["toolrl", "hermes", "no call", "hermes no call"],
)
def test_reference_answer(row: BfclRow, style: str, think: str, expected: str) -> None:
    assert reference_answer(row, style, think) == expected


@pytest.mark.parametrize(
    ("allowed", "required", "expected"),
    [
        ([5, 5.0], False, {"p": 5}),
        (["", 5], False, {}),
        (["", 5], True, {"p": 5}),
        ([5, ""], False, {"p": 5}),
        ([""], True, {"p": ""}),
        ([""], False, {}),
        ([None, ""], False, {"p": None}),
        ([[]], False, {"p": []}),
        ([False], False, {"p": False}),
        ([], True, {}),
        ([[[1, 2], [3]]], False, {"p": [[1, 2], [3]]}),
        ([{"k": [1, 2], "left_out": ["", 3]}], False, {"p": {"k": 1}}),
        ([{"k": [{"inner": 7}]}], False, {"p": {"k": {"inner": 7}}}),
        ([{"k": "bare"}], False, {"p": {"k": "bare"}}),
        ([[{"k": [1]}, {"k": ["", 2]}]], False, {"p": [{"k": 1}, {}]}),
    ],
    ids=[
        "first value",
        "left out",
        "required, so the next value",
        "given although optional",
        "required, nothing but the empty text",
        "nothing but leaving out",
        "null",
        "empty list",
        "false",
        "nothing allowed",
        "lists are values",
        "a list of allowed values at each key",
        "one level deep only",
        "bare value at a key",
        "list of objects",
    ],
)
def test_reference_value(allowed: list, required: bool, expected: dict) -> None:
    functions = function(p={"type": "any"})
    functions[0]["parameters"]["required"] = ["p"] if required else []
    row = replace(ROW, functions=functions, calls=[{"name": "f", "parameters": {"p": allowed}}])
    call = reference_answer(row, "compact", "x").split("\n")[2]
    assert json.loads(call) == {"name": "f", "parameters": expected}


def test_reference_answer_leaves_out_what_the_function_lacks() -> None:
    calls = [{"name": "weather.get", "parameters": {"city": ["Oslo"], "unit": ["C", ""]}}]
    assert '{"city": "Oslo"}' in reference_answer(replace(ROW, calls=calls), "compact", "x")


def test_no_reference_answer_where_bfcl_has_none() -> None:
    with pytest.raises(ValueError, match="multiple_0: BFCL gives no answer"):
        reference_answer(ANY_CALL, "toolrl", "x")


@pytest.mark.parametrize(
    "build", [build_prompt, ground_truth, lambda r, s: reference_answer(r, s, "")]
)
def test_unknown_style(build) -> None:
    with pytest.raises(ValueError, match="unknown prompt style 'chatml'; there are toolrl"):
        build(ROW, "chatml")


@pytest.mark.parametrize("style", STYLES)
def test_verl_row(style: str) -> None:
    row = verl_row(ROW, style, index=7, split="train")
    by_template = style == "chat_template"
    tools = json.dumps(openai_tools(ROW)) if by_template else ""
    assert row == {
        **({"agent_name": "rest_single_turn"} if by_template else {}),
        "data_source": "bfcl_v4/multiple",
        "prompt": build_prompt(ROW, style),
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": ground_truth(ROW, style)},
        "extra_info": {
            "index": 7,
            "id": "multiple_0",
            "category": "multiple",
            "split": "train",
            "version": "v4",
            "tools": tools,
            "syntax": "" if by_template else "toolrl",
            "prompt_style": style,
        },
    }
