"""Settings on a command line: `KEY=VALUE`, with dots between the keys of inner mappings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def read_assignments(words: Iterable[str], option: str) -> dict[str, Any]:
    """`{"a": 1, "b": {"c": "x"}}` from `a=1 b.c=x`; values are JSON, or else text.

    Raises:
        ValueError: a word without a key or a value, a key given twice, a key within a value.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        *sections, name = names = key.split(".")
        if not equals or not all(names) or not text:
            raise ValueError(f"{option} {word}: write KEY=VALUE")
        place = found
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ValueError(f"{option} {word}: {section} is given as a value, too")
        if name in place:
            raise ValueError(f"{option} {word}: {key} is given twice")
        place[name] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
