"""`pythonic`: calls as a Python list (Llama 3.2 and 4 where they are asked for it, xLAM, ToolACE).

    [get_weather(city="Oslo", days=3), get_tides(city="Bergen")]

The whole message is the list; Llama 4 may write it between `<|python_start|>` and
`<|python_end|>`. Arguments have names, and their values are literals
(`rest_verl.syntax.python_literals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rest_verl.syntax.bare import BareSyntax
from rest_verl.syntax.base import ToolCall, Tools
from rest_verl.syntax.json_values import NOT_JSON, compile_bytes, decode_text, skip
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.python_literals import read_literal
from rest_verl.syntax.regions import ARGS, FORMAT, NAME
from rest_verl.syntax.registry import register_syntax

_IDENTIFIER = rb"[A-Za-z_\x80-\xff][\w\x80-\xff]*"
_DOTTED = _IDENTIFIER + rb"(?:\.[\w\x80-\xff]*)*"
_BEGINNING = compile_bytes(
    rb"<\|python_start\|>~\Z|(?:<\|python_start\|>~)?\[~(?:\Z|" + _DOTTED + rb"(?:\(|\Z))"
)
_OPENING = compile_bytes(rb"(?:<\|python_start\|>~)?(?:\[)?")
_NAME = compile_bytes(rb"~(" + _DOTTED + rb")(?:(\()|\Z)")
_AFTER_CALL = compile_bytes(rb"~(?:,~(\]?)|(\]))")
_CLOSING = compile_bytes(rb"(?:~<\|python_end\|>)?")
_NO_ARGUMENTS = compile_bytes(rb"~\)")
_KEY = compile_bytes(rb"~(?:(" + _IDENTIFIER + rb")~=~)?")
_AFTER_VALUE = compile_bytes(rb"~(?:,~(\)?)|(\)))")
_FLAT = compile_bytes(rb"""[^'"\[\](){},]*""")
_STRING = compile_bytes(rb"""'[^'\\]*(?:\\.[^'\\]*)*'?|"[^"\\]*(?:\\.[^"\\]*)*"?""")
# The argument that models nearly always write, as a short cut: a name, then one string or word, or
# brackets nested at most twice. It must agree with what the other patterns make of the same text.
_CLOSED = rb"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\""""
_INNER = rb"""[^'"\[\](){}]*(?:(?:CLOSED)[^'"\[\](){}]*)*""".replace(b"CLOSED", _CLOSED)
_BRACKETED = rb"[\[({]INNER(?:[\[({]INNER[\])}]INNER)*[\])}]".replace(b"INNER", _INNER)
_PLAIN_ARGUMENT = compile_bytes(
    rb"""~(%b)~=~(%b|[^'"\[\](){}, \t\n\r]+|%b)~(?:,~|(?=\)))(\))?"""
    % (_IDENTIFIER, _CLOSED, _BRACKETED)
)
_PLAIN_ARGUMENT_REGIONS = (ARGS, FORMAT, ARGS, FORMAT)
_QUOTES, _OPENERS, _CLOSERS = frozenset(b"'\""), frozenset(b"[({"), frozenset(b"])}")


class _Found(NamedTuple):
    name: slice
    arguments: list[tuple[int, ...]]
    """Of each: where its name, empty for none, begins and ends, and where its value does."""


@register_syntax("pythonic")
class Pythonic(BareSyntax):
    """A list of calls, or text."""

    opens_call = rb"(?:<\|python_start\|>\s*)?\["

    def begins_calls(self, text: bytes, position: int, end: int) -> bool:
        """As the base."""
        return _BEGINNING.match(text, position, end) is not None

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """As the base."""
        position = skip(_OPENING, text, position, end)
        while name := _NAME.match(text, position, end):
            outline.starts += name.span(1)
            outline.regions += (NAME, FORMAT)
            position = name.end()
            if not name[2]:
                break
            position, arguments = self._scan_arguments(text, position, end, outline)
            if arguments is None:
                break
            outline.found.append(_Found(slice(*name.span(1)), arguments))
            after = _AFTER_CALL.match(text, position, end)
            if after is None:
                break
            position = after.end()
            if after[1] or after[2]:
                outline.letters.append("c")
                return skip(_CLOSING, text, position, end)
        outline.well_formed = False
        return position

    def _scan_arguments(
        self, text: bytes, position: int, end: int, outline: Outline
    ) -> tuple[int, list[tuple[int, ...]] | None]:
        """Marks arguments from behind their opening bracket; returns where they end, and None
        instead of them if their closing bracket was not read."""
        mark = outline.mark
        arguments: list[tuple[int, ...]] = []
        if nothing := _NO_ARGUMENTS.match(text, position, end):
            return nothing.end(), arguments
        while True:
            while plain := _PLAIN_ARGUMENT.match(text, position, end):
                spans = plain.span(1) + plain.span(2)
                outline.starts += spans
                outline.regions += _PLAIN_ARGUMENT_REGIONS
                arguments.append(spans)
                position = plain.end()
                if plain[3]:
                    return position, arguments
            key = _KEY.match(text, position, end)
            assert key is not None
            if key[1] is not None:
                mark(key.start(1), ARGS)
                mark(key.end(1), FORMAT)
            position = key.end()
            value_end = _value_end(text, position, end)
            if value_end == position:
                return position, None
            mark(position, ARGS)
            mark(value_end, FORMAT)
            # The span of a name that is not there is (-1, -1), as a slice nothing as well.
            arguments.append((*key.span(1), position, value_end))
            after = _AFTER_VALUE.match(text, value_end, end)
            if after is None:
                return value_end, None
            position = after.end()
            if after[1] or after[2]:
                return position, arguments

    def decode(
        self, text: bytes, found: _Found, calls: list[ToolCall], tools: Tools | None
    ) -> bool:
        """As the base."""
        arguments = {}
        for key_start, key_end, start, end in found.arguments:
            key, value = text[key_start:key_end], read_literal(decode_text(text[start:end]))
            if not key or value is NOT_JSON:
                return False
            arguments[decode_text(key)] = value
        calls.append(ToolCall(decode_text(text[found.name]), arguments))
        return True

    def may_call(self, text: bytes) -> bool:
        """As the base."""
        return b"[" in text and b"(" in text

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base; of text and calls, only the calls."""
        written = ", ".join(
            f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"
            for call in calls
        )
        return self.write_think(think) + (f"[{written}]" if written else text)


def _value_end(text: bytes, position: int, end: int) -> int:
    """End of the value that begins at `position`, at a comma or a closing bracket of what is around
    it, whitespace before that left aside; or the end."""
    start, depth = position, 0
    while (position := skip(_FLAT, text, position, end)) < end:
        byte = text[position]
        if byte in _QUOTES:
            position = skip(_STRING, text, position, end)
            continue
        if byte in _OPENERS:
            depth += 1
        elif depth == 0:
            break
        elif byte in _CLOSERS:
            depth -= 1
        position += 1
    while start < position < end and text[position - 1] in b" \t\n\r":
        position -= 1
    return position
