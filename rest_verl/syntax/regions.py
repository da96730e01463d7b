"""The five regions of a response (docs/method.md, section 2)."""

from __future__ import annotations

from enum import IntEnum


class Region(IntEnum):
    """What a token of a response is for."""

    FORMAT = 0
    """Tags, the scaffolding of a call, the end of a turn."""
    NAME = 1
    """The name of a called tool."""
    ARGS = 2
    """The arguments of a call. A JSON object with its brackets; where arguments are written one by
    one, each one's name and its value."""
    THINK = 3
    """Reasoning."""
    TEXT = 4
    """Everything else: response text, text outside tags, malformed remains."""


# Plain integers: they go into numpy arrays by the thousand.
FORMAT, NAME, ARGS, THINK, TEXT = map(int, Region)
