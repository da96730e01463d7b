"""Files of recorded conversations, read as dialogues: each record is right, or refused."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rest_verl.data.chats.arguments import ToolBox
from rest_verl.data.chats.calls_in_text import refuse_calls_and_thoughts
from rest_verl.data.chats.chat import RecordedMessage
from rest_verl.data.chats.files import Record, RefusedRecord, read_records
from rest_verl.data.chats.layouts import LAYOUTS, find_layout
from rest_verl.data.chats.observations import in_order_of_calls
from rest_verl.data.dialogues import Dialogue, Message
from rest_verl.data.refusals import Refused, shortened
from rest_verl.files.json_lines import load_json
from rest_verl.prompts.schemas import normal_tool

_THOUGHT = re.compile(r"\s*<think>\s*(?P<thought>.*?)\s*</think>\s*(?P<text>.*)", re.DOTALL)


class ReadChat(NamedTuple):
    """A dialogue, and what was done to the record."""

    dialogue: Dialogue
    layout: str
    num_nulls: int
    """Nulls that a table had put into arguments, left out."""
    system_replaced: bool
    """A system message that listed the tools was left out."""
    content: Mapping[str, Any]
    """The record as it stands in the file."""


def read_dialogues(path: Path, layout: str | None = None) -> Iterator[Dialogue]:
    """The dialogues of a file.

    Args:
        path: JSON lines, a JSON array or parquet.
        layout: one of `LAYOUTS`; default: each record's own.

    Raises:
        ValueError: a missing file, no such layout, or a bad record: a `Refused`, whose text has
            file, line and what to mend.
    """
    for read in read_chats(path, layout):
        if isinstance(read, RefusedRecord):
            raise read.refused
        yield read.dialogue


def read_chats(path: Path, layout: str | None = None) -> Iterator[ReadChat | RefusedRecord]:
    """Each record of a file as a dialogue, or why there is none.

    Raises:
        ValueError: a missing file, or no such layout.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; there are {', '.join(LAYOUTS)}")
    for record in read_records(path):
        if isinstance(record, RefusedRecord):
            yield record
            continue
        try:
            yield _read(record, path, layout)
        except Refused as refused:
            yield RefusedRecord(record.place, refused.at(record.place), record.content)


def _read(record: Record, path: Path, layout: str | None) -> ReadChat:
    layout = layout or find_layout(record.content)
    chat = LAYOUTS[layout].read(record.content)
    tools = _tools(chat.tools)
    toolbox, num_nulls = ToolBox(tools), 0
    messages = []
    for recorded in in_order_of_calls(chat.messages):
        message, number = _message(recorded, toolbox, from_columns=record.from_columns)
        messages.append(message)
        num_nulls += number
    opening = [message.content for message in messages if message.role == "user"][:1]
    dialogue = Dialogue(
        id=chat.id or record.name,
        origin=record.place,
        category=path.stem,
        data_source=f"dialogues/{path.stem}",
        split_key=json.dumps(opening, ensure_ascii=False),
        tools=tools,
        messages=messages,
    )
    return ReadChat(dialogue, layout, num_nulls, chat.system_replaced, record.content)


def _tools(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str) and given.strip():
        try:
            given = load_json(given)
        except (ValueError, RecursionError) as error:
            fault = f'"tools" is no JSON: {error}: {shortened(given)}'
            raise Refused("bad tools", fault) from None
    if given is None or (isinstance(given, str) and not given.strip()):
        return []
    if not isinstance(given, list):
        raise Refused("bad tools", f'"tools" must be a list, not {shortened(given)}')
    try:
        tools = [normal_tool(tool) for tool in given]
        json.dumps(tools, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise Refused("bad tools", str(error)) from None
    names = [tool["function"]["name"] for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Refused("bad tools", f"two tools have the name {shortened(twice)}; drop one")
    return tools


def _message(
    recorded: RecordedMessage, toolbox: ToolBox, *, from_columns: bool
) -> tuple[Message, int]:
    """The message, and how many nulls were left out of the arguments of its calls."""
    try:
        text, thought = _said(recorded, toolbox.names)
        checked = [toolbox.check(call, from_columns=from_columns) for call in recorded.calls]
    except Refused as refused:
        raise refused.at(recorded.place) from None
    message = Message(
        role=recorded.role,
        content=text,
        thought=thought,
        calls=tuple(call for call, _ in checked),
        place=recorded.place,
    )
    return message, sum(number for _, number in checked)


def _said(recorded: RecordedMessage, names: Iterable[str]) -> tuple[str, str]:
    """The text and the thought."""
    text, thought = recorded.text, recorded.thought
    if recorded.role == "assistant":
        if split := _THOUGHT.fullmatch(text):
            if thought and split["thought"]:
                raise Refused("two thoughts", "a thought beside the one in its text; keep one")
            thought, text = thought or split["thought"], split["text"]
        refuse_calls_and_thoughts(text, names)
    return text if text.strip() else "", thought.strip()
