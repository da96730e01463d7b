"""`hermes`: `conversations` as in Hermes function calling, calls and observations in tags.

A system turn lists the tools between `<tools>` and `</tools>`, and is left out: it asks for calls
in this syntax. A `gpt` turn holds `<tool_call>` blocks (`rest_verl.syntax.hermes`; a block that is
a Python dictionary is read as well), a `tool` turn a `<tool_response>` block for each call.
"""

import re
from collections.abc import Mapping
from typing import Any

from rest_verl.data.chats.calls_in_text import split_message
from rest_verl.data.chats.chat import Chat, RecordedMessage
from rest_verl.data.chats.openai import record_id
from rest_verl.data.chats.turns import observations, turns_of
from rest_verl.data.refusals import Refused, shortened
from rest_verl.syntax import get_syntax
from rest_verl.syntax.json_values import NOT_JSON, dump_json, read_json
from rest_verl.syntax.python_literals import read_literal

_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)
_BLOCK = re.compile(r"(<tool_call>\s*)(\{.*?\})(\s*</tool_call>)", re.DOTALL)
_CALL = re.compile(r"<tool_call>\s*\{")
_RESPONSE = re.compile(r"\s*<tool_response>\s*(.*?)\s*</tool_response>\s*", re.DOTALL)


def is_hermes(record: Mapping[str, Any]) -> bool:
    """Whether a system text has tools in this layout's tags, or another turn a call."""
    turns = record.get("conversations")
    turns = turns if isinstance(turns, list) else []
    texts = [str(turn.get("value")) for turn in turns if isinstance(turn, dict)]
    shows_tools = any("<tools>" in text for text in [str(record.get("system")), *texts[:1]])
    return shows_tools or any(_CALL.search(text) for text in texts)


def read_hermes(record: Mapping[str, Any]) -> Chat:
    """The record as a chat.

    Raises:
        Refused: a turn that is not of this layout, or calls that cannot be read.
    """
    tools, replaced = record.get("tools"), False
    messages: list[RecordedMessage] = []
    for place, speaker, text in turns_of(record):
        if speaker == "system":
            listed = _TOOLS.findall(text)
            if not listed:
                messages.append(RecordedMessage(place=place, role="system", text=text))
                continue
            replaced = True
            tools = tools or _tools(place, listed)
        elif speaker in ("human", "user"):
            messages.append(RecordedMessage(place=place, role="user", text=text))
        elif speaker in ("gpt", "assistant"):
            messages.append(_assistant(place, text))
        elif speaker == "tool":
            num_calls = len(messages[-1].calls) if messages else 0
            blocks = _RESPONSE.findall(text)
            if not blocks or _RESPONSE.sub("", text):
                messages += observations(place, text, num_calls)
            else:
                messages += [RecordedMessage(place=place, role="tool", text=b) for b in blocks]
        else:
            raise Refused(
                "unknown role",
                f'{place}: "from" is {shortened(speaker)}; write one of system, human, gpt, tool',
            )
    return Chat(tools=tools, messages=messages, id=record_id(record), system_replaced=replaced)


def _assistant(place: str, text: str) -> RecordedMessage:
    try:
        thought, said, calls = split_message(get_syntax("hermes"), _BLOCK.sub(_as_json, text))
    except Refused as refused:
        raise refused.at(place) from None
    return RecordedMessage(place=place, role="assistant", text=said, thought=thought, calls=calls)


def _as_json(block: re.Match[str]) -> str:
    """A block that holds a Python dictionary, with JSON in its place; any other as it is."""
    opening, written, closing = block.groups()
    if read_json(written) is not NOT_JSON or (value := read_literal(written)) is NOT_JSON:
        return block[0]
    return f"{opening}{dump_json(value)}{closing}"


def _tools(place: str, listed: list[str]) -> list[Any]:
    """The tools of a system text: a list in JSON or Python, or one tool a line.

    The text may speak of the tags before it has them around the tools.
    """
    for written in filter(str.strip, listed):
        value = _read(written)
        if isinstance(value, dict):
            return [value]
        if isinstance(value, list):
            return value
        lines = [_read(line) for line in written.splitlines() if line.strip()]
        if all(isinstance(line, dict) for line in lines):
            return lines
    raise Refused("bad tools", f"{place}: no tools in <tools>: {shortened(listed[-1])}")


def _read(written: str) -> Any:
    value = read_json(written)
    return read_literal(written) if value is NOT_JSON else value
