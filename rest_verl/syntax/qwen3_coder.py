"""`qwen3_coder`: Qwen3-Coder, Qwen3.5 and who took over their template.

    <think>
    The user wants Oslo's weather.
    </think>

    <tool_call>
    <function=get_weather>
    <parameter=city>
    Oslo
    </parameter>
    </function>
    </tool_call>

A block for each call; several calls in one are read as well. Qwen3-Coder at times leaves out the
opening `<tool_call>`, most often after text. Such a `<function=` is text, as it is for verl: other
families write it in blocks of their own, and what a model is to learn is the whole form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.registry import register_syntax
from rest_verl.syntax.xml_calls import XmlCalls, write_value


@register_syntax("qwen3_coder")
class Qwen3Coder(XmlCalls):
    """Text, then a block for each call."""

    blocks: ClassVar = {b"<tool_call>": b"</tool_call>"}
    call_open = (b"<function=", b">")
    call_close = b"</function>"
    parameter_open = (b"<parameter=", b">")
    parameter_close = b"</parameter>"
    pads_values = True

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base, but for `true`, `false` and `null`, which its template writes as Python."""
        blocks = "\n".join(map(_write_call, calls))
        separator = "\n\n" if text and calls else ""
        return f"{self.write_think(think)}{text}{separator}{blocks}"


def _write_call(call: ToolCall) -> str:
    parameters = "".join(
        f"<parameter={key}>\n{write_value(value)}\n</parameter>\n"
        for key, value in call.arguments.items()
    )
    return f"<tool_call>\n<function={call.name}>\n{parameters}</function>\n</tool_call>"
