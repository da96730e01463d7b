"""`seed`: ByteDance's Seed-OSS.

    <seed:think>The user wants Oslo's weather.</seed:think>
    <seed:tool_call>
    <function=get_weather>
    <parameter=city>Oslo</parameter>
    </function>
    </seed:tool_call>

A block for each call; several calls in one are read as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.registry import register_syntax
from rest_verl.syntax.xml_calls import XmlCalls, write_value


@register_syntax("seed")
class Seed(XmlCalls):
    """Text, then a block for each call."""

    think = (b"<seed:think>", b"</seed:think>")
    blocks: ClassVar = {b"<seed:tool_call>": b"</seed:tool_call>"}
    call_open = (b"<function=", b">")
    call_close = b"</function>"
    parameter_open = (b"<parameter=", b">")
    parameter_close = b"</parameter>"

    def leaves_think_open(self, prompt: bytes) -> bool:
        """As the base; with a budget of 0 the prompt begins a reflection on it in the thought."""
        return super().leaves_think_open(prompt.rstrip().removesuffix(b"<seed:cot_budget_reflect>"))

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base, but for values that are no strings, which its template writes as Python."""
        parts = [f"<seed:think>{think}</seed:think>"] if think else []
        if text:
            parts.append(text + "\n" if calls else text)
        return "\n".join([*parts, *map(_write_call, calls)])


def _write_call(call: ToolCall) -> str:
    parameters = "".join(
        f"<parameter={key}>{write_value(value)}</parameter>\n"
        for key, value in call.arguments.items()
    )
    return f"<seed:tool_call>\n<function={call.name}>\n{parameters}</function>\n</seed:tool_call>"
