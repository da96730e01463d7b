"""Tools as people record them, and what they become."""

import json
from typing import Any

import pytest
from dialogue_samples import WEATHER
from schema_samples import CITY, function, nested, of, parameters_of, property_of

from rest_verl.prompts.schemas import normal_tool
from rest_verl.prompts.tools import tools_from_docs

NO_PARAMETERS = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "tool",
    [
        pytest.param(WEATHER, id="OpenAI's layout"),
        pytest.param(WEATHER["function"], id="the function alone"),
        pytest.param(json.dumps(WEATHER), id="JSON text"),
        pytest.param({"function": json.dumps(WEATHER["function"])}, id="function in JSON text"),
        pytest.param(
            {**WEATHER["function"], "parameters": json.dumps(WEATHER["function"]["parameters"])},
            id="parameters in JSON text",
        ),
        pytest.param(
            {
                "name": "weather",
                "description": "Current weather.",
                "input_schema": WEATHER["function"]["parameters"],
            },
            id="Anthropic",
        ),
        pytest.param(
            {
                "name": "weather",
                "description": "Current weather.",
                "parameters": None,
                "inputSchema": WEATHER["function"]["parameters"],
            },
            id="MCP",
        ),
        pytest.param(
            {
                "type": "function",
                "function": {**WEATHER["function"], "strict": True, "returns": {"type": "string"}},
                "cache": None,
            },
            id="further keys",
        ),
        pytest.param({**WEATHER["function"], "type": "function", "function": None}, id="Responses"),
    ],
)
def test_layouts_of_a_tool(tool: Any) -> None:
    before = json.dumps(tool)
    assert json.dumps(normal_tool(tool)) == json.dumps(WEATHER)  # in the same order as well
    assert json.dumps(tool) == before


@pytest.mark.parametrize("parameters", [None, {}, "", "{}", {"type": "dict"}, {"required": None}])
def test_no_parameters(parameters: Any) -> None:
    tool = {"name": "f", "description": "", "parameters": NO_PARAMETERS}
    assert normal_tool(function(parameters))["function"] == tool
    assert normal_tool({"name": "f", "description": None})["function"] == tool


@pytest.mark.parametrize(
    ("spec", "is_required"),
    [
        ({"type": "str"}, True),
        ({"type": "str, optional"}, False),
        ({"type": "Optional[str]"}, False),
        ({"type": ["str", "optional"]}, False),
        ({"type": "str", "default": "c"}, False),
        ({"type": "str", "default": ""}, False),
        ({"type": "bool", "default": False}, False),
        ({"type": "str", "default": None}, True),
        ({"type": "str, optional", "required": True}, True),
        ({"type": "str", "required": False}, False),
        ({"type": "str", "optional": True}, False),
        ({"description": "No type."}, True),
    ],
)
def test_who_is_required_of_parameters_by_name(spec: Any, is_required: bool) -> None:
    parameters = parameters_of(function({"x": spec, "symbol": None}))
    assert list(parameters["properties"]) == ["x"]
    assert parameters.get("required", []) == (["x"] if is_required else [])


def test_parameters_by_name() -> None:
    parameters = {
        "city": {"description": "Name of the city", "type": "str"},
        "unit": {"description": "c or f", "type": "str, optional", "default": "c"},
        "type": {"description": "of weather", "type": "List[str]"},
    }
    assert parameters_of(function(parameters)) == {
        "type": "object",
        "properties": {
            "city": {"description": "Name of the city", "type": "string"},
            "unit": {"description": "c or f", "type": "string", "default": "c"},
            "type": {
                "description": "of weather",
                "type": "array",
                "items": {"type": "string"},
            },
        },
        "required": ["city", "type"],
    }


def test_parameters_by_name_with_a_list_of_the_required_ones() -> None:
    parameters = {"a": {"type": "int"}, "b": {"type": "int"}, "required": ["b"]}
    assert parameters_of(function(parameters)) == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["b"],
    }


PYDANTIC = {
    "$defs": {
        "Unit": {"enum": ["c", "f"], "title": "Unit", "type": "string"},
        "Place": {
            "properties": {
                "city": {"title": "City", "type": "string"},
                "unit": {"$ref": "#/$defs/Unit"},
            },
            "required": ["city", "unit"],
            "title": "Place",
            "type": "object",
        },
    },
    "properties": {
        "place": {"$ref": "#/$defs/Place"},
        "unit": {"$ref": "#/$defs/Unit", "default": "c", "description": "To answer in."},
        "days": {
            "anyOf": [{"type": "integer"}, {"type": "null"}],
            "default": None,
            "title": "Days",
        },
        "old": {"allOf": [{"$ref": "#/$defs/Unit"}], "title": "Pydantic 1"},
    },
    "required": ["place"],
    "title": "Query",
    "type": "object",
}
UNIT = {"enum": ["c", "f"], "title": "Unit", "type": "string"}


def test_pydantics_schema() -> None:
    assert parameters_of(function(PYDANTIC)) == {
        "properties": {
            "place": {
                "properties": {"city": {"title": "City", "type": "string"}, "unit": UNIT},
                "required": ["city", "unit"],
                "title": "Place",
                "type": "object",
            },
            "unit": {**UNIT, "default": "c", "description": "To answer in."},
            "days": {"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "Days"},
            "old": {**UNIT, "title": "Pydantic 1"},
        },
        "required": ["place"],
        "title": "Query",
        "type": "object",
    }


def test_parameters_that_are_a_reference() -> None:
    place = {"type": "object", "properties": {"city": CITY}}
    assert (
        parameters_of(function({"$ref": "#/definitions/P", "definitions": {"P": place}})) == place
    )


def test_a_definition_that_is_not_used_may_refer_to_itself() -> None:
    parameters = {"$defs": {"N": {"items": {"$ref": "#/$defs/N"}}}, "properties": {"x": CITY}}
    assert parameters_of(function(parameters)) == {"type": "object", "properties": {"x": CITY}}


def test_a_definition_may_be_used_beside_and_within_another_use() -> None:
    definitions = {"Base": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    child = {"allOf": [{"$ref": "#/$defs/Base"}, {"properties": {"of": {"$ref": "#/$defs/Base"}}}]}
    base = definitions["Base"]
    assert parameters_of(of({"child": child}, **{"$defs": definitions}))["properties"] == {
        "child": {"type": "object", "properties": {"id": {"type": "integer"}, "of": base}}
    }


PARQUET_NULLS = {
    "enum": None,
    "required": None,
    "items": None,
    "description": None,
    "default": None,
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param({"type": "string", **PARQUET_NULLS}, CITY, id="nulls"),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {"type": "int", **PARQUET_NULLS}, "b": None},
                "items": None,
            },
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            id="nulls within",
        ),
        pytest.param(
            {"type": "array", "items": {"type": None, "anyOf": [{"type": "str"}, None]}},
            {"type": "array", "items": {"anyOf": [CITY]}},
            id="nulls in a list of schemas",
        ),
        pytest.param({"enum": ["a", None]}, {"enum": ["a", None]}, id="null as a value"),
        pytest.param({"const": 0, "x-order": 2}, {"const": 0, "x-order": 2}, id="const, unknown"),
        pytest.param(True, {}, id="true"),
        pytest.param(
            {"oneOf": [{"type": "int"}, True]}, {"oneOf": [{"type": "integer"}, {}]}, id="oneOf"
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "int", "required": True}, "b": CITY}},
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": CITY},
                "required": ["a"],
            },
            id="required in the property",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"required": True}}, "required": ["a", "a"]},
            {"type": "object", "properties": {"a": {}}, "required": ["a"]},
            id="required twice",
        ),
        pytest.param(
            {"type": "array", "items": [{"type": "int"}], "additionalItems": False},
            {"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
            id="list of items",
        ),
        pytest.param(
            {"type": "string", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
            id="nullable",
        ),
        pytest.param(
            {"anyOf": [CITY], "nullable": True},
            {"anyOf": [CITY, {"type": "null"}]},
            id="nullable anyOf",
        ),
        pytest.param({"type": "string", "nullable": False}, CITY, id="not nullable"),
        pytest.param(
            {"pattern": r"^\p{L}$", "description": "Text."},
            {"description": r"Text. (pattern: ^\p{L}$)"},
            id="another language's pattern",
        ),
        pytest.param(
            {
                "allOf": [
                    {"type": "object", "properties": {"a": CITY}, "required": ["a"]},
                    {"type": "object", "properties": {"b": CITY}, "required": ["b"]},
                ],
                "required": ["a"],
            },
            {"type": "object", "properties": {"a": CITY, "b": CITY}, "required": ["a", "b"]},
            id="allOf",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": CITY, "b": CITY},
                "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            {
                "type": "object",
                "properties": {"a": CITY, "b": CITY},
                "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            id="one of two required",
        ),
    ],
)
def test_schemas_of_a_property(schema: Any, expected: Any) -> None:
    assert property_of(schema) == expected


def test_what_is_nested_as_deep_as_allowed() -> None:
    assert parameters_of(function(nested(31))) == nested(31)


def test_bfcls_docs() -> None:
    doc = {
        "name": "f",
        "description": "",
        "parameters": {
            "type": "dict",
            "properties": {"x": {"type": "tuple", "items": {"type": "float"}}, "y": CITY},
            "required": ["x"],
        },
    }
    assert normal_tool(doc) == tools_from_docs([doc])[0]
