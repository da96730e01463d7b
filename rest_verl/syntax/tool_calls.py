"""Read a response: the order of its tags, and the tool calls in its blocks.

Two tags make what they enclose opaque. Inside ``<think>`` nothing counts, so a quoted tag is
only text, and an unclosed ``<think>`` lasts to the end. A ``<tool_call>`` block ends at the first
``</tool_call>`` and must hold JSON call objects, one or more, parted by nothing but whitespace.

Model text is data: whatever it holds, reading it takes time linear in its length and raises
nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, NoReturn

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
CALL_OPEN, CALL_CLOSE = "<tool_call>", "</tool_call>"
RESPONSE_OPEN, RESPONSE_CLOSE = "<response>", "</response>"

_LETTER = {
    THINK_OPEN: "T",
    THINK_CLOSE: "t",
    CALL_OPEN: "C",
    CALL_CLOSE: "c",
    RESPONSE_OPEN: "R",
    RESPONSE_CLOSE: "r",
}
_tag = re.compile(r"</?(?:think|tool_call|response)>")
_space = re.compile(r"[ \t\r\n]*")


class ToolCall(NamedTuple):
    """One well-formed call."""

    name: str
    arguments: dict[str, Any]


class ParsedResponse(NamedTuple):
    """What the rewards need to know of a response."""

    structure: str
    """The tags outside think text in order, a letter each: T/t think, C/c tool_call, R/r response;
    capitals open, small letters close."""
    calls: list[ToolCall]
    """The well-formed calls of all blocks, in order."""
    well_formed: bool
    """True if every block is closed and holds one or more calls and nothing else."""


def _refuse_constant(constant: str) -> NoReturn:
    # Python's json reads NaN, Infinity and -Infinity, which JSON does not have.
    raise ValueError(f"{constant} is not JSON")


decode_json = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
"""``decode_json(text, index) -> (value, end)``; of a key given twice the last value stands.
On bad text: ValueError (a number past Python's digit limit included) or RecursionError."""


def read_calls(block: str, calls: list[ToolCall]) -> bool:
    """Append the calls of one block to ``calls``; False if the block is not calls throughout.

    A call is an object with a string ``name`` and an object under either ``parameters`` (ToolRL)
    or ``arguments`` (Hermes, Qwen), not under both; further keys are ignored.
    """
    block = block.strip()
    position, end = 0, len(block)
    if not end:
        return False
    while position < end:
        try:
            value, position = decode_json(block, position)
        except (ValueError, RecursionError):
            return False
        if type(value) is not dict or ("parameters" in value) == ("arguments" in value):
            return False
        name = value.get("name")
        arguments = value["parameters"] if "parameters" in value else value["arguments"]
        if type(name) is not str or type(arguments) is not dict:
            return False
        calls.append(ToolCall(name, arguments))
        if position < end:
            position = _space.match(block, position).end()  # type: ignore[union-attr]
    return True


def parse_response(text: str, *, think_may_be_open: bool = False) -> ParsedResponse:
    """Read ``text``, one assistant answer without chat-template tokens around it.

    With ``think_may_be_open`` a ``</think>`` that no ``<think>`` precedes closes think text which
    the prompt opened, as some chat templates do; otherwise it is a stray tag.
    """
    letters: list[str] = []
    calls: list[ToolCall] = []
    well_formed = True
    position = 0
    if think_may_be_open:
        end = text.find(THINK_CLOSE)
        if end >= 0 and text.find(THINK_OPEN, 0, end) < 0:
            letters.append("Tt")
            position = end + len(THINK_CLOSE)
    while tag := _tag.search(text, position):
        letter = _LETTER[tag[0]]
        letters.append(letter)
        position = tag.end()
        if letter == "T":
            end = text.find(THINK_CLOSE, position)
            if end < 0:
                break
            letters.append("t")
            position = end + len(THINK_CLOSE)
        elif letter == "C":
            end = text.find(CALL_CLOSE, position)
            if end < 0:
                well_formed = False
                break
            block = text[position:end]
            if not read_calls(block, calls):
                well_formed = False
                # Only in a call that can be read is a tag surely part of an argument.
                letters += [_LETTER[inner] for inner in _tag.findall(block)]
            letters.append("c")
            position = end + len(CALL_CLOSE)
    return ParsedResponse("".join(letters), calls, well_formed)


def message_calls(text: str, *, think_is_open: bool) -> list[ToolCall] | None:
    """The calls that one message of a conversation asks for; None if a block cannot be read.

    With ``think_is_open`` the prompt ended within think text, and until that closes there is none.
    """
    if think_is_open and THINK_CLOSE not in text:
        return []
    parsed = parse_response(text, think_may_be_open=think_is_open)
    return parsed.calls if parsed.well_formed else None
