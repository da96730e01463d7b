"""The calls that a message makes, as result records hold them."""

from __future__ import annotations

import sys
from typing import Any

from rest_verl.environments.observations import encodable
from rest_verl.syntax import Reading

MAX_NESTING = 100
"""Levels of arguments. Python can read somewhat deeper JSON than it can compare or write."""

Calls = list[dict[str, Any]]
"""`{"name", "arguments"}` each."""


def record_calls(reading: Reading) -> Calls | None:
    """The calls of one assistant message; None if there are some that cannot be read."""
    calls = reading.whole_calls
    if calls is None:
        return None
    try:
        return [
            {"name": encodable(call.name), "arguments": storable(call.arguments)} for call in calls
        ]
    except ValueError:
        return None


def are_calls(value: Any) -> bool:
    """Whether `value`, from a result file, is what `record_calls` gives."""
    if value is None:
        return True
    return isinstance(value, list) and all(map(_is_call, value))


def are_turns(value: Any) -> bool:
    """The same of a conversation: such a value for each step of each turn."""
    return isinstance(value, list) and all(
        isinstance(turn, list) and all(map(are_calls, turn)) for turn in value
    )


def _is_call(value: Any) -> bool:
    match value:
        case {"name": str(), "arguments": dict()}:
            return True
    return False


def storable(value: Any, levels: int = MAX_NESTING) -> Any:
    """A JSON value of the model as one that JSON in UTF-8 can hold.

    A number beyond every float becomes the largest one, half of a surrogate pair a "?": neither is
    ever a right value.

    Raises:
        ValueError: it is nested deeper than `levels`.
    """
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        return min(max(value, -sys.float_info.max), sys.float_info.max)
    if isinstance(value, dict | list) and not levels:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {encodable(key): storable(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, levels - 1) for item in value]
    return value
