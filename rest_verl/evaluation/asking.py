"""Whether a model's chat template can ask what is to be asked.

Looked at before anything is written or started: the engine of a large model takes minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rest_verl.evaluation.conversations import Dialogue, Row

_PROBE = "probe_7c1e"


def check_template(
    builder: Any, model: Path, rows: Iterable[Row], *, shows_tools: bool, mend: str
) -> None:
    """Renders a prompt of each kind that the rows have.

    Args:
        shows_tools: whether the tools come through the template.
        mend: what to do where it shows none.

    Raises:
        ValueError: the template does not show tools, or refuses a kind of message.
    """
    if shows_tools:
        function = {"name": _PROBE, "description": "", "parameters": {"type": "object"}}
        tools = [{"type": "function", "function": function}]
        prompt = _render(builder, model, ["user"], tools)
        if _PROBE not in builder.tokenizer.decode(prompt):
            raise ValueError(f"{model}: its chat template does not show tools; {mend}")
    for roles in sorted({_roles(row, shows_tools) for row in rows}):
        _render(builder, model, roles, None)


def _roles(row: Row, shows_tools: bool) -> tuple[str, ...]:
    """Of the messages that the row begins with."""
    if isinstance(row, Dialogue):
        return ("user",) if shows_tools else ("system", "user")
    return tuple(message["role"] for message in row.messages)


def _render(
    builder: Any, model: Path, roles: Iterable[str], tools: list[dict[str, Any]] | None
) -> list[int]:
    messages = [{"role": role, "content": "text"} for role in roles]
    try:
        return builder.build_initial_tokens(messages, tools=tools)
    except Exception as error:  # whatever the template raises
        # verl then tries in a way of its own, whose failure would say nothing.
        while error.__context__ is not None:
            error = error.__context__  # type: ignore[assignment]
        raise ValueError(
            f"{model}: its chat template refuses messages of the roles {', '.join(roles)}, which "
            f"some rows have: {error}; change chat_template.jinja so that it takes them"
        ) from None
