"""Whatever JSON a tool is: a valid schema that each style can show, or a refusal."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schema_samples import function

from rest_verl.prompts.schemas import normal_tool
from rest_verl.prompts.styles import STYLES
from rest_verl.prompts.tools import describe_tools

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
