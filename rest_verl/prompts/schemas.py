"""A tool, as people record it, in OpenAI's layout with a clean JSON Schema (Draft 2020-12).

What could not be shown to a model as it is meant is refused, with its place and the mend.
"""

import json
from typing import Any

from rest_verl.prompts.keywords import KEYWORDS, Schema, clean_schema
from rest_verl.prompts.references import Inlining, refuse, shown
from rest_verl.prompts.type_names import says_optional

_PARAMETERS = ("parameters", "input_schema", "inputSchema")


def normal_tool(tool: Any) -> dict[str, Any]:
    """The tool as `{"type": "function", "function": {"name", "description", "parameters"}}`.

    All three are there, the description as "" if there is none. `parameters` is a schema of type
    "object" with `properties`, of Draft 2020-12, without `$ref`, `allOf` and keys that are null.
    Further keys of the tool, such as `strict`, are left out; those of its schemas stay.

    Args:
        tool: in that layout, or the function alone, or either as JSON text. `parameters` may be
            missing, called `input_schema` or `inputSchema`, JSON text, and may list parameters by
            name without `properties`: required is then each that has neither a default nor
            "optional" in its type. Types may have Python's names (`List[int]`, `str, optional`);
            of a type that JSON Schema has no name for, the words go into the description.

    Raises:
        ValueError: begins with "tool 'its name': " or "a tool without a name: ".
    """
    given = _decoded(tool)
    wrapped = isinstance(given, dict) and given.get("function") is not None
    function = _decoded(given["function"]) if wrapped else given
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f'a tool without a name: {shown(tool)}; give its function a "name"')
    description = function.get("description")
    try:
        if not isinstance(description, str | None):
            refuse("description", "must be a text", description)
        parameters = _parameters(function)
    except ValueError as error:
        raise ValueError(f"tool {shown(name)}: {error}") from None
    described = {"name": name, "description": description or "", "parameters": parameters}
    return {"type": "function", "function": described}


def _decoded(value: Any) -> Any:
    """What a text holds as JSON; all else, and a text that is no JSON, as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _parameters(function: dict[str, Any]) -> Schema:
    where = next((key for key in _PARAMETERS if function.get(key) is not None), "parameters")
    root = _decoded(function.get(where) or {})
    if not isinstance(root, dict):
        refuse(where, "must be a schema, an object", root)
    root = {key: value for key, value in root.items() if value is not None}
    if _is_by_name(root):
        root = _with_properties(root)
    schema = clean_schema(Inlining(root, where).inlined(), where)
    _refuse_unlisted(schema, where)
    types = schema.get("type", "object")
    if "object" not in (types if isinstance(types, list) else [types]):
        refuse(f"{where}.type", 'must be "object", as arguments have names', types)
    typed = schema if "type" in schema else {"type": "object", **schema}
    whole = {**typed, "type": "object", "properties": schema.get("properties", {})}
    return Inlining(whole, where).inlined()  # types in words may have made it too deep


def _refuse_unlisted(schema: Schema, where: str) -> None:
    """Raises ValueError for arguments that stand elsewhere than in `properties`."""
    if "properties" in schema:
        return
    for key, value in schema.items():
        if key in ("anyOf", "oneOf"):
            refuse(f"{where}.{key}", 'must stand beside "properties" that name all arguments')
        if (
            key in ("additionalProperties", "patternProperties")
            and isinstance(value, dict)
            and value
        ):
            refuse(f"{where}.{key}", 'must stand beside "properties": a model is shown those alone')
        if key not in KEYWORDS and (isinstance(value, dict) or "type" not in schema):
            refuse(f"{where}.{key}", 'must stand in "properties" if it is a parameter')


def _is_by_name(root: dict[str, Any]) -> bool:
    """Whether parameters stand where a schema has its keywords."""
    is_schema = (
        "properties" in root
        or isinstance(root.get("type"), str | list)
        or isinstance(root.get("$ref"), str)
        or any(isinstance(root.get(key), list) for key in ("anyOf", "oneOf", "allOf"))
    )
    return not is_schema and any(
        isinstance(spec, dict) for name, spec in root.items() if not name.startswith("$")
    )


def _with_properties(by_name: dict[str, Any]) -> Schema:
    """The schema of parameters given by name, as xLAM's are."""
    own = {
        key: value
        for key, value in by_name.items()
        if key.startswith("$") or (key == "required" and isinstance(value, list))
    }
    properties = {name: spec for name, spec in by_name.items() if name not in own}
    required = [name for name, spec in properties.items() if _is_required(spec)]
    listed = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **listed, **own}


def _is_required(spec: Any) -> bool:
    if not isinstance(spec, dict):
        return False  # refused when it is read
    if isinstance(spec.get("required"), bool):
        return spec["required"]
    types = spec.get("type")
    names = types if isinstance(types, list) else [types]
    is_optional = any(isinstance(name, str) and says_optional(name) for name in names)
    return not (is_optional or spec.get("optional") is True or spec.get("default") is not None)
