"""Why a recorded conversation gives no rows: never a wrong row instead."""

import json
from typing import Any

_SHOWN = 80


class Refused(ValueError):
    """A conversation of which no right row can be made; its text names the thing and the mend."""

    def __init__(self, reason: str, message: str, *places: str) -> None:
        super().__init__(f"{', '.join(places)}: {message}" if places else message)
        self.reason = reason
        """A few words, the same for all that is refused for it: what a table counts by."""
        self._message, self._places = message, places

    def at(self, place: str) -> "Refused":
        """The same, its text beginning with where it was found: file, line, message."""
        return Refused(self.reason, self._message, place, *self._places)


def is_deeper_than(levels: int, value: Any) -> bool:
    """Whether a JSON value has more levels of objects and lists in each other."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return bool(level)


def shortened(value: Any) -> str:
    """A value of a file as JSON for a message, cut after 80 characters."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
