"""Files of recorded chats: kinds of file, names and places; one dialogue whole."""

import codecs
import json
from pathlib import Path
from typing import Any

import pytest
from chat_lines import write_lines
from dialogue_samples import DIALOGUE, chat_line

from rest_verl.data import Dialogue
from rest_verl.data.chats import read_chats, read_dialogues
from rest_verl.data.chats.files import RefusedRecord
from rest_verl.data.refusals import Refused

USER = {"role": "user", "content": "Hi"}
REPLY = {"role": "assistant", "content": "Hello."}
HELLO: dict[str, Any] = {"messages": [USER, REPLY]}


def read(folder: Path, *lines: Any) -> list[Dialogue]:
    return list(read_dialogues(write_lines(folder / "chats.jsonl", lines)))


def test_a_line(tmp_path: Path) -> None:
    named, unnamed = read(tmp_path, {**chat_line(), "id": "d0"}, "", chat_line())[:2]
    assert named.messages == DIALOGUE.messages[:6]
    assert named.tools == DIALOGUE.tools
    assert (named.id, unnamed.id) == ("d0", "chats-3")
    assert (named.category, named.data_source) == ("chats", "dialogues/chats")
    assert named.split_key == unnamed.split_key == '["Oslo and Rome?"]'


def test_the_first_bad_line_stops_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        read(tmp_path, HELLO, "", {"messages": [USER]}, "{")
    assert str(caught.value).startswith(f"{tmp_path / 'chats.jsonl'}:3: no message of the assis")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"chats\.jsonl: no such file"):
        list(read_dialogues(tmp_path / "chats.jsonl"))


def test_no_such_layout(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "chats.jsonl", [HELLO])
    with pytest.raises(ValueError, match="unknown layout 'alpaca'; there are openai, xlam"):
        list(read_dialogues(path, "alpaca"))


TEXT = json.dumps(HELLO)
KINDS = {
    # content, places of the dialogues after the file's name
    "lines": (f"{TEXT}\n\n{TEXT}".encode(), [":1", ":3"]),
    "CRLF": (f"{TEXT}\r\n\r\n{TEXT}\r\n".encode(), [":1", ":3"]),
    "byte-order mark": (codecs.BOM_UTF8 + TEXT.encode(), [":1"]),
    "array in a line": (f"[{TEXT}, {TEXT}]".encode(), [", row 1", ", row 2"]),
    "array over lines": (json.dumps([HELLO, HELLO], indent=2).encode(), [", row 1", ", row 2"]),
    "array after a mark": (codecs.BOM_UTF8 + f"\n[{TEXT}]\n".encode(), [", row 1"]),
    "empty array": (b"[]", []),
    "nothing": (b"\n \n", []),
}


@pytest.mark.parametrize(("content", "places"), KINDS.values(), ids=KINDS)
def test_kinds_of_file(tmp_path: Path, content: bytes, places: list[str]) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(content)
    assert [dialogue.origin for dialogue in read_dialogues(path)] == [f"{path}{p}" for p in places]


BROKEN = {
    # content, places and words of what is refused
    "one row of an array": (
        f'[{TEXT}, 3, {TEXT}, {{"a": NaN}}]'.encode(),
        [", row 2: not a JSON object but 3", ", row 4: JSON in UTF-8 cannot hold it"],
    ),
    "array that breaks off": (
        f"[\n{TEXT},\n{TEXT}".encode(),
        [":3: not an array in JSON: Expecting"],
    ),
    "lines, the first a list": (
        f"[1]\n{TEXT}\n[2]".encode(),
        [":1: not a JSON object but [1]", ":3: not a JSON object but [2]"],
    ),
    "not UTF-8": (TEXT.encode() + b"\n\xff", [":2: not a line of JSON: 'utf-8' codec"]),
    "deep": (b"[" * 100_000, [":1: not a"]),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_files(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(content)
    refused = [chat.refused for chat in read_chats(path) if isinstance(chat, RefusedRecord)]
    assert {refusal.reason for refusal in refused} == {"no JSON object"}
    for refusal, text in zip(refused, words, strict=True):
        assert str(refusal).startswith(f"{path}{text}")


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(ValueError, match=r"chats\.jsonl: is UTF-16"):
        list(read_dialogues(path))
