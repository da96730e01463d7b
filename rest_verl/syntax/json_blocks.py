"""JSON calls in `<tool_call>` blocks: what `toolrl` and `hermes` share."""

from __future__ import annotations

from typing import ClassVar

from rest_verl.syntax.base import Syntax, ToolCall, Tools
from rest_verl.syntax.json_calls import JsonCalls, decode_calls
from rest_verl.syntax.outline import Outline


class JsonBlocks(Syntax):
    """One or more blocks, each with one or more calls (`rest_verl.syntax.json_calls`)."""

    blocks: ClassVar = {b"<tool_call>": b"</tool_call>"}

    def __init__(self) -> None:
        super().__init__()
        self._calls = JsonCalls(self.tags)

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """As the base."""
        block_end = self._calls.scan(text, position, end, outline)
        outline.found.append((position, block_end))
        return block_end

    def decode(
        self,
        text: bytes,
        found: tuple[int, int],
        calls: list[ToolCall],
        tools: Tools | None,
    ) -> bool:
        """As the base; `found` is where a block begins and ends."""
        return decode_calls(text[slice(*found)], calls)
