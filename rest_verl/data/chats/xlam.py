"""`xlam`: `{"query": text, "tools": JSON, "answers": JSON}`, as xLAM and APIGen write them.

One question and its calls; a tool's parameters stand by name, without "properties".
"""

from collections.abc import Mapping
from typing import Any

from rest_verl.data.chats.chat import Chat, RecordedMessage
from rest_verl.data.chats.openai import read_call, record_id
from rest_verl.data.refusals import Refused, shortened
from rest_verl.files.json_lines import load_json


def is_xlam(record: Mapping[str, Any]) -> bool:
    """Whether the record has this layout's keys."""
    return "query" in record and "answers" in record


def read_xlam(record: Mapping[str, Any]) -> Chat:
    """The record as a chat of two messages.

    Raises:
        Refused: no question, or answers that are no list of calls.
    """
    query, answers = record.get("query"), record.get("answers")
    if not isinstance(query, str):
        raise Refused("bad content", f'"query" must be a text, not {shortened(query)}')
    from_text = isinstance(answers, str)
    if isinstance(answers, str):
        try:
            answers = load_json(answers)
        except (ValueError, RecursionError) as error:
            raise Refused("bad call", f'"answers" is no JSON: {error}') from None
    if not isinstance(answers, list) or not answers:
        raise Refused(
            "bad call", f'"answers" must be a list with a call at least, not {shortened(answers)}'
        )
    try:
        calls = [read_call(call, from_text=from_text) for call in answers]
    except Refused as refused:
        raise refused.at('"answers"') from None
    return Chat(
        tools=record.get("tools"),
        messages=[
            RecordedMessage(place='"query"', role="user", text=query),
            RecordedMessage(place='"answers"', role="assistant", calls=calls),
        ],
        id=record_id(record),
    )
