"""Settings on a command line: `KEY=VALUE`, with dots between the keys of inner mappings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def read_assignments(words: Iterable[str], option: str) -> dict[str, Any]:
    """`{"a": 1, "b": {"c": "x"}}` from `a=1 b.c=x`; values are JSON, or else text.

    Raises:
        ValueError: a word without a key or a value, a key given twice.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key or not text:
            raise ValueError(f"{option} {word}: write KEY=VALUE")
        *sections, name = key.split(".")
        place = found
        for section in sections:
            inner = place.setdefault(section, {})
            place = inner if isinstance(inner, dict) else {name: inner}
        if name in place:
            raise ValueError(f"{option} {word}: {key} is given twice")
        place[name] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
