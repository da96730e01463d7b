"""JSON as models write it: decoded strictly, and delimited in bytes however broken it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn


def _refuse_constant(constant: str) -> NoReturn:
    # Python's json reads NaN, Infinity and -Infinity, which JSON does not have.
    raise ValueError(f"{constant} is not JSON")


decode_json = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
"""``decode_json(text, index) -> (value, end)``; of a key given twice the last value stands.
On bad text: ValueError (a number past Python's digit limit included) or RecursionError."""

dump_json = json.JSONEncoder(ensure_ascii=False).encode
"""A value as JSON in one line, as chat templates write it."""


def decode_text(data: bytes) -> str:
    """The text of bytes; what is not UTF-8 in them becomes U+FFFD, half surrogate pairs stay."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


NOT_JSON = object()
"""No value: what `read_json` gives for text that is not JSON."""


def read_json(text: str) -> Any:
    """The value that the whole of `text` is, whitespace around it aside, or `NOT_JSON`."""
    text = text.strip()
    try:
        value, end = decode_json(text, 0)
    except (ValueError, RecursionError):
        return NOT_JSON
    return value if end == len(text) else NOT_JSON


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, or None."""
    value = read_json(text)
    return value if type(value) is dict else None


def compile_bytes(pattern: bytes) -> re.Pattern[bytes]:
    """Regular expression in which `~` is JSON whitespace and `FLAT` text without brackets.

    FLAT is text outside strings, and whole strings; it ends before any `<`, since that may be a
    tag. No pattern made of these can match a text in two ways, so none backtracks more than once
    over it.
    """
    flat = rb'[^"\[\]{}<]*(?:"[^"\\<]*(?:\\[^<][^"\\<]*)*"[^"\[\]{}<]*)*'
    return re.compile(pattern.replace(b"~", rb"[ \t\n\r]*").replace(b"FLAT", flat), re.DOTALL)


def tag_pattern(tags: Iterable[bytes]) -> bytes:
    """A pattern of any of the tags, the longest first; of none, one that matches nowhere."""
    ordered = sorted(tags, key=lambda tag: -len(tag))
    return b"|".join(map(re.escape, ordered)) or rb"(?!)"


FLAT = compile_bytes(rb"FLAT")
SPACE = compile_bytes(rb"~")
_STRING = compile_bytes(rb'"[^"\\]*(?:\\.[^"\\]*)*(")?')
_AFTER_STRING = compile_bytes(rb"~(?:[,:\]}]|\Z)")
_QUOTE, _OPENING, _CLOSING = ord('"'), frozenset(b"[{"), frozenset(b"]}")


def skip(pattern: re.Pattern[bytes], text: bytes, position: int, end: int) -> int:
    """End of a pattern that matches everywhere, if only nothing."""
    found = pattern.match(text, position, end)
    assert found is not None
    return found.end()


class JsonExtent:
    """Where JSON values end among a syntax's tags.

    A tag inside a string belongs to it if the string is closed and followed by `,`, `:`, a closing
    bracket or the end; otherwise the tag ends whatever is open. Brackets are counted, not paired by
    kind.
    """

    def __init__(self, tags: Iterable[bytes]) -> None:
        """All of `tags` begin with `<` or with `[`; of the latter, those in closed strings never
        end anything."""
        tags = list(tags)
        self.tag = re.compile(tag_pattern(tags))
        self._tag_bytes = frozenset(tag[0] for tag in tags)

    def string_end(self, text: bytes, position: int, end: int) -> tuple[int, bool]:
        """End of the string that opens at `position`, or of what there is; whether it closes."""
        found = _STRING.match(text, position, end)
        assert found is not None
        closed = found.lastindex is not None
        string_end = found.end() if closed else end
        tag = self.tag.search(text, position, string_end)
        if tag is None or (closed and _AFTER_STRING.match(text, string_end, end)):
            return string_end, closed
        return tag.start(), False

    def bracketed_end(self, text: bytes, position: int, end: int) -> tuple[int, bool]:
        """End of the value whose bracket opens at `position`; whether the matching one is found."""
        depth = 0
        while position < end:
            byte = text[position]
            if byte == _QUOTE:
                position, closed = self.string_end(text, position, end)
                if not closed:
                    return position, False
            elif byte in self._tag_bytes and self.tag.match(text, position, end):
                return position, False
            elif byte in _OPENING:
                depth += 1
                position += 1
            elif byte in _CLOSING:
                depth -= 1
                position += 1
                if depth == 0:
                    return position, True
            else:
                position += 1
            position = skip(FLAT, text, position, end)
        return end, False
