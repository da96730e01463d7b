"""What an argument written as untyped text is, by the tool's JSON schema.

typed_value("3", {"type": "integer"}) -> 3
typed_value("3", {"type": "string"})  -> "3"
typed_value("x", {"type": "integer"}) -> "x": a text that is not of its type stays text
typed_value("3", None)                -> 3: without a type, what it is as JSON, else text
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rest_verl.syntax.base import Tools
from rest_verl.syntax.json_values import NOT_JSON, read_json
from rest_verl.syntax.python_literals import read_literal

_BOOLEANS = {"true": True, "false": False}
_NULLS = ("null", "none")  # templates print Python's None
# How a type's name begins, beside JSON schema's own names; as verl and vLLM have it.
_SYNONYMS = {
    "str": "string",
    "text": "string",
    "varchar": "string",
    "char": "string",
    "enum": "string",
    "int": "integer",
    "uint": "integer",
    "long": "integer",
    "short": "integer",
    "unsigned": "integer",
    "num": "number",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "binary": "boolean",
    "obj": "object",
    "dict": "object",
    "arr": "array",
    "list": "array",
    "tuple": "array",
    "null": "null",
    "none": "null",
}
_ANY = "any"


def tool_properties(tools: Tools | None, name: str) -> Mapping[str, Any]:
    """The schemas of a tool's arguments by their names; of an unknown tool, none."""
    for tool in tools or ():
        function = _mapping(_mapping(tool).get("function"))
        if function.get("name") == name:
            return _mapping(_mapping(function.get("parameters")).get("properties"))
    return {}


def typed_value(text: str, schema: Any) -> Any:
    """The value that `text` is for an argument of that schema.

    Of several types (a list, `anyOf`, `oneOf`) the first that the text is of counts, string last.
    "null" and "None" are None for every type but string alone, true and false are read in any
    case, lists and objects as JSON or as a Python literal. Infinity and what Python refuses to
    convert are no numbers.

    Args:
        text: as the model wrote it.
        schema: a JSON schema; whatever is none tells no type.
    """
    alternatives = sorted(_alternatives(schema), key=lambda alternative: alternative[0] == "string")
    for type_, members in alternatives:
        value = _read_member(text, members) if members else _read(text, type_)
        if value is not NOT_JSON:
            return value
    return text


def _alternatives(schema: Any) -> Iterator[tuple[str, list[Any]]]:
    """(type, members of an enum without one) of each alternative that a schema leaves."""
    todo = [schema]
    while todo:
        schema = _mapping(todo.pop())
        types = schema.get("type")
        choices = schema.get("anyOf") or schema.get("oneOf")
        members = schema.get("enum")
        if types:
            yield from ((_canonical(type_), []) for type_ in _listed(types))
        elif isinstance(choices, list):
            todo += reversed(choices)
        elif isinstance(members, list) and members:
            yield _ANY, members
        else:
            yield _ANY, []


def _canonical(type_: Any) -> str:
    name = str(type_).strip().lower()
    found = (canonical for begin, canonical in _SYNONYMS.items() if name.startswith(begin))
    return next(found, _ANY)


def _read(text: str, type_: str) -> Any:
    """The value that the text is as that type, or `NOT_JSON`."""
    if type_ == "string":
        return text
    word = text.strip().lower()
    if type_ != _ANY and word in _NULLS:
        return None
    if type_ == "boolean":
        return _BOOLEANS.get(word, NOT_JSON)
    value = read_json(text)
    if type(value) is float and not math.isfinite(value):
        return NOT_JSON
    if type_ == "integer":
        whole = type(value) is int or (type(value) is float and value.is_integer())
        return int(value) if whole else NOT_JSON
    if type_ == "number":
        return value if type(value) in (int, float) else NOT_JSON
    if type_ in ("array", "object"):
        wanted = list if type_ == "array" else dict
        value = value if type(value) is wanted else read_literal(text)
        return value if type(value) is wanted else NOT_JSON
    return value if type_ == _ANY else NOT_JSON


def _read_member(text: str, members: list[Any]) -> Any:
    """The member of an enum that the text spells, or `NOT_JSON`."""
    if text in members:
        return text
    values = [_read(text, type_) for type_ in ("null", "boolean", _ANY)]
    for member in members:
        if any(type(value) is type(member) and value == member for value in values):
            return member
    return NOT_JSON


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
