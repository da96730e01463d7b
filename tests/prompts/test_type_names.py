"""Names of types in Python's and BFCL's notation, as JSON Schema says them."""

from typing import Any

import pytest
from schema_samples import property_of


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
