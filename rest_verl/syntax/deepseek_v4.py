"""`deepseek_v4`: DeepSeek-V4.

    <think>The user wants Oslo's weather.</think>

    <｜DSML｜tool_calls>
    <｜DSML｜invoke name="get_weather">
    <｜DSML｜parameter name="city" string="true">Oslo</｜DSML｜parameter>
    <｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>
    </｜DSML｜invoke>
    </｜DSML｜tool_calls>

One block with all calls; several blocks are read as well. A value says itself whether it is a
string or JSON, so that no schema is asked; what is said to be JSON and is none stays text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rest_verl.syntax.base import ToolCall
from rest_verl.syntax.json_values import decode_text
from rest_verl.syntax.registry import register_syntax
from rest_verl.syntax.schema import typed_value
from rest_verl.syntax.xml_calls import Parameter, XmlCalls, write_value


@register_syntax("deepseek_v4")
class DeepSeekV4(XmlCalls):
    """Text, then a block with all calls."""

    blocks: ClassVar = {"<｜DSML｜tool_calls>".encode(): "</｜DSML｜tool_calls>".encode()}
    call_open = ('<｜DSML｜invoke name="'.encode(), b'">')
    call_close = "</｜DSML｜invoke>".encode()
    parameter_open = ('<｜DSML｜parameter name="'.encode(), b'" string="(?:true|false)">')
    parameter_close = "</｜DSML｜parameter>".encode()
    typed_by_schema = False

    def read_value(self, text: bytes, parameter: Parameter, schema: Any) -> Any:
        """As the message says."""
        value = decode_text(text[parameter.value_start : parameter.value_end])
        is_string = text.startswith(b'" string="true"', parameter.key_end)
        return value if is_string else typed_value(value, None)

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base."""
        thought = "" if think is None else f"<think>{think}</think>"
        block = ""
        if calls:
            written = "\n".join(map(_write_call, calls))
            block = f"\n\n<｜DSML｜tool_calls>\n{written}\n</｜DSML｜tool_calls>"
        return f"{thought}{text}{block}"


def _write_call(call: ToolCall) -> str:
    parameters = "\n".join(
        f'<｜DSML｜parameter name="{key}" string="{"true" if isinstance(value, str) else "false"}">'
        f"{write_value(value)}</｜DSML｜parameter>"
        for key, value in call.arguments.items()
    )
    return f'<｜DSML｜invoke name="{call.name}">\n{parameters}\n</｜DSML｜invoke>'
