"""A recorded dialogue with tool calls that checks itself, and its reader for chat messages.

A line of input is `{"messages": [...], "tools": [...]}` in OpenAI's layout, with an optional "id".
A message has a "role" and a text "content"; an assistant's may have "tool_calls", whose "arguments"
are an object or its JSON, and its text may open with a `<think>` block.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from rest_verl.files.json_lines import load_json, read_json_lines
from rest_verl.syntax import ToolCall

Role = Literal["system", "user", "assistant", "tool"]

_THOUGHT = re.compile(r"\s*<think>\s*(?P<thought>.*?)\s*</think>\s*(?P<content>.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one side said."""

    role: Role
    content: str = ""
    thought: str = ""
    """An assistant's reasoning."""
    calls: tuple[ToolCall, ...] = ()
    """An assistant's calls; a message of role "tool" for each of them follows."""
    new_tools: tuple[dict[str, Any], ...] = ()
    """Tools that are offered from this user message on."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """System messages if any, a user message, and then what the three sides said in turn."""

    id: str
    origin: str = ""
    """File and line that it was read from, for complaints; "": its id says enough."""
    category: str
    data_source: str
    version: str = ""
    """Version of the data, where it has one."""
    split_key: str
    """Dialogues with the same key stay on the same side of a split."""
    tools: list[dict[str, Any]]
    """Tools offered from the start, in OpenAI's layout."""
    messages: list[Message]

    def __post_init__(self) -> None:
        """Raises ValueError, naming the message (the first is 0), for what is no dialogue."""
        before, unanswered = "system", 0
        for number, message in enumerate(self.messages):
            fault = _order_fault(before, message.role, unanswered)
            if message.role == "assistant" and not (message.calls or message.content):
                fault = fault or "it holds neither text nor calls"
            if fault:
                raise ValueError(f"message {number} ({message.role}): {fault}; mend or drop it")
            unanswered = unanswered - 1 if message.role == "tool" else len(message.calls)
            before = message.role
        if not any(message.role == "assistant" for message in self.messages):
            raise ValueError("no message of the assistant, so nothing to learn; drop the dialogue")

    def calls_not_offered(self) -> list[str]:
        """Names that are called while no such tool is offered: nobody could know them."""
        offered = {tool["function"]["name"] for tool in self.tools}
        unknown: dict[str, None] = {}
        for message in self.messages:
            offered |= {tool["function"]["name"] for tool in message.new_tools}
            unknown |= {call.name: None for call in message.calls if call.name not in offered}
        return list(unknown)


def _order_fault(before: str, role: Role, unanswered: int) -> str:
    """What is wrong with a message of `role` after one of `before`; "" if nothing is."""
    if before == "system" and role not in ("system", "user"):
        return "a dialogue begins with system messages, if any, and the user's"
    if role == "system" and before != "system":
        return "system messages stand at the start"
    if role == "tool" and not unanswered:
        return "a tool's message without a call before it"
    if role != "tool" and unanswered:
        return f"{unanswered} of the calls before it have no tool message"
    return ""


def read_dialogues(path: Path) -> Iterator[Dialogue]:
    """The dialogues of a file of JSON lines.

    Raises:
        ValueError: a missing file or a bad line, with file, line and what to mend.
    """
    for where, record in read_json_lines(path):
        yield _dialogue(record, path, where)


def _dialogue(record: dict[str, Any], path: Path, where: str) -> Dialogue:
    messages, tools = record.get("messages"), record.get("tools", [])
    if not isinstance(messages, list) or not messages:
        raise ValueError(f'{where}: "messages" must be a list of messages, at least one')
    if not isinstance(tools, list) or not all(map(_is_tool, tools)):
        raise ValueError(
            f'{where}: "tools" must be a list of {{"type": "function", "function": {{"name", '
            '"description", "parameters": JSON schema}}'
        )
    read = [_message(message, f"{where}, message {i}") for i, message in enumerate(messages)]
    opening = [message.content for message in read if message.role == "user"][:1]
    line = where.rpartition(":")[2]
    try:
        return Dialogue(
            id=str(record.get("id", f"{path.stem}-{line}")),
            origin=where,
            category=path.stem,
            data_source=f"dialogues/{path.stem}",
            split_key=json.dumps(opening, ensure_ascii=False),
            tools=tools,
            messages=read,
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _is_tool(tool: Any) -> bool:
    match tool:
        case {"function": {"name": str()} as function}:
            parameters = function.get("parameters") or {}
        case _:
            return False
    match parameters:
        case {"properties": dict(properties)}:
            return all(isinstance(spec, dict) for spec in properties.values())
    return parameters == {} or (isinstance(parameters, dict) and "properties" not in parameters)


def _message(record: Any, where: str) -> Message:
    if not isinstance(record, dict) or record.get("role") not in get_args(Role):
        raise ValueError(f'{where}: needs a "role" out of {", ".join(get_args(Role))}')
    role: Role = record["role"]
    calls = record.get("tool_calls") or []
    content = record.get("content")
    if content is None and calls:
        content = ""  # OpenAI's layout for a message that holds calls alone
    if not isinstance(content, str):
        raise ValueError(f'{where}: "content" must be a text')
    if calls and (role != "assistant" or not isinstance(calls, list)):
        raise ValueError(f'{where}: "tool_calls" must be a list, in an assistant message')
    thought = ""
    if role == "assistant" and (split := _THOUGHT.fullmatch(content)):
        thought, content = split["thought"], split["content"]
    return Message(
        role=role,
        content=content,
        thought=thought,
        calls=tuple(_call(call, where) for call in calls),
    )


def _call(record: Any, where: str) -> ToolCall:
    match record:
        case {"function": {"name": str(name), "arguments": str(text)}}:
            try:
                arguments = load_json(text)
            except (ValueError, RecursionError) as error:
                _refuse_call(where, f"the arguments of {name!r} are not JSON: {error}")
        case {"function": {"name": str(name), "arguments": arguments}}:
            pass
        case _:
            _refuse_call(where, 'it needs {"function": {"name", "arguments"}}')
    if not isinstance(arguments, dict):
        _refuse_call(where, f"the arguments of {name!r} are not an object")
    return ToolCall(name, arguments)


def _refuse_call(where: str, why: str) -> NoReturn:
    raise ValueError(f"{where}: bad tool call: {why}")
