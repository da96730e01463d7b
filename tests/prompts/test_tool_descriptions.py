"""Tools as text in the three styles, from complete and from minimal descriptions."""

import json

import pytest
from dialogue_samples import CLOCK, WEATHER

from rest_verl.data import describe_tools
from rest_verl.prompts.tools import tools_from_docs


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("compact", "weather(city: str, days?: int)\nclock()"),
        (
            "toolrl",
            "1. Name: weather\n"
            "Description: Current weather.\n"
            'Parameters: {"city": {"type": "string", "required": true}, '
            '"days": {"type": "integer"}}\n'
            "2. Name: clock\nDescription: \nParameters: {}",
        ),
        (
            "chat_template",
            '{"type": "function", "function": {"name": "weather", '
            '"description": "Current weather.", "parameters": {"type": "object", "properties": '
            '{"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}\n'
            '{"type": "function", "function": {"name": "clock"}}',
        ),
    ],
)
def test_description(style: str, expected: str) -> None:
    tools = [WEATHER, CLOCK]
    before = json.dumps(tools)
    assert describe_tools(tools, style) == expected
    assert json.dumps(tools) == before


@pytest.mark.parametrize("style", ["toolrl", "compact", "chat_template"])
def test_no_tools(style: str) -> None:
    assert describe_tools([], style) == ""


def test_unknown_style() -> None:
    with pytest.raises(ValueError, match="unknown prompt style 'xml'; there are toolrl"):
        describe_tools([WEATHER], "xml")


def test_docs_become_tools() -> None:
    doc = {
        "name": "f",
        "parameters": {
            "type": "dict",
            "properties": {"x": {"type": "float"}, "y": {"type": "any"}},
            "required": ["x"],
        },
    }
    (tool,) = tools_from_docs([doc])
    assert tool == {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": "number"}, "y": {"type": "string"}},
                "required": ["x"],
            },
        },
    }
    assert doc["parameters"]["type"] == "dict"
