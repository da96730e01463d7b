"""`toolace`: `{"system": text, "conversations": [{"from": "user" | "assistant" | "tool", ...}]}`.

The system text holds the tools as a JSON list, and is left out: it asks for calls in this layout's
own syntax, `[get_weather(city="Oslo")]`, which is `rest_verl.syntax.pythonic` but for names that
are no identifiers (`Market Trends API`). A `tool` turn is a JSON list, one value for each call.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rest_verl.data.chats.calls_in_text import split_message
from rest_verl.data.chats.chat import Chat, RecordedCall, RecordedMessage
from rest_verl.data.chats.openai import record_id
from rest_verl.data.chats.turns import observations, tools_in_text, turns_of
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
    tools: list[Any] = []
    messages: list[RecordedMessage] = []
    for place, speaker, text in turns_of(record):
        if speaker == "system":
            tools = tools_in_text(text) or []
            if not tools:
                messages.append(RecordedMessage(place=place, role="system", text=text))
        elif speaker == "user":
            messages.append(RecordedMessage(place=place, role="user", text=text))
        elif speaker == "assistant":
            messages.append(_assistant(place, text, _odd_names(tools)))
        elif speaker == "tool":
            num_calls = len(messages[-1].calls) if messages else 0
            messages += observations(place, text, num_calls)
        else:
            raise Refused(
                "unknown role",
                f'{place}: "from" is {shortened(speaker)}; write one of user, assistant, tool',
            )
    return Chat(tools=tools, messages=messages, id=record_id(record), system_replaced=bool(tools))


def _odd_names(tools: Sequence[Any]) -> list[str]:
    """Names of tools that are no identifiers, the longest first."""
    functions = [tool.get("function", tool) for tool in tools]
    names = {f["name"] for f in functions if isinstance(f, dict) and isinstance(f.get("name"), str)}
    return sorted((n for n in names if n and not _DOTTED.fullmatch(n)), key=lambda n: (-len(n), n))


def _assistant(place: str, text: str, odd_names: Sequence[str]) -> RecordedMessage:
    stand_ins = {_STAND_IN.format(number): name for number, name in enumerate(odd_names)}
    written = text
    for stand_in, name in stand_ins.items():
        written = re.sub(rf"([\[,]\s*){re.escape(name)}\(", rf"\1{stand_in}(", written)
    try:
        thought, said, calls = split_message(get_syntax("pythonic"), written)
        calls = [_named(call, stand_ins) for call in calls]
    except Refused as refused:
        raise refused.at(place) from None
    if not calls:
        said = text  # a list in a text is none of ours
    return RecordedMessage(place=place, role="assistant", text=said, thought=thought, calls=calls)


def _named(call: RecordedCall, stand_ins: Mapping[str, str]) -> RecordedCall:
    if any(stand_in in dump_json(call.arguments) for stand_in in stand_ins):
        raise Refused("unreadable call in text", f"{call.name}: an argument looks like a call")
    return RecordedCall(name=stand_ins.get(call.name, call.name), arguments=call.arguments)
