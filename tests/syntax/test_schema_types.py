"""Untyped text gets the type that a tool's schema says."""

from typing import Any

import pytest

from rest_verl.syntax.schema import tool_properties, typed_value

DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        # strings stay as they stand
        ("string", " 5 ", " 5 "),
        ("string", "null", "null"),
        ("string", "", ""),
        ("str", "true", "true"),
        ("varchar", "1", "1"),
        # numbers
        ("integer", "5", 5),
        ("integer", " -5\n", -5),
        ("integer", "5.0", 5),  # an integer to JSON schema
        ("integer", "5.5", "5.5"),
        ("integer", "true", "true"),
        ("integer", "05", "05"),
        ("integer", "five", "five"),
        ("integer", "", ""),
        ("integer", DIGITS, DIGITS),  # Python refuses to convert so many
        ("int32", "5", 5),
        ("unsigned", "5", 5),
        ("number", "5", 5),
        ("number", "0.5", 0.5),
        ("number", "nan", "nan"),
        ("number", "NaN", "NaN"),
        ("number", "-Infinity", "-Infinity"),
        ("number", "1e999", "1e999"),
        ("number", "[1]", "[1]"),
        ("float", "1e2", 100.0),
        # booleans and null
        ("boolean", "true", True),
        ("boolean", "False", False),
        ("boolean", "1", "1"),
        ("bool", "TRUE", True),
        ("integer", "null", None),
        ("boolean", "None", None),
        ("object", "NULL", None),
        ("null", "null", None),
        ("null", "x", "x"),
        # lists and objects
        ("array", "[1, null]", [1, None]),
        ("array", "[1, 'a', None]", [1, "a", None]),
        ("array", "(1, 2)", [1, 2]),
        ("array", '{"k": 1}', '{"k": 1}'),
        ("array", "[1, ", "[1, "),
        ("array", "__import__('os')", "__import__('os')"),
        ("list", "[]", []),
        ("tuple", "[]", []),
        ("object", '{"k": [true]}', {"k": [True]}),
        ("object", "{'k': True}", {"k": True}),
        ("object", "[1]", "[1]"),
        ("dict", "{}", {}),
        ("array", "[" * 100_000, "[" * 100_000),
        # several types: the first that the text is of, string last
        (["string", "integer"], "5", 5),
        (["string", "integer"], "five", "five"),
        (["string", "null"], "null", None),
        (["integer", "boolean"], "true", True),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "[1]", [1]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "nil", "nil"),
        ({"oneOf": [{"type": "integer"}, {"anyOf": [{"type": "object"}]}]}, "{}", {}),
        ({"anyOf": [{"enum": ["7"]}, {"type": "integer"}]}, "7", "7"),
        # an enum without a type: the member that is spelt
        ({"enum": ["1", "2"]}, "1", "1"),
        ({"enum": [1, 2]}, "1", 1),
        ({"enum": [1, True]}, "True", True),
        ({"enum": [1, None]}, "null", None),
        ({"enum": [1]}, "3", "3"),
        ({"type": "string", "enum": [1]}, "1", "1"),
        # no type that is known: what it is as JSON
        (None, "5", 5),
        (None, "null", None),
        (None, '"5"', "5"),
        (None, "None", "None"),
        (None, "{'k': 1}", "{'k': 1}"),
        (None, "1e999", "1e999"),
        (None, "Oslo", "Oslo"),
        ("date", "5", 5),
        ({}, "[]", []),
        ({"enum": "x"}, "5", 5),
        ({"anyOf": None}, "5", 5),
        ({"anyOf": ["x", None]}, "5", 5),
        (7, "5", 5),
    ],
)
def test_typed_value(schema: Any, text: str, value: Any) -> None:
    if isinstance(schema, str | list):
        schema = {"type": schema}
    typed = typed_value(text, schema)
    assert (type(typed), typed) == (type(value), value)


@pytest.mark.parametrize(
    "tool",
    [
        {},
        {"type": "function"},
        {"function": None},
        {"function": {"name": "f"}},
        {"function": {"name": "f", "parameters": None}},
        {"function": {"name": "f", "parameters": {"properties": None}}},
        {"function": {"name": "f", "parameters": {"properties": ["a"]}}},
        {"function": {"name": "g", "parameters": {"properties": {"a": {}}}}},
        None,
    ],
)
def test_tool_without_properties_has_none(tool: Any) -> None:
    assert tool_properties([tool], "f") == {}


def test_properties_are_those_of_the_tool() -> None:
    tools = [
        {"function": {"name": name, "parameters": {"properties": {name: {"type": "string"}}}}}
        for name in ("f", "g")
    ]
    assert tool_properties(tools, "g") == {"g": {"type": "string"}}
    assert tool_properties(None, "g") == {}
