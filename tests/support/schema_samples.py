"""Short ways to write tools of odd schemas, and what `normal_tool` makes of their parts."""

from typing import Any

from rest_verl.prompts.schemas import normal_tool

CITY = {"type": "string"}


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
