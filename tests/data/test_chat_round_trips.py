"""A thousand dialogues through each layout and each kind of file: they come back as they were."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chat_writers import WRITERS, as_openai, as_xlam, says_xlam
from made_dialogues import make_dialogues

from rest_verl.data import Dialogue
from rest_verl.data.chats import read_chats
from rest_verl.data.chats.reader import ReadChat
from rest_verl.prompts.schemas import normal_tool

NUMBER = 1000


@cache
def dialogues(*, nullable: bool = True) -> list[Dialogue]:
    return make_dialogues(0, NUMBER, nullable=nullable)


def check(path: Path, layout: str, written: Sequence[Dialogue]) -> int:
    """Holds what is read from the file against what was written; returns the nulls left out."""
    chats = list(read_chats(path))
    bad = [chat.refused for chat in chats if not isinstance(chat, ReadChat)]
    assert bad == []
    good = [chat for chat in chats if isinstance(chat, ReadChat)]
    assert {chat.layout for chat in good} == {layout}
    for chat, expected in zip(good, written, strict=True):
        read = chat.dialogue
        given = {"id": read.id, "tools": read.tools, "messages": read.messages}
        assert given == {"id": expected.id, "tools": expected.tools, "messages": expected.messages}
        assert replace(read, **given) == read  # it is a dialogue
        assert exact(read) == exact(expected)
    return sum(chat.num_nulls for chat in good)


def exact(dialogue: Dialogue) -> list[str]:
    """Its arguments, 3 and 3.0 told apart."""
    calls = [call for message in dialogue.messages for call in message.calls]
    return [json.dumps(call.arguments, sort_keys=True) for call in calls]


def of_layout(layout: str, *, nullable: bool = True) -> list[Dialogue]:
    """What the layout can hold of the dialogues that it can hold."""
    whole = dialogues(nullable=nullable)
    if layout == "xlam":
        whole = [d for d in whole if any(message.calls for message in d.messages)]
    return whole


def write_json_lines(records: list[Any], path: Path) -> None:
    path.write_text("".join(f"{json.dumps(r)}\n" for r in records), encoding="utf-8")


def write_array(records: list[Any], path: Path) -> None:
    path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")


def write_parquet(records: list[Any], path: Path) -> None:
    pd.DataFrame(records).to_parquet(path)


def test_the_tools_are_what_tools_become() -> None:
    tools = [tool for dialogue in dialogues() for tool in dialogue.tools]
    assert all(normal_tool(tool) == tool for tool in tools)


@pytest.mark.parametrize("write", [write_json_lines, write_array, write_parquet])
@pytest.mark.parametrize("layout", WRITERS)
def test_each_layout(tmp_path: Path, layout: str, write: Callable[[list[Any], Path], None]) -> None:
    write_one, says = WRITERS[layout]
    whole = of_layout(layout)
    if layout != "openai" and write is not write_json_lines:  # the file's kind is what is new there
        whole = whole[: NUMBER // 5]
    write([write_one(dialogue) for dialogue in whole], tmp_path / "made.data")
    assert check(tmp_path / "made.data", layout, [says(dialogue) for dialogue in whole]) == 0


def test_arguments_in_columns(tmp_path: Path) -> None:
    """Nullable arguments aside: which of these were recorded, columns cannot say."""
    path = tmp_path / "made.parquet"
    whole = of_layout("openai", nullable=False)
    write_parquet([as_openai(dialogue, in_columns=True) for dialogue in whole], path)
    assert check(path, "openai", whole) > NUMBER


def test_answers_in_columns(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    whole = of_layout("xlam", nullable=False)
    write_parquet([as_xlam(dialogue, in_columns=True) for dialogue in whole], path)
    assert check(path, "xlam", [says_xlam(dialogue) for dialogue in whole]) > NUMBER
