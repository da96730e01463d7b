"""Calls whose arguments are written one by one between XML-like tags, scanned and decoded.

    <tool_call>                       a block
    <function=get_weather>            a call, with its name
    <parameter=city>Oslo</parameter>  a parameter, with its name and its value
    </function>
    </tool_call>

The rules of the scan:

- Between the pieces stands whitespace. Anything else is TEXT up to the next piece, and makes what
  it stands in no call.
- Nothing is escaped. A value ends at the first closing tag of a parameter behind which, after
  whitespace, another parameter, the end of the call or the end of the text is; so tags inside a
  value belong to it. It breaks off where the call is closed and another call, another block or the
  end of the text follows, since its own closing tag has been forgotten then.
- Of a parameter given twice the last value stands.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple

from rest_verl.syntax.base import Syntax, ToolCall, Tools
from rest_verl.syntax.json_values import (
    SPACE,
    compile_bytes,
    decode_text,
    dump_json,
    skip,
    tag_pattern,
)
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import ARGS, FORMAT, NAME, TEXT
from rest_verl.syntax.schema import tool_properties, typed_value

_NAME = compile_bytes(rb'[^\s<>{}\[\]"]*')
_KEY = compile_bytes(rb'[^<>"\n]*')
_PARAMETER_REGIONS = (ARGS, FORMAT, ARGS, FORMAT)


class Parameter(NamedTuple):
    """Where a parameter stands in the message."""

    key_start: int
    key_end: int
    value_start: int
    value_end: int


class FoundCall(NamedTuple):
    """Where a whole call stands in the message."""

    name_start: int
    name_end: int
    parameters: list[tuple[int, ...]]
    """The fields of `Parameter` each."""


class XmlCalls(Syntax):
    """One kind of block, with calls in it; a subclass names the tags."""

    call_open: ClassVar[tuple[bytes, bytes]]
    """Before a call's name, and a pattern of what is behind it. The first is b"" where a block is
    a call; its name begins the block then."""
    call_close: ClassVar[bytes]
    parameter_open: ClassVar[tuple[bytes, bytes]]
    """Before a parameter's name, and a pattern, without groups, of what is between it and the
    value."""
    parameter_close: ClassVar[bytes]
    pads_values: ClassVar[bool] = False
    """A newline before and one behind a value belong to the syntax."""
    typed_by_schema = True

    def __init__(self) -> None:
        super().__init__()
        call_open, behind_name = self.call_open
        parameter_open, behind_key = self.parameter_open
        self._behind_name = compile_bytes(behind_name)
        self._behind_key = compile_bytes(behind_key)
        self._block_end = re.compile(tag_pattern(self.tags))
        # Where reading goes on after something that does not belong there.
        calls = {*self.tags, call_open} - {b""}
        self._next_call = re.compile(tag_pattern(calls))
        self._next_piece = re.compile(tag_pattern(calls | {parameter_open, self.call_close}))
        end, breaks = self._value_end_patterns()
        self._value_end = compile_bytes(rb"%b|%b" % (end, breaks))
        # The parameter that models nearly always write, as a short cut: its value has no tags in
        # it. It must agree with what `_scan_parameter` makes of the same text.
        pad = rb"\n" if self.pads_values else b""
        self._plain_parameter = compile_bytes(
            rb'~%b([^<>"\n]+)(?:%b)%b([^<]*)%b%b'
            % (re.escape(parameter_open), behind_key, pad, pad, end)
        )

    def _value_end_patterns(self) -> tuple[bytes, bytes]:
        """A parameter's closing tag; and nothing, before the tag where the value breaks off."""
        block_open, block_close = (re.escape(tag or b"") for tag in next(iter(self.blocks.items())))
        call_open, call_close = re.escape(self.call_open[0]), re.escape(self.call_close)
        parameter_open, parameter_close = self.parameter_open[0], re.escape(self.parameter_close)
        block_ends = rb"%b~(?:%b|\Z)" % (block_close, block_open)
        breaks = block_ends
        if call_open:
            breaks += rb"|%b~(?:%b|%b)" % (call_close, call_open, block_ends)
        follows = rb"%b|%b|%b|\Z" % (re.escape(parameter_open), call_close, block_ends)
        return rb"%b(?=~(?:%b))" % (parameter_close, follows), rb"(?=%b)" % breaks

    # -- scan ------------------------------------------------------------------------------------

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """As the base."""
        call_open = self.call_open[0]
        calls = len(outline.found)
        while True:
            position = skip(SPACE, text, position, end)
            if position == end or self._block_end.match(text, position, end):
                break
            if text.startswith(call_open, position, end):
                position, closed = self._scan_call(text, position + len(call_open), end, outline)
                if closed:
                    # Where a block is a call, the tag that closes both is left to the block.
                    position += len(self.call_close) if call_open else 0
                    continue
            outline.well_formed = False
            outline.mark(position, TEXT)
            found = self._next_call.search(text, position, end)
            position = found.start() if found else end
            if found is None or found[0] != call_open:
                break
            outline.mark(position, FORMAT)
        if len(outline.found) == calls:
            outline.well_formed = False
        return position

    def _scan_call(
        self, text: bytes, position: int, end: int, outline: Outline
    ) -> tuple[int, bool]:
        """Marks a call from its name on; returns where its closing tag is, and if there is one.

        Without one: where something begins that is no part of it.
        """
        mark = outline.mark
        name_start, name_end = position, skip(_NAME, text, position, end)
        behind = self._behind_name.match(text, name_end, end)
        if behind is None or name_end == name_start:
            mark(name_start, NAME if name_end == end else TEXT)
            return name_end, False
        mark(name_start, NAME)
        mark(name_end, FORMAT)
        position = behind.end()
        parameters: list[tuple[int, ...]] = []
        whole = True
        parameter_open = self.parameter_open[0]
        while True:
            while plain := self._plain_parameter.match(text, position, end):
                spans = plain.span(1) + plain.span(2)
                outline.starts += spans
                outline.regions += _PARAMETER_REGIONS
                parameters.append(spans)
                position = plain.end()
            position = skip(SPACE, text, position, end)
            if text.startswith(self.call_close, position, end):
                if whole:
                    outline.found.append(FoundCall(name_start, name_end, parameters))
                else:
                    outline.well_formed = False
                return position, True
            if text.startswith(parameter_open, position, end):
                position += len(parameter_open)
                position, parameter = self._scan_parameter(text, position, end, outline)
                if parameter is None:
                    whole = False
                else:
                    parameters.append(parameter)
                continue
            whole = False
            mark(position, TEXT)
            found = self._next_piece.search(text, position, end)
            if found is None:
                return end, False
            position = found.start()
            if found[0] not in (parameter_open, self.call_close):
                return position, False
            mark(position, FORMAT)

    def _scan_parameter(
        self, text: bytes, position: int, end: int, outline: Outline
    ) -> tuple[int, Parameter | None]:
        """Marks a parameter from its name on; returns where it ends, and it, if it is whole."""
        mark = outline.mark
        key_start, key_end = position, skip(_KEY, text, position, end)
        behind = self._behind_key.match(text, key_end, end)
        if behind is None or key_end == key_start:
            mark(key_start, ARGS if key_end == end else TEXT)
            return key_end, None
        mark(key_start, ARGS)
        mark(key_end, FORMAT)
        value_start = behind.end()
        closing = self._value_end.search(text, value_start, end)
        value_end, position = closing.span() if closing else (end, end)
        whole = position > value_end
        if self.pads_values:
            value_start += text.startswith(b"\n", value_start, value_end)
            value_end -= whole and text.endswith(b"\n", value_start, value_end)
        mark(value_start, ARGS)
        mark(value_end, FORMAT)
        if not whole:
            return position, None
        return position, Parameter(key_start, key_end, value_start, value_end)

    # -- decode ----------------------------------------------------------------------------------

    def decode(
        self,
        text: bytes,
        found: FoundCall,
        calls: list[ToolCall],
        tools: Tools | None,
    ) -> bool:
        """As the base."""
        name = decode_text(text[found.name_start : found.name_end])
        properties = tool_properties(tools, name)
        arguments = {}
        for parameter in map(Parameter._make, found.parameters):
            key = decode_text(text[parameter.key_start : parameter.key_end])
            arguments[key] = self.read_value(text, parameter, properties.get(key))
        calls.append(ToolCall(name, arguments))
        return True

    def read_value(self, text: bytes, parameter: Parameter, schema: Any) -> Any:
        """The value of a parameter of that schema."""
        return typed_value(decode_text(text[parameter.value_start : parameter.value_end]), schema)


def write_value(value: Any) -> str:
    """A string as it stands, everything else as JSON."""
    return value if isinstance(value, str) else dump_json(value)
