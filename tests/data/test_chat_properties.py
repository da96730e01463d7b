"""Whatever a line holds: rows whose own answer earns the maximum, or a refusal with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from chat_mutations import any_lines, edited_lines, framed_lines
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.data import STYLES, Dialogue, split_steps, step_row
from rest_verl.data.chats import LAYOUTS, read_chats, refusal_table, refused_lines
from rest_verl.data.chats.files import RefusedRecord
from rest_verl.data.refusals import Refused
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import get_syntax, syntax_names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chats")


def check_rows(dialogue: Dialogue, style: Any, syntax: str) -> str:
    """Holds each row's answer against its ground truth; returns why there are no rows."""
    try:
        steps = list(split_steps(dialogue, style, syntax=syntax))
    except Refused as refused:
        return str(refused)
    for step in steps:
        row = step_row(dialogue, step, style, index=0, split="train")
        score = tool_call_reward(
            step.answer,
            step.ground_truth,
            syntax=syntax,
            think_is_open=False,
            tools=get_syntax(syntax).types_of(row["extra_info"]),
        ).score
        assert score == (4.0 if step.wants_calls else 1.0)
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    return ""


def check_line(path: Path, line: str, layout: str | None, syntax: str) -> None:
    path.write_text(line + "\n", encoding="utf-8")
    for chat in read_chats(path, layout):
        if isinstance(chat, RefusedRecord):
            assert str(chat.refused).startswith((f"{path}:1: ", f"{path}:1, ", f"{path}, row "))
            assert chat.refused.reason
            assert len(str(chat.refused)) < len(str(path)) + 700
            "\n".join([*refusal_table([chat]), refused_lines([chat])]).encode()
            continue
        known = {tool["function"]["name"]: tool["function"] for tool in chat.dialogue.tools}
        for call in (call for message in chat.dialogue.messages for call in message.calls):
            parameters = known[call.name]["parameters"]
            assert {*parameters.get("required", [])} <= call.arguments.keys()
            if "additionalProperties" not in parameters and "patternProperties" not in parameters:
                assert call.arguments.keys() <= parameters["properties"].keys()
        for style in STYLES:
            refused = check_rows(chat.dialogue, style, syntax)
            assert not refused or refused.startswith(f"{chat.dialogue.origin}, ")


layouts = st.sampled_from([*[None] * 20, *LAYOUTS])
syntaxes = st.sampled_from(syntax_names())


@given(edited_lines(), layouts, syntaxes)
def test_edited_lines(folder: Path, line: str, layout: str | None, syntax: str) -> None:
    check_line(folder / "chats.jsonl", line, layout, syntax)


@given(any_lines(), layouts, syntaxes)
def test_any_lines(folder: Path, line: str, layout: str | None, syntax: str) -> None:
    check_line(folder / "chats.jsonl", line, layout, syntax)


@given(framed_lines(), syntaxes)
def test_framed_lines(folder: Path, line: str, syntax: str) -> None:
    check_line(folder / "chats.jsonl", line, None, syntax)
