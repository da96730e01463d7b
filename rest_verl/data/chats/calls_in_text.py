"""Texts of assistants, read by `rest_verl.syntax`: calls where a layout has them, and elsewhere."""

import json
import re
from collections.abc import Iterable

from rest_verl.data.chats.chat import RecordedCall
from rest_verl.data.refusals import Refused, shortened
from rest_verl.syntax import Syntax, get_syntax, read_message
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import FORMAT, TEXT, THINK

_PLAIN = "toolrl"  # its tags are those of most other syntaxes
_LISTED = r"\[([^\[\](){}]+)\(\s*(?:\)|[^\W\d]\w*\s*=)"
_LISTED_CALL = re.compile(_LISTED)
_LIST_OF_CALLS = re.compile(rf"\s*{_LISTED}.*\]\s*", re.DOTALL)
"""A list of calls as `pythonic` writes them, but of tools of whatever names."""
_THINK_TAG = re.compile(r"</?think>")


def split_message(syntax: Syntax, message: str) -> tuple[str, str, list[RecordedCall]]:
    """Its thought, its text without thought and calls, and its calls.

    Raises:
        Refused: calls that cannot be read, or a thought elsewhere than at the start.
    """
    data = message.encode("utf-8", "surrogatepass")
    reading = syntax.read(data, think_is_open=False)
    if not reading.well_formed:
        raise Refused(
            "unreadable call in text", f"its calls are no {syntax.name} calls: {shortened(message)}"
        )
    calls = [
        RecordedCall(name=c.name, arguments=c.arguments, from_text=True) for c in reading.calls
    ]
    try:
        written = [(call.name, call.arguments) for call in calls]
        json.dumps(written, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refused("unreadable call in text", f"JSON cannot hold its calls: {error}") from None
    parts = _parts_outside_calls(syntax, data)
    thoughts = [text for region, text in parts if region == THINK]
    in_order = re.fullmatch("(?:Tt)?(?:Cc)*", reading.structure)
    if not in_order or (thoughts and parts[0][0] != THINK):
        raise Refused(
            "thought within a text",
            f"a thought must open the message, and there may be one: {shortened(message)}",
        )
    text = "\n".join(text for region, text in parts if region == TEXT)
    return "".join(thoughts), text, calls


def _parts_outside_calls(syntax: Syntax, data: bytes) -> list[tuple[int, str]]:
    """(THINK or TEXT, what is said) of each part that says something."""
    outline = Outline()
    syntax.scan(data, 0, len(data), outline, False)
    ends = [*outline.starts[1:], len(data)]
    opening = tuple(syntax.blocks)
    closing = tuple(tag for tag in syntax.blocks.values() if tag)
    parts, within = [], False
    for start, end, region in zip(outline.starts, ends, outline.regions, strict=True):
        written = data[start:end]
        if region == FORMAT and written.startswith(opening):
            within = True
        elif region == FORMAT and written.startswith(closing):
            within = False
        elif region in (TEXT, THINK) and not within and written.strip():
            parts.append((region, written.decode("utf-8", "surrogatepass").strip()))
    return parts


def refuse_calls_and_thoughts(text: str, names: Iterable[str]) -> None:
    """Raises Refused for an assistant's text that makes a call, in whatever syntax, or thinks.

    Such a text would be learnt as an answer that calls nothing.

    Args:
        text: without what is known to be thought or calls.
        names: of the tools; a list of calls of them is found within a text as well.
    """
    reading = read_message(get_syntax(_PLAIN), text, think_is_open=False)
    listed = {found[1].strip() for found in _LISTED_CALL.finditer(text)}
    if reading.tries_to_call or _LIST_OF_CALLS.fullmatch(text) or not listed.isdisjoint(names):
        raise Refused(
            "call in text",
            f"its text makes a call, where this layout has none: {shortened(text)}; write it as a "
            "call",
        )
    if _THINK_TAG.search(text):
        raise Refused(
            "thought within a text",
            f"a thought must open the message, and there may be one: {shortened(text)}",
        )
