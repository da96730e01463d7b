"""`openai`: `{"messages": [{"role", "content", "tool_calls"}, ...], "tools": [...]}`.

Content is a text, null or a list of text parts. An assistant's thought is `reasoning_content` or
`reasoning`, a part of type "thinking" or "reasoning", or a `<think>` block that opens its text. The
older `functions`, `function_call` and role "function" are read as well.
"""

import json
from collections.abc import Mapping
from typing import Any

from rest_verl.data.chats.chat import Chat, RecordedCall, RecordedMessage
from rest_verl.data.dialogues import Role
from rest_verl.data.refusals import Refused, shortened

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TEXT_PARTS = ("text", "input_text", "output_text")
_THOUGHT_PARTS = ("thinking", "reasoning")
_THOUGHT_KEYS = ("reasoning_content", "reasoning")
_ARGUMENTS = ("arguments", "parameters")
_OF_A_CALL = {"id", "type", "index", "function"}
_OF_A_FUNCTION = {"name", "id", "type", *_ARGUMENTS}


def is_openai(record: Mapping[str, Any]) -> bool:
    """Whether the record has this layout's key."""
    return "messages" in record


def read_openai(record: Mapping[str, Any]) -> Chat:
    """The record as a chat.

    Raises:
        Refused: a message that is not of this layout.
    """
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused("no messages", f'"messages" must be a list, not {shortened(messages)}')
    tools = record.get("tools")
    return Chat(
        tools=record.get("functions") if tools is None else tools,
        messages=[read_message(message, f"message {i}") for i, message in enumerate(messages)],
        id=record_id(record),
    )


def record_id(record: Mapping[str, Any]) -> str:
    """The record's "id" as text, "" without one."""
    given = record.get("id")
    return "" if given is None else str(given)


def read_message(message: Any, place: str) -> RecordedMessage:
    """One message; `place` stands in complaints.

    Raises:
        Refused: it is not of this layout.
    """
    try:
        return _message(message, place)
    except Refused as refused:
        raise refused.at(place) from None


def _message(message: Any, place: str) -> RecordedMessage:
    given = message.get("role") if isinstance(message, dict) else None
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        known = ", ".join(_ROLES)
        raise Refused("unknown role", f'"role" is {shortened(given)}; write one of {known}')
    refuse_weightless(message)
    text, thoughts = _content(message.get("content"), role)
    thoughts += [_thought(message[key], key) for key in _THOUGHT_KEYS if message.get(key)]
    if len(thoughts) > 1:
        raise Refused("two thoughts", f"its thought is given {len(thoughts)} times; keep one")
    calls = read_calls(message)
    if (calls or thoughts) and role != "assistant":
        fault = "calls" if calls else "a thought"
        raise Refused("assistant's words of another role", f"{fault} in a message of role {given}")
    return RecordedMessage(
        place=place,
        role=role,
        text=text,
        thought=thoughts[0] if thoughts else "",
        calls=calls,
        call_id=_name(message, "tool_call_id") if role == "tool" else "",
        tool=_name(message, "name") if role == "tool" else "",
    )


def _name(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused("bad content", f'"{key}" must be a text, not {shortened(value)}')
    return value


def _thought(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise Refused("bad content", f'"{key}" must be a text, not {shortened(value)}')
    return value


def refuse_weightless(message: Mapping[str, Any]) -> None:
    """Raises Refused for a message that is marked as not to be learnt: it would become a row."""
    if (weight := message.get("weight")) == 0:
        raise Refused(
            "weight 0",
            f'"weight" is {shortened(weight)}: not to be learnt, and each answer becomes a row; '
            "drop the key or the conversation",
        )


def _content(content: Any, role: Role) -> tuple[str, list[str]]:
    """Its text, and its thoughts in parts of their own."""
    if isinstance(content, str):
        return content, []
    if content is None and role in ("assistant", "tool"):
        return "", []
    parts = content if isinstance(content, list) else None
    if parts is not None and all(isinstance(part, dict) and "type" in part for part in parts):
        return _parts(parts, role)
    if role == "tool":
        return json.dumps(content, ensure_ascii=False), []  # what the tool returned, as it stands
    raise Refused("bad content", f'"content" must be a text, not {shortened(content)}')


def _parts(parts: list[dict[str, Any]], role: Role) -> tuple[str, list[str]]:
    """Texts, a line each, and thoughts."""
    texts, thoughts = [], []
    for part in parts:
        kind = part["type"]
        value = part.get("text") if part.get("text") is not None else part.get(str(kind))
        if kind in _TEXT_PARTS and isinstance(value, str):
            texts.append(value)
        elif kind in _THOUGHT_PARTS and role == "assistant" and isinstance(value, str):
            thoughts.append(value)
        else:
            raise Refused(
                "bad content", f'"content" has a part that is no text: {shortened(part)}; drop it'
            )
    return "\n".join(texts), thoughts


def read_calls(message: Mapping[str, Any]) -> list[RecordedCall]:
    """The calls of an assistant's message.

    Raises:
        Refused: what stands there is no call of a function.
    """
    calls = message.get("tool_calls")
    calls = [] if calls is None or calls == "" else calls
    if not isinstance(calls, list):
        raise Refused("bad call", f'"tool_calls" must be a list, not {shortened(calls)}')
    if (older := message.get("function_call")) is not None:
        calls = [*calls, {"function": older}]
    return [read_call(call) for call in calls]


def read_call(call: Any, *, from_text: bool = False) -> RecordedCall:
    """`{"id", "function": {"name", "arguments"}}`, or the function alone.

    Args:
        call: as recorded.
        from_text: as of `RecordedCall`.

    Raises:
        Refused: it is neither.
    """
    match call:
        case {"function": {"name": str(name)} as function}:
            pass
        case {"name": str(name)} as function:
            pass
        case _:
            raise Refused("bad call", f"a call without the name of a function: {shortened(call)}")
    given = call.get("id")
    if given is not None and not isinstance(given, str):
        raise Refused("bad call", f'the "id" of a call must be a text, not {shortened(given)}')
    stated = {key for key in _ARGUMENTS if function.get(key) is not None}
    unknown = {key for key, value in function.items() if value is not None} - _OF_A_FUNCTION
    if function is not call and not stated:  # there they would be overlooked
        unknown |= {key for key, value in call.items() if value is not None} - _OF_A_CALL
    if unknown:
        raise Refused(
            "bad call", f'{name}: a call with the key {shortened(min(unknown))}; write "arguments"'
        )
    if len(stated) > 1:
        raise Refused("bad call", f"{name}: {' and '.join(_ARGUMENTS)} at once; keep one")
    arguments = function[stated.pop()] if stated else None
    return RecordedCall(name=name, arguments=arguments, id=given or "", from_text=from_text)
