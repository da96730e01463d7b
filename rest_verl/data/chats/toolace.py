"""`toolace`: `{"system": text, "conversations": [{"from": "user" | "assistant" | "tool", ...}]}`.

The system text holds the tools as a JSON list, and is left out: it asks for calls in this layout's
own syntax, `[get_weather(city="Oslo")]`, which is `rest_verl.syntax.pythonic` but for names that
are no identifiers (`Market Trends API`). A `tool` turn is a JSON list, one value for each call.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rest_verl.data.chats.calls_in_text import split_message
from rest_verl.data.chats.chat import Chat, RecordedCall, RecordedMessage
from rest_verl.data.chats.openai import record_id
from rest_verl.data.chats.turns import observations, tools_in_text, turns_of
from rest_verl.data.dialogues import Role
from rest_verl.data.refusals import Refused, shortened
from rest_verl.syntax import get_syntax
from rest_verl.syntax.json_values import dump_json

_DOTTED = re.compile(r"[^\W\d]\w*(?:\.\w*)*")
_STAND_IN = "stand_in_{}_"


def is_toolace(record: Mapping[str, Any]) -> bool:
    """Whether the record has a system text beside turns of `user` and `assistant`."""
    turns = record.get("conversations")
    turns = turns if isinstance(turns, list) else []
    speakers = {str(turn.get("from")) for turn in turns if isinstance(turn, dict)}
    return isinstance(record.get("system"), str) and speakers <= {"user", "assistant", "tool"}


def read_toolace(record: Mapping[str, Any]) -> Chat:
    """The record as a chat.

    Raises:
        Refused: a turn that is not of this layout, or calls that cannot be read.
    """
    tools, replaced = record.get("tools"), False
    messages: list[RecordedMessage] = []
    for place, speaker, text in turns_of(record):
        if speaker == "system" and not tools and (tools := tools_in_text(text)):
            replaced = True
        elif speaker in ("system", "user"):
            role: Role = "system" if speaker == "system" else "user"
            messages.append(RecordedMessage(place=place, role=role, text=text))
        elif speaker == "assistant":
            messages.append(_assistant(place, text, _names(tools)))
        elif speaker == "tool":
            num_calls = len(messages[-1].calls) if messages else 0
            messages += observations(place, text, num_calls)
        else:
            raise Refused(
                "unknown role",
                f'{place}: "from" is {shortened(speaker)}; write one of user, assistant, tool',
            )
    return Chat(tools=tools, messages=messages, id=record_id(record), system_replaced=replaced)


def _names(tools: Any) -> list[str]:
    """Names of the tools, the longest first."""
    tools = tools_in_text(tools) if isinstance(tools, str) else tools
    tools = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    functions = [tool.get("function", tool) for tool in tools]
    names = {f.get("name") for f in functions if isinstance(f, dict)}
    return sorted((n for n in names if isinstance(n, str) and n), key=lambda n: (-len(n), n))


def _assistant(place: str, text: str, names: Sequence[str]) -> RecordedMessage:
    odd = [name for name in names if not _DOTTED.fullmatch(name)]
    stand_ins = {_STAND_IN.format(number): name for number, name in enumerate(odd)}
    written = text
    for stand_in, name in stand_ins.items():
        written = re.sub(rf"([\[,]\s*){re.escape(name)}\(", rf"\1{stand_in}(", written)
    try:
        thought, said, calls = split_message(get_syntax("pythonic"), written)
        if any(stand_in in thought + said for stand_in in stand_ins):
            raise Refused("call in text", f"a call stands within a text: {shortened(text)}")
        calls = [_named(call, stand_ins) for call in calls]
    except Refused as refused:
        raise refused.at(place) from None
    # The reader looks for a thought in a text without calls, and refuses what else looks like one.
    thought, said = (thought, said) if calls else ("", text)
    return RecordedMessage(place=place, role="assistant", text=said, thought=thought, calls=calls)


def _named(call: RecordedCall, stand_ins: Mapping[str, str]) -> RecordedCall:
    name = stand_ins.get(call.name, call.name)
    if any(stand_in in dump_json(call.arguments) for stand_in in stand_ins):
        raise Refused("unreadable call in text", f"{name}: an argument looks like a call")
    return replace(call, name=name)
