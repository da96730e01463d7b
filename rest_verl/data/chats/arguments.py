"""A call's arguments, checked against the schema of its tool."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match

from rest_verl.data.chats.chat import RecordedCall
from rest_verl.data.refusals import Refused, shortened
from rest_verl.files.json_lines import load_json
from rest_verl.syntax import ToolCall

_Validator = jsonschema.Draft202012Validator


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

    def check(self, call: RecordedCall, *, from_columns: bool) -> tuple[ToolCall, int]:
        """The call, and how many nulls were left out of its arguments.

        Tables (Arrow, pandas) give each object the keys of all others, null where it has none. So a
        null where the schema knows no key or allows no null is left out, unless it is required;
        whole floats where the schema wants integers become integers.

        Args:
            from_columns: the arguments come from a table's columns, unless they are JSON in a text.

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
        columns = from_columns and not isinstance(call.arguments, str)
        try:
            arguments, num_nulls = _without_nulls(given, schema, columns=columns)
            _refuse_unfit(call.name, schema, arguments)
        except (re.error, RecursionError, OverflowError) as fault:
            fault_text = f"the schema of {call.name} is of no use: {fault}"
            raise Refused("bad tools", fault_text) from None
        return ToolCall(call.name, arguments), num_nulls


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
    return bool(schema.get("additionalProperties", not schema.get("properties")))


def _without_nulls(value: Any, schema: Any, *, columns: bool) -> tuple[Any, int]:
    """`value` without the nulls that a table put there, and how many these were."""
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, float) and value.is_integer() and _wants_integers(schema):
        return int(value), 0
    if isinstance(value, list):
        pairs = [_without_nulls(item, schema.get("items"), columns=columns) for item in value]
        return [item for item, _ in pairs], sum(number for _, number in pairs)
    if not isinstance(value, dict):
        return value, 0
    for choice in schema.get("anyOf") or schema.get("oneOf") or []:
        chosen, num_nulls = _without_nulls(value, choice, columns=columns)
        if _Validator(choice).is_valid(chosen):
            return chosen, num_nulls
    known, required = schema.get("properties", {}), schema.get("required", [])
    kept, num_nulls = {}, 0
    for key, item in value.items():
        if item is None and key not in required:
            may_be_null = (
                _Validator(known[key]).is_valid(None) if key in known else _is_open(schema, key)
            )
            if not may_be_null:
                num_nulls += 1
                continue
            if columns:
                raise Refused(
                    "null that may be a table's",
                    f"{shortened(key)} is null, and it cannot be told whether a call said so or "
                    "the table filled it in; write arguments as JSON text",
                )
        kept[key], number = _without_nulls(item, known.get(key), columns=columns)
        num_nulls += number
    return kept, num_nulls


def _wants_integers(schema: Mapping[str, Any]) -> bool:
    types = schema.get("type")
    types = types if isinstance(types, list) else [types]
    return "integer" in types and "number" not in types
