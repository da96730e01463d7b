"""`mistral`: Mistral and its relatives (Magistral, Devstral, Ministral), in three generations.

    [THINK]The user wants Oslo's weather.[/THINK][TOOL_CALLS]get_weather[ARGS]{"city": "Oslo"}
    [TOOL_CALLS]get_weather[CALL_ID]a1B2c3D4e[ARGS]{"city": "Oslo"}
    [TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Oslo"}, "id": "a1B2c3D4e"}]

The newest and the middle one, where `[ARGS]` may be missing, have the tag before each call; the
oldest has it once before a list of calls. The end of the object or the list ends the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rest_verl.syntax.base import Syntax, ToolCall, Tools
from rest_verl.syntax.json_arguments import JsonArguments, Span, decode_call
from rest_verl.syntax.json_calls import JsonCalls, call_of
from rest_verl.syntax.json_values import compile_bytes, decode_text, dump_json, read_json, skip
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import FORMAT, NAME
from rest_verl.syntax.registry import register_syntax

_CALL_ID, _ARGS = b"[CALL_ID]", b"[ARGS]"
_NAME = compile_bytes(rb'~([^\s\[\]{}",]*)~(?:\[CALL_ID\]~([^\s\[\]{}]*)~)?(?:\[ARGS\])?')
_LIST = compile_bytes(rb"~\[(?=~(?:[{\]]|\Z))")
_ITEM = compile_bytes(rb"[ \t\n\r,]*([{\]])?")


class _List(NamedTuple):
    start: int
    end: int


class _Call(NamedTuple):
    name: Span
    id: Span | None
    arguments: Span


@register_syntax("mistral")
class Mistral(Syntax):
    """Text, then a tag and a call, or a tag and a list of calls."""

    think = (b"[THINK]", b"[/THINK]")
    blocks: ClassVar = {b"[TOOL_CALLS]": None}

    def __init__(self) -> None:
        super().__init__()
        tags = [*self.tags, _CALL_ID, _ARGS]
        self._arguments = JsonArguments(tags)
        self._calls = JsonCalls(tags)

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """As the base; what is no call is text."""
        outline.mark(position, FORMAT)
        if _LIST.match(text, position, end):
            return self._scan_list(text, position, end, outline)
        said = _NAME.match(text, position, end)
        assert said is not None
        name, id_ = said.span(1), said.span(2)
        outline.mark(name[0], NAME)
        outline.mark(name[1], FORMAT)
        start = said.end()
        position, closed = self._arguments.scan(text, start, end, outline)
        if closed:
            outline.found.append(_Call(name, None if said[2] is None else id_, (start, position)))
        else:
            outline.well_formed = False
        return position

    def _scan_list(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        start = position
        position = skip(_LIST, text, position, end)
        closed = True
        while closed:
            item = _ITEM.match(text, position, end)
            assert item is not None
            position = item.end()
            if item[1] == b"]":
                outline.found.append(_List(start, position))
                return position
            closed = item[1] is not None
            if closed:
                position, closed = self._calls.scan_call(text, position, end, outline)
        outline.well_formed = False
        return position

    def decode(
        self,
        text: bytes,
        found: _List | _Call,
        calls: list[ToolCall],
        tools: Tools | None,
    ) -> bool:
        """As the base."""
        if isinstance(found, _Call):
            return decode_call(text, found.name, found.arguments, calls, found.id)
        values = read_json(decode_text(text[slice(*found)]))
        made = [call_of(value) for value in values] if type(values) is list else []
        calls += [call for call in made if call is not None]
        return bool(made) and None not in made

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base, in the newer form; with the calls' ids where they have any."""
        parts = ["" if think is None else f"[THINK]{think}[/THINK]", text]
        for call in calls:
            id_ = "" if call.id is None else f"[CALL_ID]{call.id}"
            parts.append(f"[TOOL_CALLS]{call.name}{id_}[ARGS]{dump_json(call.arguments)}")
        return "".join(parts)
