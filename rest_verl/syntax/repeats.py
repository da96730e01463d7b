"""When one call is another made again: the same name, and the same arguments in whatever order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rest_verl.syntax.base import ToolCall


def call_key(name: str, arguments: Mapping[str, Any] | None) -> str | None:
    """The same text for the same call; None for one that is like no other.

    Args:
        name: as the model wrote it.
        arguments: None: they are not a JSON object.
    """
    try:
        return json.dumps([name, arguments], sort_keys=True, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys of several types, or nested too deep
        return None


def count_repeated(calls: Iterable[ToolCall]) -> int:
    """Calls that an earlier one of the same message has made already."""
    keys = [key for call in calls if (key := call_key(call.name, call.arguments)) is not None]
    return len(keys) - len(set(keys))
