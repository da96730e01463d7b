"""`gemma4`: Gemma 4.

    <|channel>thought
    The user wants Oslo's weather.
    <channel|><|tool_call>call:get_weather{city:<|"|>Oslo<|"|>,days:3}<tool_call|>

A block for each call. The channel's name is part of the thought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rest_verl.syntax.base import Syntax, ToolCall, Tools
from rest_verl.syntax.gemma4_values import GemmaExtent, read_gemma_object, write_gemma_value
from rest_verl.syntax.json_values import SPACE, compile_bytes, decode_text, skip
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import ARGS, FORMAT, NAME, TEXT
from rest_verl.syntax.registry import register_syntax

_HEAD = compile_bytes(rb"~call:~([^\s<{}]*)~(\{)?")
_COMMAS = compile_bytes(rb"[ \t\n\r,]*(\})?")
_COLON = compile_bytes(rb"~:~")
_WORDS = rb"[^:,<\[\]{}\s]+(?:[ \t\n\r]+[^:,<\[\]{}\s]+)*"
_KEY = compile_bytes(rb'(<\|"\|>)|' + _WORDS)
# The argument that models nearly always write, as a short cut: a plain key, then a string without
# `<`, a word, or brackets nested at most twice. It must agree with what the other patterns and
# `GemmaExtent` make of the same text.
_STRING = rb'<\|"\|>[^<]*<\|"\|>'
_INNER = rb"[^<\[\]{}]*(?:%b[^<\[\]{}]*)*" % _STRING
_BRACKETED = rb"[\[{]INNER(?:[\[{]INNER[\]}]INNER)*[\]}]".replace(b"INNER", _INNER)
_PLAIN_ARGUMENT = compile_bytes(
    rb"[ \t\n\r,]*(%b)~:~(%b|[^,<\[\]{}\s]+(?![^,<\[\]{}])|%b)(?:[ \t\n\r,]*(\}))?"
    % (_WORDS, _STRING, _BRACKETED)
)
_PLAIN_ARGUMENT_REGIONS = (ARGS, FORMAT, ARGS, FORMAT)


class _Found(NamedTuple):
    name: slice
    arguments: slice


@register_syntax("gemma4")
class Gemma4(Syntax):
    """Thought, then a block for each call, then text."""

    think = (b"<|channel>", b"<channel|>")
    blocks: ClassVar = {b"<|tool_call>": b"<tool_call|>"}
    end_tokens = ("<turn|>",)
    stop_tokens = ("<tool_call|>",)

    def __init__(self) -> None:
        super().__init__()
        self._extent = GemmaExtent(self.tags)

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """As the base."""
        outline.mark(position, FORMAT)
        head = _HEAD.match(text, position, end)
        closed = False
        if head is not None:
            outline.starts += head.span(1)
            outline.regions += (NAME, FORMAT)
            position = head.end()
            if head[2]:
                position, closed = self._scan_arguments(text, position, end, outline)
        if closed:
            assert head is not None
            found = _Found(slice(*head.span(1)), slice(head.start(2), position))
            outline.found.append(found)
            if text.startswith(b"<tool_call|>", position, end):  # as nearly always
                return position
            position = skip(SPACE, text, position, end)
        tag = self._tag.search(text, position, end)
        calls_end = end if tag is None else tag.start()
        if not closed or position < calls_end:
            outline.well_formed = False
            outline.mark(position, TEXT)
        return calls_end

    def _scan_arguments(
        self, text: bytes, position: int, end: int, outline: Outline
    ) -> tuple[int, bool]:
        """Marks the arguments from behind their `{`; returns where they end, and whether their `}`
        was read."""
        mark = outline.mark
        while True:
            while plain := _PLAIN_ARGUMENT.match(text, position, end):
                outline.starts += plain.span(1) + plain.span(2)
                outline.regions += _PLAIN_ARGUMENT_REGIONS
                position = plain.end()
                if plain[3]:
                    return position, True
            commas = _COMMAS.match(text, position, end)
            assert commas is not None
            position = commas.end()
            if commas[1]:
                return position, True
            key = _KEY.match(text, position, end)
            if key is None:
                return position, False
            mark(position, ARGS)
            position, closed = key.end(), True
            if key[1]:
                position, closed = self._extent.string_end(text, key.start(), end)
            mark(position, FORMAT)
            colon = _COLON.match(text, position, end)
            if colon is None or not closed:
                return position, False
            position = colon.end()
            mark(position, ARGS)
            position, closed = self._extent.value_end(text, position, end)
            mark(position, FORMAT)
            if not closed:
                return position, False

    def decode(
        self, text: bytes, found: _Found, calls: list[ToolCall], tools: Tools | None
    ) -> bool:
        """As the base."""
        name, arguments = decode_text(text[found.name]), read_gemma_object(text[found.arguments])
        if not name or arguments is None:
            return False
        calls.append(ToolCall(name, arguments))
        return True

    def leaves_think_open(self, prompt: bytes) -> bool:
        """As the base; the channel's name may stand behind the tag."""
        return super().leaves_think_open(prompt.rstrip().removesuffix(b"thought"))

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base: calls before text."""
        parts = [] if think is None else [f"<|channel>thought\n{think}\n<channel|>"]
        parts += [
            f"<|tool_call>call:{call.name}{write_gemma_value(call.arguments)}<tool_call|>"
            for call in calls
        ]
        return "".join([*parts, text])
