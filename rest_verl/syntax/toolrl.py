"""`toolrl`: the format that ToolRL's and this package's own prompts ask for.

    <think> The user wants Oslo's weather. </think>
    <tool_call>
    {"name": "get_weather", "parameters": {"city": "Oslo"}}
    </tool_call>
    <response> Let me look. </response>

One block with a call a line. `arguments` is read as `parameters` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.json_blocks import JsonBlocks
from rest_verl.syntax.json_values import dump_json
from rest_verl.syntax.registry import register_syntax


@register_syntax("toolrl")
class ToolRL(JsonBlocks):
    """Thought, calls and response in tags of their own."""

    opaque: ClassVar = {b"<response>": b"</response>"}
    form = "TtCc(?:Rr)?"
    form_without_calls = "TtRr"
    in_templates = False

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base; an empty thought is written, None is not."""
        parts = [] if think is None else [f"<think> {think} </think>"]
        if calls:
            lines = [dump_json({"name": c.name, "parameters": c.arguments}) for c in calls]
            parts += ["<tool_call>", *lines, "</tool_call>"]
        if text:
            parts.append(f"<response> {text} </response>")
        return "\n".join(parts)
