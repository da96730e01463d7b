"""Where each region of a response begins: a linear scan over the response's bytes.

The rules, beyond the table in `Region`:

- A think ends at the first `</think>`; no tag inside it counts. A `</think>` that no `<think>`
  opened closes a think that the prompt opened: all before it is THINK, unless a call's name or
  arguments, or another think, came before it.
- A `<response>` that is closed is TEXT up to the first `</response>`; no tag inside it counts.
  If it is never closed, the tags after it count as usual.
- A block holds calls separated by whitespace, commas and list brackets, in any number. It ends at
  the next tag, whichever it is, that is not inside a JSON string. A tag inside a JSON string
  belongs to the string if the string is closed and followed by `,`, `:`, a closing bracket or the
  end; otherwise it ends the call.
- The quotes around a name are FORMAT, the characters between them NAME. Whatever value
  `arguments` or `parameters` has, object, list, string or scalar, is ARGS. Brackets are counted,
  not paired by kind. Keys are compared as written, without resolving escapes.
- Another key of a call and its value are TEXT, and so is a name that is no string; the colon, the
  commas and the whitespace around them stay FORMAT.
- Where a block stops being JSON, its remains are TEXT up to the next tag, or up to a `{` that
  opens a line, where a new call begins. What was read before keeps its region.
- Missing, doubled and trailing commas are tolerated.
"""

from __future__ import annotations

import re
from enum import IntEnum


class Region(IntEnum):
    """What a token of a response is for (method section 2)."""

    FORMAT = 0
    """The six tags, the JSON scaffolding of a call, the end of a turn."""
    NAME = 1
    """The name of a called tool."""
    ARGS = 2
    """The arguments of a call, brackets included."""
    THINK = 3
    """Reasoning."""
    TEXT = 4
    """Everything else: response text, text outside tags, malformed remains."""


# Plain integers: they go into numpy arrays by the thousand.
FORMAT, NAME, ARGS, THINK, TEXT = map(int, Region)

TAGS = (b"<think>", b"</think>", b"<tool_call>", b"</tool_call>", b"<response>", b"</response>")
THINK_OPEN, THINK_CLOSE, CALL_OPEN, _, RESPONSE_OPEN, RESPONSE_CLOSE = TAGS


def _compile(pattern: bytes) -> re.Pattern[bytes]:
    """Regular expression in which `~` is JSON whitespace and `FLAT` text without brackets.

    FLAT is text outside strings, and whole strings; it ends before any `<`, since that may be a
    tag. No pattern can match a text in two ways, so none backtracks more than once over it.
    """
    flat = rb'[^"\[\]{}<]*(?:"[^"\\<]*(?:\\[^<][^"\\<]*)*"[^"\[\]{}<]*)*'
    return re.compile(pattern.replace(b"~", rb"[ \t\n\r]*").replace(b"FLAT", flat), re.DOTALL)


_TAG = _compile(rb"</?(?:think|tool_call|response)>")
_SPACE = _compile(rb"~")
_SEPARATOR = _compile(rb"[ \t\n\r,]*")
_FLAT = _compile(rb"FLAT")
_STRING = _compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(")?')
_AFTER_STRING = _compile(rb"~(?:[,:\]}]|\Z)")
_SCALAR = _compile(rb'[^ \t\n\r,:\[\]{}"<]*')
_CALL_START = _compile(rb"[ \t\n\r,\[\]]*(\{)?")
_RECOVERY = _compile(rb"(?<=\n)\{|</?(?:think|tool_call|response)>")
# A closing brace, a plain name, or arguments that open a bracket; anything else is read in steps.
_MEMBER = _compile(
    rb'[ \t\n\r,]*(?:(\})|"name"~:~"([^"\\<]*)"|"(?:arguments|parameters)"~:~()(?=[{\[]))'
)
# The call that models nearly always write, as a short cut: name, then arguments nested at most
# twice. It must agree with what the other patterns make of the same text.
_PLAIN_CALL = _compile(
    rb'[ \t\n\r,\[\]]*\{~"name"~:~"([^"\\<]*)"~,~"(?:arguments|parameters)"~:~'
    rb"([{\[]FLAT(?:[{\[]FLAT[}\]]FLAT)*[}\]])~\}"
)
_PLAIN_CALL_REGIONS = (NAME, FORMAT, ARGS, FORMAT)
_QUOTE, _OPENING, _CLOSING, _COLON = ord('"'), frozenset(b"[{"), frozenset(b"]}"), ord(":")
_KEYS = {b'"name"': NAME, b'"arguments"': ARGS, b'"parameters"': ARGS}


class Segments:
    """Consecutive byte ranges with their regions; each lasts until the next one starts."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.regions: list[int] = []

    def mark(self, start: int, region: int) -> None:
        self.starts.append(start)
        self.regions.append(region)

    def truncate(self, length: int) -> None:
        del self.starts[length:], self.regions[length:]


def scan(text: bytes, start: int, end: int, segments: Segments) -> None:
    """Appends the segments of the response `text[start:end]`; they cover it exactly.

    Takes time linear in `end - start` on any bytes, does not recurse and never raises.
    """
    mark = segments.mark
    before = len(segments.starts)
    mark(start, TEXT)
    prompt_may_think = True  # no think and no call so far
    first_think_close = text.find(THINK_CLOSE, start, end)
    response_close = -1
    position = start
    while found := _TAG.search(text, position, end):
        tag = found[0]
        tag_start, position = found.span()
        if tag == THINK_CLOSE and prompt_may_think:
            segments.truncate(before)
            mark(start, THINK)
            prompt_may_think = False
        mark(tag_start, FORMAT)
        if tag == CALL_OPEN:
            inside = len(segments.starts)
            position = _scan_block(text, position, end, segments)
            if prompt_may_think:
                regions = segments.regions[inside:]
                prompt_may_think = NAME not in regions and ARGS not in regions
            continue  # at a tag or at the end
        if tag == THINK_OPEN:
            prompt_may_think = False
            mark(position, THINK)
            position = text.find(THINK_CLOSE, position, end)
            if position < 0:
                return
            mark(position, FORMAT)
            position += len(THINK_CLOSE)
        mark(position, TEXT)
        if tag == RESPONSE_OPEN:
            if response_close < position:
                response_close = text.find(RESPONSE_CLOSE, position, end)
                if response_close < 0:
                    response_close = end
            quoted = prompt_may_think and -1 < first_think_close < response_close
            if response_close < end and not quoted:
                position = response_close


def _scan_block(text: bytes, position: int, end: int, segments: Segments) -> int:
    """Marks what follows `<tool_call>`; returns where the tag that ends the block starts."""
    segments.mark(position, FORMAT)
    while True:
        while plain := _PLAIN_CALL.match(text, position, end):
            segments.starts += plain.span(1) + plain.span(2)
            segments.regions += _PLAIN_CALL_REGIONS
            position = plain.end()
        found = _CALL_START.match(text, position, end)
        assert found is not None
        position = found.end()
        if found.lastindex:
            position, closed = _scan_call(text, position, end, segments)
            if closed:
                continue
        segments.mark(position, TEXT)
        recovery = _RECOVERY.search(text, position, end)
        if recovery is None:
            return end
        position = recovery.start()
        if recovery[0] != b"{":
            return position
        segments.mark(position, FORMAT)


def _scan_call(text: bytes, position: int, end: int, segments: Segments) -> tuple[int, bool]:
    """Marks a call from behind its `{`; returns where it ends, and whether its `}` was read."""
    mark = segments.mark
    closed = True
    while closed:
        member = _MEMBER.match(text, position, end)
        if member is None:
            position, closed = _scan_member(text, position, end, segments)
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
            position, closed = _bracketed_end(text, position, end)
            mark(position, FORMAT)
    return position, False


def _scan_member(text: bytes, position: int, end: int, segments: Segments) -> tuple[int, bool]:
    """Marks one key and its value; returns where they end, and whether the call can go on."""
    mark = segments.mark
    position = _skip(_SEPARATOR, text, position, end)
    if position == end or text[position] != _QUOTE:
        return position, False
    key_end, closed = _string_end(text, position, end)
    region = _KEYS.get(text[position:key_end], TEXT)
    if region == TEXT:
        mark(position, TEXT)
        mark(key_end, FORMAT)
    position = _skip(_SPACE, text, key_end, end)
    if not closed or position == end or text[position] != _COLON:
        return position if closed else key_end, False
    position = _skip(_SPACE, text, position + 1, end)
    if position == end:
        return end, False
    first = text[position]
    if first == _QUOTE:
        value_end, closed = _string_end(text, position, end)
        if region == NAME:
            mark(position + 1, NAME)
            mark(value_end - closed, FORMAT)
            return value_end, closed
    elif first in _OPENING:
        value_end, closed = _bracketed_end(text, position, end)
    else:
        value_end, closed = _skip(_SCALAR, text, position, end), True
        if value_end == position:
            return position, False
    mark(position, TEXT if region == NAME else region)
    mark(value_end, FORMAT)
    return value_end, closed


def _skip(pattern: re.Pattern[bytes], text: bytes, position: int, end: int) -> int:
    """End of a pattern that matches everywhere, if only nothing."""
    found = pattern.match(text, position, end)
    assert found is not None
    return found.end()


def _string_end(text: bytes, position: int, end: int) -> tuple[int, bool]:
    """End of the string that opens at `position`, or of what there is of it; whether it closes."""
    found = _STRING.match(text, position, end)
    assert found is not None
    closed = found.lastindex is not None
    string_end = found.end() if closed else end
    tag = _TAG.search(text, position, string_end)
    if tag is None or (closed and _AFTER_STRING.match(text, string_end, end)):
        return string_end, closed
    return tag.start(), False


def _bracketed_end(text: bytes, position: int, end: int) -> tuple[int, bool]:
    """End of the value whose bracket opens at `position`; whether the matching one was found."""
    depth = 0
    while position < end:
        byte = text[position]
        if byte == _QUOTE:
            position, closed = _string_end(text, position, end)
            if not closed:
                return position, False
        elif byte in _OPENING:
            depth += 1
            position += 1
        elif byte in _CLOSING:
            depth -= 1
            position += 1
            if depth == 0:
                return position, True
        elif _TAG.match(text, position, end):
            return position, False
        else:
            position += 1
        position = _skip(_FLAT, text, position, end)
    return end, False
