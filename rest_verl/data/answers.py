"""Writes an assistant's message: thought, tool calls and text in the syntax of a prompt style."""

import json
from typing import Any

from rest_verl.prompts.styles import PromptStyle, check_style
from rest_verl.syntax.tool_calls import ToolCall

NO_CALL_RESPONSE = "None of the available tools can do this."
"""The response in the reference answer of a row that wants no call."""


def write_answer(
    calls: list[ToolCall], text: str, style: PromptStyle, *, think: str | None = None
) -> str:
    """The message; `think` None leaves out the think block, and so does "" with `chat_template`.

    `toolrl` and `compact`: one `<tool_call>` block with a call a line, under "parameters", and the
    text in `<response>`. `chat_template`: the text, then a block for each call, under "arguments",
    as the templates of Qwen and Hermes write them.
    """
    if check_style(style) == "chat_template":
        blocks = [
            f"<tool_call>\n{_dump({'name': name, 'arguments': arguments})}\n</tool_call>"
            for name, arguments in calls
        ]
        thought = f"<think>\n{think}\n</think>\n\n" if think else ""
        return thought + "\n".join([text, *blocks] if text else blocks)
    parts = [] if think is None else [f"<think> {think} </think>"]
    if calls:
        lines = [_dump({"name": name, "parameters": arguments}) for name, arguments in calls]
        parts += ["<tool_call>", *lines, "</tool_call>"]
    if text:
        parts.append(f"<response> {text} </response>")
    return "\n".join(parts)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
