"""Calls that are JSON objects with a name and arguments, scanned and decoded.

The rules of the scan, which goes as far as a broken call does:

- Calls are separated by whitespace, commas and list brackets, in any number. They end at the next
  tag, whichever it is, that is not inside a JSON string (`JsonExtent`).
- The quotes around a name are FORMAT, the characters between them NAME. Whatever value
  `arguments` or `parameters` has, object, list, string or scalar, is ARGS. Keys are compared as
  written, without resolving escapes.
- Another key of a call and its value are TEXT, and so is a name that is no string; the colon, the
  commas and the whitespace around them stay FORMAT.
- Where a block stops being JSON, its remains are TEXT up to the next tag, or up to a `{` that
  opens a line, where a new call begins. What was read before keeps its region.
- Missing, doubled and trailing commas are tolerated.

What is decoded is stricter: JSON throughout, with nothing but whitespace between the calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.json_values import (
    SPACE,
    JsonExtent,
    compile_bytes,
    decode_json,
    decode_text,
    skip,
    tag_pattern,
)
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import ARGS, FORMAT, NAME, TEXT

_SEPARATOR = compile_bytes(rb"[ \t\n\r,]*")
_SCALAR = compile_bytes(rb'[^ \t\n\r,:\[\]{}"<]*')
_CALL_START = compile_bytes(rb"[ \t\n\r,\[\]]*(\{)?")
# A closing brace, a plain name, or arguments that open a bracket; anything else is read in steps.
_MEMBER = compile_bytes(
    rb'[ \t\n\r,]*(?:(\})|"name"~:~"([^"\\<]*)"|"(?:arguments|parameters)"~:~()(?=[{\[]))'
)
# The call that models nearly always write, as a short cut: name, then arguments nested at most
# twice. It must agree with what the other patterns make of the same text.
_PLAIN_CALL = compile_bytes(
    rb'[ \t\n\r,\[\]]*\{~"name"~:~"([^"\\<]*)"~,~"(?:arguments|parameters)"~:~'
    rb"([{\[]FLAT(?:[{\[]FLAT[}\]]FLAT)*[}\]])~\}"
)
_PLAIN_CALL_REGIONS = (NAME, FORMAT, ARGS, FORMAT)
_QUOTE, _OPENING, _COLON = ord('"'), frozenset(b"[{"), ord(":")
_KEYS = {b'"name"': NAME, b'"arguments"': ARGS, b'"parameters"': ARGS}
_space = re.compile(r"[ \t\r\n]*")


class JsonCalls:
    """Scans JSON calls among the tags of a syntax."""

    def __init__(self, tags: Iterable[bytes]) -> None:
        tags = list(tags)
        self.extent = JsonExtent(tags)
        self._recovery = re.compile(rb"(?<=\n)\{|" + tag_pattern(tags))
        self._end = re.compile(rb"[ \t\n\r]*(?=" + tag_pattern(tags) + rb")")

    def scan(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """Marks the calls that begin at `position`; returns where the tag that ends them starts."""
        outline.mark(position, FORMAT)
        while True:
            while plain := _PLAIN_CALL.match(text, position, end):
                outline.starts += plain.span(1) + plain.span(2)
                outline.regions += _PLAIN_CALL_REGIONS
                position = plain.end()
            if done := self._end.match(text, position, end):  # as nearly always
                return done.end()
            found = _CALL_START.match(text, position, end)
            assert found is not None
            position = found.end()
            if found.lastindex:
                position, closed = self.scan_call(text, position, end, outline)
                if closed:
                    continue
            outline.mark(position, TEXT)
            recovery = self._recovery.search(text, position, end)
            if recovery is None:
                return end
            position = recovery.start()
            if recovery[0] != b"{":
                return position
            outline.mark(position, FORMAT)

    def scan_call(self, text: bytes, position: int, end: int, outline: Outline) -> tuple[int, bool]:
        """Marks a call from behind its `{`; returns where it ends, and whether its `}` was read."""
        mark = outline.mark
        closed = True
        while closed:
            member = _MEMBER.match(text, position, end)
            if member is None:
                position, closed = self._scan_member(text, position, end, outline)
                continue
            position = member.end()
            if member.lastindex == 1:
                return position, True
            if member.lastindex == 2:
                name_start, name_end = member.span(2)
                mark(name_start, NAME)
                mark(name_end, FORMAT)
            else:
                mark(position, ARGS)
                position, closed = self.extent.bracketed_end(text, position, end)
                mark(position, FORMAT)
        return position, False

    def _scan_member(
        self, text: bytes, position: int, end: int, outline: Outline
    ) -> tuple[int, bool]:
        """Marks one key and its value; returns where they end, and whether the call can go on."""
        mark = outline.mark
        position = skip(_SEPARATOR, text, position, end)
        if position == end or text[position] != _QUOTE:
            return position, False
        key_end, closed = self.extent.string_end(text, position, end)
        region = _KEYS.get(text[position:key_end], TEXT)
        if region == TEXT:
            mark(position, TEXT)
            mark(key_end, FORMAT)
        position = skip(SPACE, text, key_end, end)
        if not closed or position == end or text[position] != _COLON:
            return position if closed else key_end, False
        position = skip(SPACE, text, position + 1, end)
        if position == end:
            return end, False
        first = text[position]
        if first == _QUOTE:
            value_end, closed = self.extent.string_end(text, position, end)
            if region == NAME:
                mark(position + 1, NAME)
                mark(value_end - closed, FORMAT)
                return value_end, closed
        elif first in _OPENING:
            value_end, closed = self.extent.bracketed_end(text, position, end)
        else:
            value_end, closed = skip(_SCALAR, text, position, end), True
            if value_end == position:
                return position, False
        mark(position, TEXT if region == NAME else region)
        mark(value_end, FORMAT)
        return value_end, closed


def decode_calls(data: bytes, calls: list[ToolCall]) -> bool:
    """Appends the calls that `data` consists of; False if it is not calls throughout.

    A call is an object with a string `name` and an object under either `parameters` (ToolRL, Llama)
    or `arguments` (Hermes, Qwen, Mistral), not under both; a string `id` is kept, further keys are
    ignored.
    """
    block = decode_text(data).strip(" \t\r\n")
    position, end = 0, len(block)
    if not end:
        return False
    while position < end:
        try:
            value, position = decode_json(block, position)
        except (ValueError, RecursionError):
            return False
        call = call_of(value)
        if call is None:
            return False
        calls.append(call)
        if position < end:
            position = _space.match(block, position).end()  # type: ignore[union-attr]
    return True


def call_of(value: object) -> ToolCall | None:
    """The call that a JSON value is, or None."""
    if type(value) is not dict or ("parameters" in value) == ("arguments" in value):
        return None
    name, id_ = value.get("name"), value.get("id")
    arguments = value["parameters"] if "parameters" in value else value["arguments"]
    if type(name) is not str or type(arguments) is not dict:
        return None
    return ToolCall(name, arguments, id_ if type(id_) is str else None)
