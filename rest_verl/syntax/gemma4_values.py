"""Values as Gemma 4 writes them: JSON, but for strings between `<|"|>` and keys without quotes.

    {city:<|"|>Oslo<|"|>,days:[1,2],options:{metric:true}}

Nothing is escaped: a string ends at the next `<|"|>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rest_verl.syntax.json_values import (
    compile_bytes,
    decode_text,
    dump_json,
    read_object,
    skip,
    tag_pattern,
)

_QUOTE, _quote = b'<|"|>', '<|"|>'
_AFTER_STRING = compile_bytes(rb"~(?:[,:\]}]|\Z)")
_FLAT = re.compile(rb"[^<\[\]{}]*")
_BARE = compile_bytes(rb"(?:[^,<\[\]{}\s]+(?:[ \t\n\r]+[^,<\[\]{}\s]+)*)?")
_OPENING, _CLOSING = frozenset(b"[{"), frozenset(b"]}")

_piece = re.compile(r'<\|"\|>(.*?)<\|"\|>|([^,:<\[\]{}\s][^,:<\[\]{}]*)(:?)', re.DOTALL)
_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_plain_key = re.compile(r"[^\s:,<\[\]{}]+")
_WORDS = {"true": "true", "false": "false", "null": "null", "none": "null"}


class GemmaExtent:
    """Where values end among a syntax's tags.

    A tag inside a string belongs to it if the string is closed and followed by `,`, `:`, a closing
    bracket or the end; otherwise the tag ends whatever is open. Brackets are counted, not paired by
    kind.
    """

    def __init__(self, tags: Iterable[bytes]) -> None:
        self._tag = re.compile(tag_pattern(tags))

    def value_end(self, text: bytes, position: int, end: int) -> tuple[int, bool]:
        """End of the value that begins at `position`, or of what there is; whether it is whole."""
        if text.startswith(_QUOTE, position, end):
            return self.string_end(text, position, end)
        if position == end or text[position] not in _OPENING:
            value_end = skip(_BARE, text, position, end)
            return value_end, value_end > position
        depth = 0
        while position < end:
            byte = text[position]
            if byte in _OPENING:
                depth += 1
                position += 1
            elif byte in _CLOSING:
                depth -= 1
                position += 1
                if depth == 0:
                    return position, True
            elif text.startswith(_QUOTE, position, end):
                position, closed = self.string_end(text, position, end)
                if not closed:
                    return position, False
            elif self._tag.match(text, position, end):
                return position, False
            else:
                position += 1
            position = skip(_FLAT, text, position, end)
        return end, False

    def string_end(self, text: bytes, position: int, end: int) -> tuple[int, bool]:
        """The same of the string that opens at `position`."""
        close = text.find(_QUOTE, position + len(_QUOTE), end)
        string_end = end if close < 0 else close + len(_QUOTE)
        tag = self._tag.search(text, position, string_end)
        if tag is None or (close >= 0 and _AFTER_STRING.match(text, string_end, end)):
            return string_end, close >= 0
        return tag.start(), False


def read_gemma_object(data: bytes) -> dict[str, Any] | None:
    """The object that `data` is, or None.

    What stands without quotes and is no key is a number, true, false or null if it reads so (None
    too, which is what templates make of null), else a string.
    """
    return read_object(_piece.sub(_as_json, decode_text(data)))


def _as_json(piece: re.Match[str]) -> str:
    string, bare, colon = piece.groups()
    if string is not None:
        return dump_json(string)
    bare = bare.rstrip()
    if colon:
        return dump_json(bare) + colon
    if _number.fullmatch(bare):
        return bare
    return _WORDS.get(bare.lower()) or dump_json(bare)


def write_gemma_value(value: Any) -> str:
    """A value as the chat template writes it: keys in order of the alphabet, null as None."""
    if isinstance(value, str):
        return f"{_quote}{value}{_quote}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        items = sorted(value.items(), key=lambda item: item[0].lower())
        return "{" + ",".join(f"{_key(k)}:{write_gemma_value(v)}" for k, v in items) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(write_gemma_value, value)) + "]"
    return str(value)


def _key(key: str) -> str:
    """Unlike the template's, one that would not be read back is quoted."""
    return key if _plain_key.fullmatch(key) else f"{_quote}{key}{_quote}"
