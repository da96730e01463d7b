"""What `compact` shows of a schema, and what `toolrl` lists as required."""

from typing import Any

import pytest
from dialogue_samples import WEATHER

from rest_verl.prompts.schemas import normal_tool
from rest_verl.prompts.tools import describe_tools, tools_as_given, tools_from_docs

POINT = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x"],
}


def tool(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "string"}, "str"),
        ({"type": "integer", "minimum": 1}, "int"),
        ({"type": "number"}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"type": "null"}, "null"),
        ({"type": "object"}, "dict"),
        ({"type": "array"}, "list"),
        ({}, "any"),
        ({"description": "Whatever."}, "any"),
        ({"type": "string", "enum": ["celsius", "fahrenheit"]}, '"celsius"|"fahrenheit"'),
        ({"enum": ["é", 1, None]}, '"é"|1|null'),
        ({"const": "x"}, '"x"'),
        ({"enum": list(range(40))}, "|".join(map(str, range(40)))),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "int|str"),
        ({"oneOf": [{"type": "integer"}, {"type": "integer"}]}, "int"),
        ({"type": ["string", "null"]}, "str|null"),
        ({"anyOf": [{"type": ["integer", "null"]}, {"type": "null"}]}, "int|null"),
        ({"anyOf": [{}, {"type": "null"}]}, "any"),
        ({"type": "string", "anyOf": [{"enum": ["a"]}, {"minLength": 3}]}, '"a"|str'),
        ({"type": "array", "items": {"type": "object"}}, "list[dict]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, 'list["a"|"b"]'),
        ({"items": {"type": "array", "items": {"type": "integer"}}}, "list[list[int]]"),
        ({"type": "array", "items": {}}, "list"),
        ({"prefixItems": [{"type": "integer"}, {"type": "string"}]}, "[int, str]"),
        ({"type": ["array", "null"], "items": {"type": "string"}}, "list[str]|null"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"type": "object", "additionalProperties": False}, "dict"),
        (POINT, "{x: float, y?: float}"),
        ({"anyOf": [POINT, {"type": "null"}]}, "{x: float, y?: float}|null"),
        ({"type": "array", "items": POINT}, "list[{x: float, y?: float}]"),
        ({"properties": {"at": POINT}}, "{at?: {x: float, y?: float}}"),
        ({**POINT, "anyOf": [{"required": ["y"]}]}, "{x: float, y?: float}"),
    ],
)
def test_types_in_a_signature(schema: Any, shown: str) -> None:
    described = normal_tool(tool({"a": schema, "b": schema}, ["a"]))
    assert describe_tools([described], "compact") == f"f(a: {shown}, b?: {shown})"


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "dict"}, "dict"),
        ({"type": "float"}, "float"),
        ({"type": "unknown"}, "any"),
        ({"type": "integer", "nullable": True}, "int|null"),
        (True, "any"),
        ({"anyOf": [True, {"type": "null"}]}, "any"),
    ],
)
def test_types_of_an_environments_own_tools(schema: Any, shown: str) -> None:
    assert describe_tools([tool({"a": schema}, ["a"])], "compact") == f"f(a: {shown})"


def test_bfcls_signatures_are_as_published() -> None:
    doc = {
        "name": "f",
        "description": "",
        "parameters": {
            "type": "dict",
            "properties": {
                "unit": {"type": "string", "enum": ["c", "f"]},
                "point": {**POINT, "type": "dict"},
                "points": {"type": "array", "items": {**POINT, "type": "dict"}},
                "pair": {"type": "tuple", "items": {"type": "float"}},
                "value": {"type": "any"},
                "untyped": {},
            },
            "required": ["unit"],
        },
    }
    signature = (
        "f(unit: str, point?: dict, points?: list[dict], pair?: list[float], value?: str, "
        "untyped?: str)"
    )
    assert describe_tools(tools_as_given([doc]), "compact") == signature
    assert describe_tools(tools_from_docs([doc]), "compact") == signature
    assert describe_tools([normal_tool(doc)], "compact") == (
        'f(unit: "c"|"f", point?: {x: float, y?: float}, points?: list[{x: float, y?: float}], '
        "pair?: list[float], value?: any, untyped?: any)"
    )


def test_a_required_object_keeps_the_list_of_its_required_properties() -> None:
    listed = describe_tools([tool({"at": POINT, "n": {"type": "integer"}}, ["at"])], "toolrl")
    assert listed == (
        "1. Name: f\n"
        "Description: \n"
        'Parameters: {"at": {"type": "object", "properties": {"x": {"type": "number"}, '
        '"y": {"type": "number"}}, "required": ["x"]}, "n": {"type": "integer"}}\n'
        'Required parameters: ["at"]'
    )


def test_an_object_that_may_be_left_out_keeps_its_list_too() -> None:
    listed = describe_tools([tool({"at": POINT, "n": {}}, ["n"])], "toolrl")
    assert listed.endswith('"y": {"type": "number"}}, "required": ["x"]}, "n": {"required": true}}')


@pytest.mark.parametrize("style", ["toolrl", "compact", "chat_template"])
def test_a_clean_tool_is_shown_as_it_was_recorded(style: str) -> None:
    assert describe_tools([normal_tool(WEATHER)], style) == describe_tools([WEATHER], style)
