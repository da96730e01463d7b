"""An assistant's message as a row's prompt style wants it written."""

from collections.abc import Sequence

from rest_verl.prompts.styles import PromptStyle, asked_syntax
from rest_verl.syntax import Syntax, ToolCall, get_syntax

NO_CALL_RESPONSE = "None of the available tools can do this."
"""The response in the reference answer of a row that wants no call."""


def answer_syntax(style: PromptStyle, own: Syntax | str = "hermes") -> Syntax:
    """The syntax of the answers in a style: the one that its prompts ask for, else the model's own.

    Raises:
        ValueError: no such style or syntax.
    """
    name = asked_syntax(style) or own
    return get_syntax(name) if isinstance(name, str) else name


def write_answer(
    calls: Sequence[ToolCall],
    text: str,
    style: PromptStyle,
    *,
    think: str | None = None,
    syntax: Syntax | str = "hermes",
) -> str:
    """The message; `think` None leaves out the thought, and with `chat_template` so does "".

    Args:
        syntax: the model's own, for `chat_template`.
    """
    return answer_syntax(style, syntax).write(calls, text, think=think)
