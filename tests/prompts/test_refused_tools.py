"""Tools that cannot be shown as they are meant: what is refused, and with which words."""

from typing import Any

import pytest
from schema_samples import CITY, doubled, function, nested, of

from rest_verl.prompts.references import MAX_DEPTH, MAX_OBJECTS
from rest_verl.prompts.schemas import normal_tool

LOOP = {"$defs": {"N": {"properties": {"n": {"$ref": "#/$defs/N"}}}}}


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (None, 'a tool without a name: None; give its function a "name"'),
        ("{", "a tool without a name: '{'; "),
        ({"name": " "}, "a tool without a name: {'name': ' '}; "),
        ({"function": {"name": None}}, "a tool without a name: {'function': {'name': None}}; "),
        ({"function": ["f"], "name": "f"}, "a tool without a name: {'function': ['f'], 'name': "),
        ({"name": "f", "description": 3}, "description must be a text, not 3"),
        (function([{"name": "x"}]), "parameters must be a schema, an object, not [{'name': 'x'}]"),
        (function("city"), "parameters must be a schema, an object, not 'city'"),
        ({"name": "f", "inputSchema": 5}, "inputSchema must be a schema, an object, not 5"),
        (of(["city"]), "parameters.properties must be an object, a schema by name, not ['city']"),
        (of("city"), "parameters.properties must be an object, a schema by name, not 'city'"),
        (
            of({"x": "str"}),
            'parameters.properties.x must be a schema such as {"type": "string"}, not \'str\'',
        ),
        (of({"x": False}), "parameters.properties.x must be a schema such as "),
        (of({"x": {"enum": []}}), "parameters.properties.x.enum must be a list of one value or "),
        (of({"x": {"enum": "ab"}}), "parameters.properties.x.enum must be a list of one value or "),
        (
            of({"x": {"anyOf": []}}),
            "parameters.properties.x.anyOf must be a list of schemas, not []",
        ),
        (
            of({"x": {"anyOf": {"type": "string"}}}),
            "parameters.properties.x.anyOf must be a list of ",
        ),
        (of({"x": {"type": 3}}), "parameters.properties.x.type must be a type's name or a list"),
        (of({"x": {"type": []}}), "parameters.properties.x.type must be a type's name or a list"),
        (of({"x": {"type": ["string", 1]}}), "parameters.properties.x.type must be a type's name"),
        (of({"x": {"items": "str"}}), "parameters.properties.x.items must be a schema such as "),
        (of({"x": {"minimum": "0"}}), "parameters.properties.x.minimum must be a number, not '0'"),
        (of({"x": {"maxLength": 1.5}}), "parameters.properties.x.maxLength must be a whole number"),
        (
            of({"x": {"multipleOf": 0}}),
            "parameters.properties.x.multipleOf must be a number above 0",
        ),
        (
            of({"x": {"minimum": float("nan")}}),
            "parameters.properties.x.minimum must be a number of",
        ),
        (of({"x": {"default": {1}}}), "parameters.properties.x.default must be a value of JSON"),
        (of({"x": {"default": {1: 2}}}), "parameters.properties.x.default must have texts as keys"),
        (of({"x": {"description": ["a"]}}), "parameters.properties.x.description must be a text"),
        (of({"x": {"pattern": 1}}), "parameters.properties.x.pattern must be a text, not 1"),
        (of({"x": {"examples": "a"}}), "parameters.properties.x.examples must be a list, not 'a'"),
        (
            of({"x": {"patternProperties": {"(": {}}}}),
            "parameters.properties.x.patternProperties must have regular expressions",
        ),
        (
            of({"x": {"dependencies": {"a": ["b"]}}}),
            "parameters.properties.x.dependencies must be written as dependentRequired or ",
        ),
        (
            of({"x": CITY}, required=["town"]),
            "parameters.required names 'town': add it to properties or drop it",
        ),
        (of({"x": None}, required=["x"]), "parameters.required names 'x': add it to properties"),
        (
            of({"x": {"type": "object", "properties": {}, "required": ["y"]}}),
            "parameters.properties.x.required names 'y'",
        ),
        (
            of({"x": CITY}, anyOf=[{"required": ["y"]}]),
            "parameters.anyOf.0.required names 'y'",
        ),
        (of({"x": CITY}, required="x"), "parameters.required must be a list of names, not 'x'"),
        (of({"x": CITY}, required=True), "parameters.required must be a list of names, not True"),
        (
            of({"x": {"$ref": "#/$defs/City"}}),
            "parameters.properties.x.$ref must name a schema in $defs of the same parameters, not "
            "'#/$defs/City'",
        ),
        (of({"x": {"$ref": "City"}}), "parameters.properties.x.$ref must name a schema in $defs"),
        (of({"x": {"$ref": "#City"}}), "parameters.properties.x.$ref must name a schema in $defs"),
        (of({"x": {"$ref": 5}}), "parameters.properties.x.$ref must be a text, not 5"),
        (
            of({"x": {"$ref": "#/$defs/N"}}, **LOOP),
            "parameters.properties.x.properties.n.$ref must not lead back to itself",
        ),
        (of({"x": {"$ref": "#"}}), "parameters.properties.x.properties.x.$ref must not lead back"),
        (
            of({"x": {"$ref": "#/$defs/C", "type": "integer"}}, **{"$defs": {"C": CITY}}),
            "parameters.properties.x.type must be given once: $ref or allOf adds 'integer' to ",
        ),
        (
            of({"x": {"allOf": [{"properties": {"a": CITY}}, {"properties": {"a": {}}}]}}),
            "parameters.properties.x.properties.a must be given once: $ref or allOf adds {} to ",
        ),
        (of({"x": {"allOf": ["a"]}}), "parameters.properties.x.allOf must be a list of schemas"),
        (of(nested(40)["properties"]), f"must be flattened: it lies more than {MAX_DEPTH} levels"),
        (function(doubled(15)), f"parameters must be simpler: {MAX_OBJECTS} objects, each $ref "),
        (function({"type": "string"}), 'parameters.type must be "object", as arguments have names'),
        (
            function({"type": "object", "city": {"type": "string"}}),
            'parameters.city must stand in "properties" if it is a parameter',
        ),
        (function({"city": "string"}), 'parameters.city must stand in "properties" if it is a '),
        (
            function({"anyOf": [{"properties": {"a": CITY}}]}),
            'parameters.anyOf must stand beside "properties" that name all arguments',
        ),
        (
            function({"type": "object", "additionalProperties": CITY}),
            'parameters.additionalProperties must stand beside "properties": a model is shown ',
        ),
        (
            of({"x": CITY}, anyOf=[{"properties": {"a": CITY}}]),
            "parameters.properties must stand either there or in each case of anyOf or oneOf",
        ),
    ],
)
def test_refused(tool: Any, message: str) -> None:
    with pytest.raises(ValueError, match="tool") as error:
        normal_tool(tool)
    begin = "" if message.startswith("a tool") else "tool 'f': "
    assert str(error.value).startswith(begin)
    assert message in str(error.value)
    assert len(str(error.value)) < 400


def test_json_text_too_deep_to_read() -> None:
    with pytest.raises(ValueError, match=r"^tool 'f': parameters must be a schema, an obj"):
        normal_tool(function('{"a":' * 100_000))
