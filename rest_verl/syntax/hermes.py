"""`hermes`: Qwen2.5, Qwen3, Hermes and whoever took over their template.

    <think>
    The user wants Oslo's weather.
    </think>

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Oslo"}}
    </tool_call>

A block for each call; several calls in one are read as well, and `parameters` as `arguments`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.json_blocks import JsonBlocks
from rest_verl.syntax.json_values import dump_json
from rest_verl.syntax.registry import register_syntax


@register_syntax("hermes")
class Hermes(JsonBlocks):
    """Text, then a block for each call."""

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base."""
        blocks = [
            f"<tool_call>\n{dump_json({'name': c.name, 'arguments': c.arguments})}\n</tool_call>"
            for c in calls
        ]
        return self.write_think(think) + "\n".join([text, *blocks] if text else blocks)
