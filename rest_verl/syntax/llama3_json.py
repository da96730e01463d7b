"""`llama3_json`: Llama 3.1 to 3.3, and Llama 4 where it is asked for JSON.

    {"name": "get_weather", "parameters": {"city": "Oslo"}}

The whole message is calls, without tags but for a `<|python_tag|>` that some write in front;
several are parted by `;`, a comma or whitespace. `arguments` is read as `parameters` is. What
begins with an object whose first key is `name` or `type` is meant as calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from rest_verl.syntax.bare import BareSyntax
from rest_verl.syntax.base import ToolCall, Tools
from rest_verl.syntax.json_calls import JsonCalls, decode_calls
from rest_verl.syntax.json_values import SPACE, compile_bytes, dump_json, skip
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.registry import register_syntax

_PYTHON_TAG = b"<|python_tag|>"
_TAG = compile_bytes(rb"(?:<\|python_tag\|>~)?")
_TAGGED = compile_bytes(rb"<\|python_tag\|>~(?:\{|\Z)")
_BETWEEN = compile_bytes(rb"~(?:[;,]~)?(?:<\|python_tag\|>~)?(?=\{)")
_FIRST_KEYS = (b'"name"', b'"type"')


@register_syntax("llama3_json")
class Llama3Json(BareSyntax):
    """One or more JSON objects, or text."""

    opens_call = rb"(?:<\|python_tag\|>\s*)?\{"

    def __init__(self) -> None:
        super().__init__()
        self._calls = JsonCalls([*self.tags, _PYTHON_TAG])

    def begins_calls(self, text: bytes, position: int, end: int) -> bool:
        """As the base."""
        if not text.startswith(b"{", position, end):
            return _TAGGED.match(text, position, end) is not None
        key = skip(SPACE, text, position + 1, end)
        said = text[key : min(end, key + len(_FIRST_KEYS[0]))]  # less where the message breaks off
        return any(first.startswith(said) for first in _FIRST_KEYS)

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """As the base."""
        position = skip(_TAG, text, position, end)
        closed = position < end
        while closed:
            start = position
            position, closed = self._calls.scan_call(text, position + 1, end, outline)
            if not closed:
                break
            outline.found.append((start, position))
            between = _BETWEEN.match(text, position, end)
            if between is None:
                outline.letters.append("c")
                return position
            position = between.end()
        outline.well_formed = False
        return position

    def decode(
        self,
        text: bytes,
        found: tuple[int, int],
        calls: list[ToolCall],
        tools: Tools | None,
    ) -> bool:
        """As the base; `found` is where a call begins and ends."""
        return decode_calls(text[slice(*found)], calls)

    def may_call(self, text: bytes) -> bool:
        """As the base."""
        return b'"name"' in text

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base; of text and calls, only the calls."""
        written = [dump_json({"name": c.name, "parameters": c.arguments}) for c in calls]
        return self.write_think(think) + ("; ".join(written) or text)
