"""What the layouts with `conversations` share: `[{"from", "value"}, ...]`, and tools in a system
text."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rest_verl.data.chats.chat import RecordedMessage
from rest_verl.data.chats.openai import refuse_weightless
from rest_verl.data.refusals import Refused, shortened
from rest_verl.files.json_lines import load_json

_OF_TOOLS = ("description", "parameters", "input_schema")
"""Beside its name, a tool has one of these."""


def turns_of(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(place, who speaks, what they say) of each turn, the record's "system" text first.

    Raises:
        Refused: a turn that is not of this layout.
    """
    system = record.get("system")
    if system is not None and not isinstance(system, str):
        raise Refused("bad content", f'"system" must be a text, not {shortened(system)}')
    if system:
        yield '"system"', "system", system
    turns = record.get("conversations")
    if not isinstance(turns, list) or not turns:
        raise Refused("no messages", f'"conversations" must be a list, not {shortened(turns)}')
    for number, turn in enumerate(turns):
        match turn:
            case {"from": str(speaker), "value": str(text)}:
                try:
                    refuse_weightless(turn)
                except Refused as refused:
                    raise refused.at(f"turn {number}") from None
                yield f"turn {number}", speaker, text
            case _:
                raise Refused(
                    "bad content",
                    f'turn {number}: "from" and "value" must be texts: {shortened(turn)}',
                )


def observations(place: str, text: str, num_calls: int) -> list[RecordedMessage]:
    """The messages of a turn that answers `num_calls` calls: a list in JSON is one for each."""
    values = _listed(text) if num_calls > 1 else None
    if values is None or len(values) != num_calls:
        return [RecordedMessage(place=place, role="tool", text=text)]
    texts = [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
    return [RecordedMessage(place=place, role="tool", text=text) for text in texts]


def _listed(text: str) -> list[Any] | None:
    try:
        value = load_json(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def tools_in_text(text: str) -> list[Any] | None:
    """The first JSON list of tools in a text: named and described, or wrapped functions."""
    decoder = json.JSONDecoder()
    position = text.find("[")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            value, end = None, position + 1
        if isinstance(value, list) and value and all(map(_looks_like_a_tool, value)):
            return value
        position = text.find("[", end)
    return None


def _looks_like_a_tool(value: Any) -> bool:
    return isinstance(value, dict) and (
        "function" in value or ("name" in value and any(key in value for key in _OF_TOOLS))
    )
