"""Tools as a chat template takes them, from BFCL's notation, and as text in each prompt style.

A tool is a dict in OpenAI's layout, `{"type": "function", "function": {"name", "description",
"parameters": JSON schema}}`; description and parameters may be missing.
"""

import json
from collections.abc import Iterable
from typing import Any

from rest_verl.prompts.styles import PromptStyle, check_style

_JSON_TYPES = {
    "string": ("string", "str", "char", "any"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "number": ("number", "float", "double"),
    "boolean": ("boolean", "bool"),
    "array": ("array", "list", "tuple", "arraylist", "queue", "stack", "set"),
    "object": ("object", "dict", "hashmap", "hashtable"),
}
_JSON_TYPE = {name: json_type for json_type, names in _JSON_TYPES.items() for name in names}
_SHORT_TYPE = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}


def tools_from_docs(docs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """BFCL's function docs in OpenAI's layout, with JSON-schema types.

    A type without a counterpart ("any" and unknown ones) becomes "string", as in BFCL's own tools.
    """
    return tools_as_given({**doc, "parameters": _schema(doc["parameters"])} for doc in docs)


def tools_as_given(docs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """BFCL's function docs in OpenAI's layout, their types left in BFCL's notation."""
    return [{"type": "function", "function": doc} for doc in docs]


def describe_tools(tools: list[dict[str, Any]], style: PromptStyle) -> str:
    """The tools as text, without a newline at the end; types are shown in the notation given.

    `toolrl`: a numbered listing with docs. `compact`: a signature a line. `chat_template`: a tool a
    line in JSON, as the templates of Qwen and Hermes show them.
    """
    if check_style(style) == "chat_template":
        return "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    functions = [tool["function"] for tool in tools]
    if style == "compact":
        return "\n".join(map(_signature, functions))
    return "\n".join(_listing(number, doc) for number, doc in enumerate(functions, start=1))


def _parameters(function: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The properties by name, and the names of those that are required."""
    parameters = function.get("parameters") or {}
    return parameters.get("properties") or {}, parameters.get("required") or []


def _listing(number: int, function: dict[str, Any]) -> str:
    properties, required = _parameters(function)
    # ToolRL lists the properties alone, so what is required has to be said in each of them.
    shown = {
        name: {**spec, "required": True} if name in required else spec
        for name, spec in properties.items()
    }
    return (
        f"{number}. Name: {function['name']}\n"
        f"Description: {function.get('description', '')}\n"
        f"Parameters: {json.dumps(shown, ensure_ascii=False)}"
    )


def _signature(function: dict[str, Any]) -> str:
    properties, required = _parameters(function)
    shown = [
        f"{name}{'' if name in required else '?'}: {_short_type(spec)}"
        for name, spec in properties.items()
    ]
    return f"{function['name']}({', '.join(shown)})"


def _short_type(spec: dict[str, Any]) -> str:
    short = _SHORT_TYPE[_json_type(spec)]
    items = spec.get("items")
    if short == "list" and isinstance(items, dict):
        return f"list[{_short_type(items)}]"
    return short


def _json_type(spec: dict[str, Any]) -> str:
    return _JSON_TYPE.get(str(spec.get("type")).lower(), "string")


def _schema(spec: dict[str, Any]) -> dict[str, Any]:
    schema = {**spec, "type": _json_type(spec)}
    if isinstance(spec.get("properties"), dict):
        schema["properties"] = {name: _schema(inner) for name, inner in spec["properties"].items()}
    if isinstance(spec.get("items"), dict):
        schema["items"] = _schema(spec["items"])
    return schema
