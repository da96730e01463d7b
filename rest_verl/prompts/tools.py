"""Tools as a chat template takes them, from BFCL's notation, and as text in each prompt style.

A tool is a dict in OpenAI's layout, `{"type": "function", "function": {"name", "description",
"parameters": JSON schema}}`; description and parameters may be missing.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from rest_verl.prompts.styles import PromptStyle, check_style
from rest_verl.prompts.type_names import json_type

_SHORT_TYPE = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "null": "null",
}


class BfclTool(dict[str, Any]):
    """A tool made of BFCL's docs. Its signature in `compact` shows no enum and no nested object, as
    in the prompts that the recipes for tiny models were measured with."""


def tools_from_docs(docs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """BFCL's function docs in OpenAI's layout, with JSON-schema types.

    A type without a counterpart ("any" and unknown ones) becomes "string", as in BFCL's own tools.
    """
    return tools_as_given({**doc, "parameters": _schema(doc["parameters"])} for doc in docs)


def tools_as_given(docs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """BFCL's function docs in OpenAI's layout, their types left in BFCL's notation."""
    return [BfclTool(type="function", function=doc) for doc in docs]


def describe_tools(tools: list[dict[str, Any]], style: PromptStyle) -> str:
    """The tools as text, without a newline at the end.

    `toolrl`: a numbered listing with docs, schemas as given. `compact`: a signature a line, with
    types as Python writes them, null as in JSON, and each value of an enum. `chat_template`: a tool
    a line in JSON, as the templates of Qwen and Hermes show them.
    """
    if check_style(style) == "chat_template":
        return "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    if style == "compact":
        return "\n".join(map(_signature, tools))
    return "\n".join(_listing(i, tool["function"]) for i, tool in enumerate(tools, start=1))


def _parameters(function: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The properties by name, and the names of those that are required."""
    parameters = function.get("parameters") or {}
    return parameters.get("properties") or {}, parameters.get("required") or []


def _listing(number: int, function: dict[str, Any]) -> str:
    properties, required = _parameters(function)
    lines = [f"{number}. Name: {function['name']}"]
    lines.append(f"Description: {function.get('description', '')}")
    # ToolRL lists the properties alone, so what is required has to be said in each of them. In an
    # object that lists its own required properties, the key for it is taken.
    own = [name for name in required if isinstance(properties.get(name, {}).get("required"), list)]
    shown = {
        name: {**spec, "required": True} if name in required and not own else spec
        for name, spec in properties.items()
    }
    lines.append(f"Parameters: {json.dumps(shown, ensure_ascii=False)}")
    if own:
        lines.append(f"Required parameters: {json.dumps(required, ensure_ascii=False)}")
    return "\n".join(lines)


def _signature(tool: dict[str, Any]) -> str:
    shown_type = _plain_type if isinstance(tool, BfclTool) else _shown_type
    function = tool["function"]
    return f"{function['name']}({_arguments(*_parameters(function), shown_type)})"


def _arguments(
    properties: dict[str, Any], required: list[str], shown_type: Callable[[Any], str]
) -> str:
    return ", ".join(
        f"{name}{'' if name in required else '?'}: {shown_type(spec)}"
        for name, spec in properties.items()
    )


def _plain_type(spec: dict[str, Any]) -> str:
    short = _SHORT_TYPE[_json_type(spec)]
    items = spec.get("items")
    if short == "list" and isinstance(items, dict):
        return f"list[{_plain_type(items)}]"
    return short


def _shown_type(schema: Any) -> str:
    """The values that a schema allows: `int`, `"a"|"b"`, `list[str]|null`, `{x: float, y?: float}`.

    Bounds, patterns and formats are not shown.
    """
    alternatives = list(dict.fromkeys(_alternatives(schema)))
    return "any" if "any" in alternatives else "|".join(alternatives)


def _alternatives(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return ["any"]
    if "const" in schema:
        return [json.dumps(schema["const"], ensure_ascii=False)]
    if members := schema.get("enum"):
        return [json.dumps(member, ensure_ascii=False) for member in members]
    cases = schema.get("anyOf") or schema.get("oneOf")
    if cases and not schema.get("properties"):
        common = {"type": schema["type"]} if "type" in schema else {}
        whole = [{**common, **case} if isinstance(case, dict) else case for case in cases]
        return [shown for case in whole for shown in _alternatives(case)]
    types = schema.get("type") or _type_told_by_keywords(schema)
    names = types if isinstance(types, list) else [types]
    null = ["null"] if schema.get("nullable") is True else []
    return [*(_one_type(str(name), schema) for name in names), *null]


def _type_told_by_keywords(schema: dict[str, Any]) -> str:
    if schema.get("properties"):
        return "object"
    return "array" if schema.get("items") or schema.get("prefixItems") else "any"


def _one_type(name: str, schema: dict[str, Any]) -> str:
    """What a schema allows of one type."""
    properties, required = _parameters({"parameters": schema})
    values, items = schema.get("additionalProperties"), schema.get("items")
    match json_type(name):
        case "object" if properties:
            return f"{{{_arguments(properties, required, _shown_type)}}}"
        case "object" if values and values is not True:
            return f"dict[str, {_shown_type(values)}]"
        case "array" if places := schema.get("prefixItems"):
            return f"[{', '.join(map(_shown_type, places))}]"
        case "array" if items and items is not True:
            return f"list[{_shown_type(items)}]"
        case None:
            return "any"
        case known:
            return _SHORT_TYPE[known]


def _json_type(spec: dict[str, Any]) -> str:
    return json_type(str(spec.get("type", ""))) or "string"


def _schema(spec: dict[str, Any]) -> dict[str, Any]:
    schema = {**spec, "type": _json_type(spec)}
    if isinstance(spec.get("properties"), dict):
        schema["properties"] = {name: _schema(inner) for name, inner in spec["properties"].items()}
    if isinstance(spec.get("items"), dict):
        schema["items"] = _schema(spec["items"])
    return schema
