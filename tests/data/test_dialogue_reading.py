"""Reading chat messages: what a line becomes, and what is said of every kind of bad line."""

import json
from pathlib import Path
from typing import Any

import pytest
from dialogue_samples import DIALOGUE, WEATHER, chat_line

from rest_verl.data import Dialogue, read_dialogues

USER = {"role": "user", "content": "Hi"}
REPLY = {"role": "assistant", "content": "Hello."}


def read(folder: Path, *lines: Any) -> list[Dialogue]:
    path = folder / "chats.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return list(read_dialogues(path))


def test_a_line(tmp_path: Path) -> None:
    named, unnamed = read(tmp_path, {**chat_line(), "id": "d0"}, "", chat_line())[:2]
    assert named.messages == DIALOGUE.messages[:6]
    assert named.tools == [WEATHER]
    assert (named.id, unnamed.id) == ("d0", "chats-3")
    assert (named.category, named.data_source) == ("chats", "dialogues/chats")
    assert named.split_key == unnamed.split_key == '["Oslo and Rome?"]'


def test_openai_leaves_content_null_beside_calls_and_tools_out(tmp_path: Path) -> None:
    record = chat_line()
    record["messages"][2]["content"] = None
    (dialogue,) = read(tmp_path, record)
    assert (dialogue.messages[2].content, dialogue.messages[2].thought) == ("", "")
    (dialogue,) = read(tmp_path, {"messages": [USER, REPLY]})
    assert dialogue.tools == []


def test_the_last_calls_may_lack_their_observations(tmp_path: Path) -> None:
    record = chat_line()
    record["messages"] = record["messages"][:3]
    (dialogue,) = read(tmp_path, record)
    assert len(dialogue.messages[-1].calls) == 2


def calling(call: Any) -> dict[str, Any]:
    reply = {"role": "assistant", "content": "", "tool_calls": [call]}
    return {"messages": [USER, reply], "tools": [WEATHER]}


def without(*numbers: int) -> dict[str, Any]:
    record = chat_line()
    record["messages"] = [m for n, m in enumerate(record["messages"]) if n not in numbers]
    return record


def weather(arguments: Any) -> dict[str, Any]:
    return calling({"function": {"name": "weather", "arguments": arguments}})


BAD_LINES = [
    # reason, line, expected words after file and line
    ("not JSON", '{"messages": ', "not a line of JSON"),
    ("not an object", "[]", "not a JSON object"),
    ("no messages", {"tools": []}, '"messages" must be a list'),
    ("empty", {"messages": []}, '"messages" must be a list'),
    ("tools as text", {"messages": [USER, REPLY], "tools": "[]"}, '"tools" must be a list'),
    (
        "tool without a name",
        {"messages": [USER, REPLY], "tools": [{"function": {}}]},
        '"tools" must be a list',
    ),
    (
        "parameters are no schema",
        {
            "messages": [USER, REPLY],
            "tools": [{"function": {"name": "f", "parameters": {"properties": {"x": "int"}}}}],
        },
        '"tools" must be a list',
    ),
    ("unknown role", {"messages": [{**USER, "role": "human"}]}, 'message 0: needs a "role" out of'),
    ("no content", {"messages": [USER, {"role": "assistant"}]}, 'message 1: "content" must be'),
    (
        "content in parts",
        {"messages": [{**USER, "content": [{"type": "text", "text": "Hi"}]}]},
        'message 0: "content" must be a text',
    ),
    ("calls of the user", {"messages": [{**USER, "tool_calls": [1]}]}, "in an assistant message"),
    ("call without a function", calling({"name": "weather"}), "message 1: bad tool call: it needs"),
    ("arguments not JSON", weather("{"), "the arguments of 'weather' are not JSON"),
    ("arguments with NaN", weather('{"city": NaN}'), "the arguments of 'weather' are not JSON"),
    ("half a surrogate", weather('{"city": "\\ud800"}'), "the arguments of 'weather' are not JSON"),
    ("arguments not an object", weather("[1]"), "the arguments of 'weather' are not an object"),
    ("nothing said", {"messages": [USER, {**REPLY, "content": ""}]}, "neither text nor calls"),
    ("no assistant", {"messages": [USER]}, "no message of the assistant"),
    ("assistant first", {"messages": [REPLY, USER]}, "message 0 (assistant): a dialogue begins"),
    (
        "late system message",
        {"messages": [USER, {"role": "system", "content": "x"}, REPLY]},
        "message 1 (system): system messages stand at the start",
    ),
    (
        "observation without a call",
        {"messages": [USER, {"role": "tool", "content": "x"}, REPLY]},
        "message 1 (tool): a tool's message without a call",
    ),
    ("missing observation", without(4), "message 4 (assistant): 1 of the calls before it have no"),
    ("both missing", without(3, 4), "message 3 (assistant): 2 of the calls before it have no"),
]


@pytest.mark.parametrize(
    ("line", "words"), [case[1:] for case in BAD_LINES], ids=[case[0] for case in BAD_LINES]
)
def test_bad_line(tmp_path: Path, line: Any, words: str) -> None:
    with pytest.raises(ValueError, match="chats") as caught:
        read(tmp_path, chat_line(), line)
    assert str(caught.value).startswith(f"{tmp_path / 'chats.jsonl'}:2")
    assert words in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"chats\.jsonl: no such file"):
        list(read_dialogues(tmp_path / "chats.jsonl"))
