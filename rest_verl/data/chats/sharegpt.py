"""`sharegpt`: `{"conversations": [{"from", "value"}, ...], "system": text, "tools": JSON}`.

The speakers are `human`, `gpt`, `function_call` (a call, or a list of calls, in JSON) and
`observation`; a list of as many values as there were calls is an observation for each. Tools stand
under "tools", or as a JSON list in the system text, which is then left out.
"""

from collections.abc import Mapping
from typing import Any

from rest_verl.data.chats.chat import Chat, RecordedCall, RecordedMessage
from rest_verl.data.chats.openai import read_call, record_id
from rest_verl.data.chats.turns import observations, tools_in_text, turns_of
from rest_verl.data.dialogues import Role
from rest_verl.data.refusals import Refused, shortened
from rest_verl.files.json_lines import load_json

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
_CALLS = "function_call"
_OBSERVATIONS = ("observation", "tool")


def is_sharegpt(record: Mapping[str, Any]) -> bool:
    """Whether the record has this layout's key."""
    return "conversations" in record


def read_sharegpt(record: Mapping[str, Any]) -> Chat:
    """The record as a chat.

    Raises:
        Refused: a turn that is not of this layout.
    """
    tools, replaced = record.get("tools"), False
    messages: list[RecordedMessage] = []
    for place, speaker, text in turns_of(record):
        if speaker in _OBSERVATIONS:
            num_calls = len(messages[-1].calls) if messages else 0
            messages += observations(place, text, num_calls)
        elif speaker == _CALLS:
            calls = _calls(place, text)
            messages.append(RecordedMessage(place=place, role="assistant", calls=calls))
        elif speaker not in _ROLES:
            known = ", ".join([*_ROLES, _CALLS, *_OBSERVATIONS])
            raise Refused(
                "unknown role", f'{place}: "from" is {shortened(speaker)}; write one of {known}'
            )
        elif speaker == "system" and not tools and (tools := tools_in_text(text)):
            replaced = True
        else:
            messages.append(RecordedMessage(place=place, role=_ROLES[speaker], text=text))
    return Chat(tools=tools, messages=messages, id=record_id(record), system_replaced=replaced)


def _calls(place: str, text: str) -> list[RecordedCall]:
    try:
        value = load_json(text)
    except (ValueError, RecursionError) as error:
        raise Refused("bad call", f"{place}: no JSON in {_CALLS}: {error}") from None
    try:
        listed = value if isinstance(value, list) else [value]
        return [read_call(call, from_text=True) for call in listed]
    except Refused as refused:
        raise refused.at(place) from None
