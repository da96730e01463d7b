"""Tools as people record them: what they become, and the messages for those that are refused."""

import json
from typing import Any

import pytest
from dialogue_samples import WEATHER
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rest_verl.prompts.references import MAX_DEPTH, MAX_OBJECTS
from rest_verl.prompts.schemas import normal_tool
from rest_verl.prompts.styles import STYLES
from rest_verl.prompts.tools import describe_tools, tools_from_docs

CITY = {"type": "string"}
NO_PARAMETERS = {"type": "object", "properties": {}}


def function(parameters: Any) -> dict[str, Any]:
    return {"name": "f", "parameters": parameters}


def of(properties: Any, **keywords: Any) -> dict[str, Any]:
    """A function of these properties."""
    return function({"type": "object", "properties": properties, **keywords})


def parameters_of(tool: Any) -> Any:
    return normal_tool(tool)["function"]["parameters"]


def property_of(schema: Any) -> Any:
    """What becomes of the schema of a property."""
    return parameters_of(of({"x": schema}))["properties"]["x"]


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


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("str", {"type": "string"}),
        ("STRING", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("dict", {"type": "object"}),
        ("list", {"type": "array"}),
        ("tuple", {"type": "array"}),
        ("set", {"type": "array"}),
        ("None", {"type": "null"}),
        ("any", {}),
        ("", {}),
        ("str, optional", {"type": "string"}),
        ("string (required)", {"type": "string"}),
        ("List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("typing.List[Any]", {"type": "array"}),
        ("Dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("Dict[str, Any]", {"type": "object"}),
        ("Tuple[float, ...]", {"type": "array", "items": {"type": "number"}}),
        (
            "Tuple[int, str]",
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
        ),
        ("Union[str, int]", {"type": ["string", "integer"]}),
        ("Union[str, Any]", {}),
        ("int | None", {"type": ["integer", "null"]}),
        ("int or float", {"type": ["integer", "number"]}),
        ("Optional[str]", {"type": ["string", "null"]}),
        (
            "Optional[List[int]]",
            {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        ),
        ("List[Union[int, float]]", {"type": "array", "items": {"type": ["integer", "number"]}}),
        ("Literal['a', 'b']", {"enum": ["a", "b"]}),
        (["string", "null"], {"type": ["string", "null"]}),
        (["str", "None", "str"], {"type": ["string", "null"]}),
        ("Callable[[float], float]", {"description": "type: Callable[[float], float]"}),
        ("object of X", {"description": "type: object of X"}),
        ("List[Point]", {"type": "array", "description": "type: List[Point]"}),
        ("Union[str, Point]", {"description": "type: Union[str, Point]"}),
        ("List[int", {"description": "type: List[int"}),
        ("Literal[b'x']", {"description": "type: Literal[b'x']"}),
        ("List[" * 60 + "int" + "]" * 60, {"description": f"type: {'List[' * 60}int{']' * 60}"}),
    ],
)
def test_names_of_types(name: Any, schema: Any) -> None:
    assert property_of({"type": name}) == schema
    assert property_of({"items": {"type": name}}) == {"items": schema}


def test_an_unknown_type_stands_behind_the_description() -> None:
    schema = {"type": "Point", "description": "Where to go."}
    assert property_of(schema) == {"description": "Where to go. (type: Point)"}


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


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


def doubled(times: int) -> dict[str, Any]:
    """Definitions, each of which names the next twice."""
    definitions: dict[str, Any] = {f"D{times}": CITY}
    for i in range(times):
        twice = {"$ref": f"#/$defs/D{i + 1}"}
        definitions[f"D{i}"] = {"properties": {"a": twice, "b": twice}}
    return {"$defs": definitions, "properties": {"x": {"$ref": "#/$defs/D0"}}}


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


# What hypothesis makes of these has many keys that mean something, and few that are right.
NAMES = st.sampled_from(["city", "type", "required", "properties", "$ref", "items"])
TYPES = st.sampled_from(
    ["string", "int", "List[int]", "Optional[str]", "Callable[[int], int]", "a b"]
)
REFS = st.sampled_from(["#/$defs/A", "#/$defs/B", "#/properties/city", "#", "#/definitions/A", ""])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner),
    max_leaves=10,
)


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    by_name = st.dictionaries(NAMES, inner, max_size=3)
    several = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, max_size=3) | ANY_JSON,
            "properties": by_name,
            "required": st.lists(NAMES, max_size=2) | st.booleans(),
            "items": inner | several,
            "anyOf": several,
            "allOf": several,
            "enum": st.lists(ANY_JSON, max_size=3),
            "$ref": REFS,
            "$defs": st.fixed_dictionaries({}, optional={"A": inner, "B": inner}),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.text(max_size=2), inner, max_size=1),
            "pattern": st.text(max_size=3),
            "nullable": st.booleans(),
            "default": ANY_JSON,
            "maxItems": ANY_JSON,
            "not": inner,
        },
    )


SCHEMAS = st.recursive(st.none() | st.booleans() | schemas(st.just({})), schemas, max_leaves=6)
PARAMETERS = (
    SCHEMAS
    | st.dictionaries(NAMES, SCHEMAS, max_size=3)
    | st.builds(
        lambda properties, rest: {**rest, "type": "object", "properties": properties},
        st.dictionaries(NAMES, SCHEMAS, max_size=3),
        st.fixed_dictionaries({}, optional={"$defs": st.dictionaries(NAMES, SCHEMAS, max_size=2)}),
    )
)
TOOLS = ANY_JSON | st.builds(function, PARAMETERS | ANY_JSON | PARAMETERS.map(json.dumps))


@given(TOOLS)
def test_any_json_is_a_normal_tool_or_refused(tool: Any) -> None:
    normal, fault = None, ""
    try:
        normal = normal_tool(tool)
    except ValueError as error:
        fault = str(error)
    if normal is None:
        assert fault.startswith(("tool '", "a tool without a name: "))
        return
    parameters = normal["function"]["parameters"]
    assert parameters["type"] == "object"
    Draft202012Validator.check_schema(parameters)
    assert json.dumps(normal_tool(normal)) == json.dumps(normal)
    for style in STYLES:
        assert "f" in describe_tools([normal], style)
