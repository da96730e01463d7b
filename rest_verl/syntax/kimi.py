"""`kimi`: Kimi K2 and what came after it with the same tokens.

    <think>The user wants Oslo's weather.</think><|tool_calls_section_begin|><|tool_call_begin|>
    functions.get_weather:0<|tool_call_argument_begin|>{"city": "Oslo"}<|tool_call_end|>
    <|tool_calls_section_end|>

(All in one line.) The name stands in the call's id, which is `functions.NAME:NUMBER`; a prefix or a
number that is missing is tolerated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rest_verl.syntax.base import Syntax, ToolCall, Tools
from rest_verl.syntax.json_arguments import JsonArguments, Span, decode_call
from rest_verl.syntax.json_values import SPACE, compile_bytes, dump_json, skip, tag_pattern
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import FORMAT, NAME, TEXT
from rest_verl.syntax.registry import register_syntax

_BEGIN, _END = b"<|tool_call_begin|>", b"<|tool_call_end|>"
_ARGUMENTS = b"<|tool_call_argument_begin|>"
_ID = compile_bytes(rb"~(functions\.)?([^<\s]*)~")
_NUMBER = re.compile(rb":[0-9]+\Z")


class _Found(NamedTuple):
    id: Span
    name: Span
    arguments: Span


@register_syntax("kimi")
class Kimi(Syntax):
    """Text, then a section with all calls."""

    blocks: ClassVar = {b"<|tool_calls_section_begin|>": b"<|tool_calls_section_end|>"}
    end_tokens = ("<|im_end|>",)
    stop_tokens = ("<|im_end|>",)

    def __init__(self) -> None:
        super().__init__()
        self._arguments = JsonArguments([*self.tags, _BEGIN, _ARGUMENTS, _END])
        self._recovery = re.compile(tag_pattern([*self.tags, _BEGIN, _END]))

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """As the base; what is no call lasts to the next one, or to whatever other tag comes."""
        outline.mark(position, FORMAT)
        num_before = len(outline.found)
        while True:
            position = skip(SPACE, text, position, end)
            closed = True
            while closed and text.startswith(_BEGIN, position, end):
                position, closed = self._scan_call(text, position + len(_BEGIN), end, outline)
            recovery = self._recovery.search(text, position, end)
            found_at = end if recovery is None else recovery.start()
            if position < found_at:
                outline.mark(position, TEXT)
                outline.well_formed = False
            position = found_at
            if recovery is None or recovery[0] in self.tags:
                outline.well_formed &= len(outline.found) > num_before
                return position
            outline.mark(position, FORMAT)
            if recovery[0] == _END:
                outline.well_formed = False
                position += len(_END)

    def _scan_call(
        self, text: bytes, position: int, end: int, outline: Outline
    ) -> tuple[int, bool]:
        """Marks a call from behind the tag that opens it; returns where that ends which can be read
        of it, and whether it is whole."""
        said = _ID.match(text, position, end)
        assert said is not None
        name_start, id_end = said.span(2)
        number = _NUMBER.search(text, name_start, id_end)
        name_end = id_end if number is None else number.start()
        outline.mark(name_start, NAME)
        outline.mark(name_end, FORMAT)
        position = said.end()
        if text.startswith(_ARGUMENTS, position, end):
            start = skip(SPACE, text, position + len(_ARGUMENTS), end)
            arguments_end, closed = self._arguments.scan(text, start, end, outline)
            position = skip(SPACE, text, arguments_end, end)
            if closed and text.startswith(_END, position, end):
                id_start = name_start if said[1] is None else said.start(1)
                found = _Found((id_start, id_end), (name_start, name_end), (start, arguments_end))
                outline.found.append(found)
                return skip(SPACE, text, position + len(_END), end), True
        outline.well_formed = False
        return position, False

    def decode(
        self, text: bytes, found: _Found, calls: list[ToolCall], tools: Tools | None
    ) -> bool:
        """As the base."""
        return decode_call(text, found.name, found.arguments, calls, found.id)

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base; a call whose id does not name it gets one that does."""
        section = "".join(
            f"<|tool_call_begin|>{_id(call, number)}<|tool_call_argument_begin|>"
            f"{dump_json(call.arguments)}<|tool_call_end|>"
            for number, call in enumerate(calls)
        )
        if section:
            section = f"<|tool_calls_section_begin|>{section}<|tool_calls_section_end|>"
        return ("" if think is None else f"<think>{think}</think>") + text + section


def _id(call: ToolCall, number: int) -> str:
    if call.id is not None and re.fullmatch(
        rf"(?:functions\.)?{re.escape(call.name)}:[0-9]+", call.id
    ):
        return call.id
    return f"functions.{call.name}:{number}"
