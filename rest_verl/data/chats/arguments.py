"""A call's arguments, checked against the schema of its tool."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jsonschema
from jsonschema.exceptions import best_match

from rest_verl.data.chats.chat import RecordedCall
from rest_verl.data.refusals import Refused, is_deeper_than, shortened
from rest_verl.files.json_lines import load_json
from rest_verl.syntax import ToolCall

_Validator = jsonschema.Draft202012Validator
_MAX_NESTING = 40
"""Levels of arguments: in a ground truth, which takes no more than 100, they are twice as many."""


class ToolBox:
    """The tools of a conversation, and what they allow."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        # What a tool does not name it does not have, unless its schema says otherwise.
        self._schemas: dict[str, dict[str, Any]] = {
            tool["function"]["name"]: {
                "additionalProperties": False,
                **(tool["function"].get("parameters") or {}),
            }
            for tool in tools
        }

    @property
    def names(self) -> Iterable[str]:
        """Of the tools."""
        return self._schemas.keys()

    def check(self, call: RecordedCall, *, from_columns: bool) -> tuple[ToolCall, int]:
        """The call, and how many nulls were left out of its arguments.

        Tables (Arrow, pandas) give each object the keys of all others, null where it has none. So a
        null where the schema knows no key or allows no null is left out, unless it is required;
        whole floats where the schema wants integers become integers.

        Args:
            from_columns: the record comes from a table's columns.

        Raises:
            Refused: no such tool, arguments that its schema does not allow, or a null from a column
                where the schema allows one: nobody can know whether it was recorded.
        """
        if call.name not in self._schemas:
            known = ", ".join(self._schemas) or "none"
            raise Refused(
                "unknown tool",
                f"calls {shortened(call.name)}, not offered at that point (tools: {known}); add it "
                "to the tools or drop the conversation",
            )
        schema = self._schemas[call.name]
        given = _arguments_of(call)
        try:
            cleaned = _without_nulls(given, schema)
            _refuse_unfit(call.name, schema, cleaned.value)
        except (re.error, RecursionError, OverflowError) as fault:
            fault_text = f"the schema of {call.name} is of no use: {fault}"
            raise Refused("bad tools", fault_text) from None
        in_columns = from_columns and not (call.from_text or isinstance(call.arguments, str))
        if in_columns and cleaned.allowed_null is not None:
            raise Refused(
                "null that may be a table's",
                f"{call.name}: {shortened(cleaned.allowed_null)} is null, and it cannot be told "
                "whether the call said so or the table filled it in; write arguments as JSON text",
            )
        return ToolCall(call.name, cleaned.value), cleaned.num_nulls


def _arguments_of(call: RecordedCall) -> dict[str, Any]:
    given = call.arguments
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}
    if isinstance(given, str):
        try:
            given = load_json(given)
        except (ValueError, RecursionError) as error:
            raise Refused(
                "bad call",
                f"the arguments of {call.name} are not JSON: {error}: {shortened(call.arguments)}",
            ) from None
    if not isinstance(given, dict):
        raise Refused(
            "bad call", f"the arguments of {call.name} are no object: {shortened(call.arguments)}"
        )
    if is_deeper_than(_MAX_NESTING, given):
        raise Refused(
            "bad call",
            f"the arguments of {call.name} are nested more than {_MAX_NESTING} levels deep",
        )
    return given


def _refuse_unfit(name: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    known = schema.get("properties", {})
    for key, value in arguments.items():
        if key not in known and not _is_open(schema, key):
            raise Refused(
                "unknown argument",
                f"{name} has no argument {shortened(key)}, here {shortened(value)}; it has "
                f"{', '.join(known) or 'none'}",
            )
    error = best_match(_Validator(schema).iter_errors(arguments))
    if error is None:
        return
    if error.validator == "required" and not error.absolute_path:
        missing = next(key for key in error.validator_value if key not in error.instance)
        raise Refused("missing argument", f"{name} lacks the argument {shortened(missing)}")
    place = ".".join(map(str, error.absolute_path)) or "arguments"
    raise Refused(
        "value not allowed",
        f"{name}: {shortened(place)} is {shortened(error.instance)}, but its schema has "
        f"{shortened(error.validator)}: {shortened(error.validator_value)}",
    )


def _is_open(schema: Mapping[str, Any], key: str) -> bool:
    """Whether an object of this schema may have a key that is none of its properties."""
    if any(re.search(pattern, key) for pattern in schema.get("patternProperties", {})):
        return True
    return schema.get("additionalProperties", not schema.get("properties")) is not False


class _Cleaned(NamedTuple):
    """A value without the nulls that a table put there."""

    value: Any
    num_nulls: int = 0
    """How many were left out."""
    allowed_null: str | None = None
    """The first key that is null and may be, so that it was kept."""


def _without_nulls(value: Any, schema: Any) -> _Cleaned:
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, float) and value.is_integer() and _wants_integers(schema):
        return _Cleaned(int(value))
    if isinstance(value, list):
        before = schema.get("prefixItems", [])
        schemas = [*before, *[schema.get("items")] * (len(value) - len(before))]
        items = [_without_nulls(*pair) for pair in zip(value, schemas, strict=False)]
        return _joined([item.value for item in items], items)
    if not isinstance(value, dict):
        return _Cleaned(value)
    if "properties" not in schema:
        for choice in schema.get("anyOf") or schema.get("oneOf") or []:
            chosen = _without_nulls(value, choice)
            if _Validator(choice).is_valid(chosen.value):
                return chosen
    known, required = schema.get("properties", {}), schema.get("required", [])
    kept: dict[str, _Cleaned] = {}
    num_nulls = 0
    for key, item in value.items():
        if item is not None or key in required:
            kept[key] = _without_nulls(item, known.get(key))
        elif _Validator(known[key]).is_valid(None) if key in known else _is_open(schema, key):
            kept[key] = _Cleaned(None, allowed_null=key)
        else:
            num_nulls += 1
    whole = _joined({key: item.value for key, item in kept.items()}, kept.values())
    return whole._replace(num_nulls=whole.num_nulls + num_nulls)


def _joined(value: Any, parts: Iterable[_Cleaned]) -> _Cleaned:
    parts = list(parts)
    nulls = (part.allowed_null for part in parts if part.allowed_null is not None)
    return _Cleaned(value, sum(part.num_nulls for part in parts), next(nulls, None))


def _wants_integers(schema: Mapping[str, Any]) -> bool:
    types = schema.get("type")
    types = types if isinstance(types, list) else [types]
    return "integer" in types and "number" not in types
