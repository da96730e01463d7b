"""Arguments as a JSON object of their own, behind the name: for `gpt-oss`, `kimi`, `mistral`."""

from __future__ import annotations

from collections.abc import Iterable

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.json_values import (
    SPACE,
    JsonExtent,
    compile_bytes,
    decode_text,
    read_object,
    skip,
)
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import ARGS, FORMAT

# Each object that is looked into has a quote that no backslash precedes. So no string that an
# earlier one opened lasts longer than to there, and looking for its end takes linear time in all.
_OBJECT = compile_bytes(rb'\{~(?:["}]|\Z)')

Span = tuple[int, int]


class JsonArguments:
    """Scans such objects among the tags of a syntax."""

    def __init__(self, tags: Iterable[bytes]) -> None:
        self._extent = JsonExtent(tags)

    def scan(self, text: bytes, position: int, end: int, outline: Outline) -> tuple[int, bool]:
        """Marks the object that begins at `position`, or after whitespace, and what follows it as
        FORMAT; returns where it ends and whether it is closed."""
        position = skip(SPACE, text, position, end)
        if not _OBJECT.match(text, position, end):
            return position, False
        outline.mark(position, ARGS)
        position, closed = self._extent.bracketed_end(text, position, end)
        outline.mark(position, FORMAT)
        return position, closed


def decode_call(
    text: bytes, name: Span, arguments: Span, calls: list[ToolCall], id_: Span | None = None
) -> bool:
    """Appends the call whose parts stand there; False if it has no name or no JSON object."""
    values = read_object(decode_text(text[slice(*arguments)]))
    if values is None or name[0] == name[1]:
        return False
    said_id = None if id_ is None else decode_text(text[slice(*id_)])
    calls.append(ToolCall(decode_text(text[slice(*name)]), values, said_id))
    return True
