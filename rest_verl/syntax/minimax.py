"""`minimax`: MiniMax-M2.

    <think>
    The user wants Oslo's weather.
    </think>

    <minimax:tool_call>
    <invoke name="get_weather">
    <parameter name="city">Oslo</parameter>
    </invoke>
    </minimax:tool_call>

One block with all calls; several blocks are read as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.registry import register_syntax
from rest_verl.syntax.xml_calls import XmlCalls, write_value


@register_syntax("minimax")
class MiniMax(XmlCalls):
    """Text, then a block with all calls."""

    blocks: ClassVar = {b"<minimax:tool_call>": b"</minimax:tool_call>"}
    call_open = (b'<invoke name="', b'">')
    call_close = b"</invoke>"
    parameter_open = (b'<parameter name="', b'">')
    parameter_close = b"</parameter>"

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base."""
        block = ""
        if calls:
            written = "".join(map(_write_call, calls))
            block = f"\n<minimax:tool_call>\n{written}</minimax:tool_call>"
        return f"{self.write_think(think)}{text}{block}"


def _write_call(call: ToolCall) -> str:
    parameters = "".join(
        f'<parameter name="{key}">{write_value(value)}</parameter>\n'
        for key, value in call.arguments.items()
    )
    return f'<invoke name="{call.name}">\n{parameters}</invoke>\n'
