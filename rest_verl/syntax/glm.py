"""`glm`: GLM-4.5, GLM-4.6 and GLM-4.7.

    <think>The user wants Oslo's weather.</think>
    <tool_call>get_weather
    <arg_key>city</arg_key>
    <arg_value>Oslo</arg_value>
    </tool_call>

A block is a call. GLM-4.7 writes no newlines between the tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.registry import register_syntax
from rest_verl.syntax.xml_calls import XmlCalls, write_value


@register_syntax("glm")
class GLM(XmlCalls):
    """Text, then a block for each call."""

    blocks: ClassVar = {b"<tool_call>": b"</tool_call>"}
    call_open = (b"", rb"(?=~(?:<arg_key>|</tool_call>|\Z))")
    call_close = b"</tool_call>"
    parameter_open = (b"<arg_key>", b"</arg_key>~<arg_value>")
    parameter_close = b"</arg_value>"
    end_tokens = ("<|observation|>", "<|user|>")
    stop_tokens = ("<|observation|>",)

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base, for GLM-4.5 and GLM-4.6: each part begins a line."""
        parts = [] if think is None else [f"<think>{think}</think>"]
        if text:
            parts.append(text)
        return "".join(f"\n{part}" for part in [*parts, *map(_write_call, calls)])


def _write_call(call: ToolCall) -> str:
    arguments = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{write_value(value)}</arg_value>\n"
        for key, value in call.arguments.items()
    )
    return f"<tool_call>{call.name}\n{arguments}</tool_call>"
