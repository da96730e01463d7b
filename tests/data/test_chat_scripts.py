"""The script on recorded chats: layouts, chats left out, and the samples of the documentation."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dialogue_samples import chat_line
from docs_pages import blocks
from script_runs import ROOT, invoke, read

from rest_verl.data.chats import LAYOUTS, read_chats
from rest_verl.data.chats.reader import ReadChat

STEPS_SCRIPT = ROOT / "data_prep" / "dialogues_to_steps.py"
SAMPLES = [json.loads(block) for block in blocks(ROOT / "docs" / "data.md", "json")]

NULLED = chat_line()
NULLED["messages"][2]["tool_calls"][1]["function"]["arguments"] = {"city": "Rome", "symbol": None}
UNKNOWN_ARGUMENT = chat_line()
UNKNOWN_ARGUMENT["messages"][2]["tool_calls"][1]["function"]["arguments"] = {
    "city": "Rome",
    "symbol": "X",
}
NO_CALL = chat_line()
NO_CALL["messages"][3]["tool_call_id"] = "9"


def write(folder: Path, chats: list[Any]) -> Path:
    path = folder / "chats.jsonl"
    texts = [chat if isinstance(chat, str) else json.dumps(chat) for chat in chats]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def test_the_page_has_a_sample_of_each_layout(tmp_path: Path) -> None:
    chats = list(read_chats(write(tmp_path, SAMPLES)))
    assert all(isinstance(chat, ReadChat) for chat in chats), chats
    assert [chat.layout for chat in chats if isinstance(chat, ReadChat)] == list(LAYOUTS)
    calls = [
        call.arguments
        for chat in chats
        if isinstance(chat, ReadChat)
        for message in chat.dialogue.messages
        for call in message.calls
    ]
    assert calls == [{"city": "Oslo"}] * len(LAYOUTS)


def test_layouts_and_what_was_changed_are_named(tmp_path: Path) -> None:
    path, out = write(tmp_path, [*SAMPLES, NULLED]), tmp_path / "out"
    result = invoke(STEPS_SCRIPT, "--input", path, "--output-dir", out)
    assert result.exit_code == 0, result.output
    assert "layout openai: 2 chats" in result.stdout
    assert all(f"layout {name}: 1 chats" in result.stdout for name in LAYOUTS if name != "openai")
    source = manifest(out)["source"]
    assert source["layouts"] == {"openai": 2, **{n: 1 for n in LAYOUTS if n != "openai"}}
    assert (source["nulls_left_out"], source["system_messages_replaced"]) == (1, 2)
    assert "left out: 1" in result.stdout
    assert not (out / "refused.jsonl").exists()


def test_a_forced_layout(tmp_path: Path) -> None:
    path, out = write(tmp_path, SAMPLES[-1:]), tmp_path / "out"
    result = invoke(STEPS_SCRIPT, "--input", path, "--output-dir", out, "--layout", "openai")
    assert result.exit_code == 1
    assert f"{path}:1" in result.stderr
    assert '"messages"' in result.stderr
    result = invoke(STEPS_SCRIPT, "--input", path, "--output-dir", out, "--layout", "shareGPT")
    assert (result.exit_code, "unknown layout" in result.stderr) == (1, True)
    assert not out.exists()


def test_bad_chats_are_left_out_and_listed(tmp_path: Path) -> None:
    good = [chat_line() for _ in range(7)]
    bad = [UNKNOWN_ARGUMENT, "{", NO_CALL, UNKNOWN_ARGUMENT]
    path, out = write(tmp_path, [*good, *bad]), tmp_path / "out"
    options = ["--input", path, "--output-dir", out]

    stopped = invoke(STEPS_SCRIPT, *options)
    assert (stopped.exit_code, out.exists()) == (1, False)
    assert f"{path}:8" in stopped.stderr

    too_many = invoke(STEPS_SCRIPT, *options, "--skip-bad")
    assert (too_many.exit_code, out.exists()) == (1, False)
    assert "4 of 11 chats are bad, more than --max-bad 0.05" in too_many.stderr
    assert "unknown argument" in too_many.stderr

    result = invoke(STEPS_SCRIPT, *options, "--skip-bad", "--max-bad", 0.4)
    assert result.exit_code == 0, result.output
    table = [row.split() for row in result.stdout.splitlines() if "first:" in row]
    assert [row[0] for row in table] == ["2", "1", "1"]
    assert "14 steps of 7 dialogues" in result.stdout
    refused = [json.loads(row) for row in (out / "refused.jsonl").read_text().splitlines()]
    assert [row["place"] for row in refused] == [f"{path}:{n}" for n in (8, 9, 10, 11)]
    assert refused[0]["reason"] == "unknown argument"
    assert '"symbol"' in refused[0]["message"]
    assert refused[0]["record"] == UNKNOWN_ARGUMENT
    assert refused[1]["record"] is None

    # A run that refuses nothing leaves no list of an earlier one behind.
    write(tmp_path, good)
    assert invoke(STEPS_SCRIPT, *options).exit_code == 0
    assert not (out / "refused.jsonl").exists()


def test_parquet_gives_the_rows_of_json_lines(tmp_path: Path) -> None:
    chats = [chat_line() for _ in range(3)]
    for chat in chats:  # in a column, arguments have one type
        for call in chat["messages"][2]["tool_calls"]:
            call["function"]["arguments"] = json.dumps({"city": "Oslo"})
    table = tmp_path / "chats.parquet"
    pd.DataFrame(chats).to_parquet(table)
    for name, path in (("table", table), ("lines", write(tmp_path, chats))):
        result = invoke(STEPS_SCRIPT, "--input", path, "--output-dir", tmp_path / name)
        assert result.exit_code == 0, result.output
    for split in ("train", "validation"):
        assert read(tmp_path / "table", split) == read(tmp_path / "lines", split)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bfcl", "multi_turn", "--skip-bad"], "go with --input only"),
        (["--bfcl", "multi_turn", "--layout", "openai"], "go with --input only"),
        (["--input", "x.jsonl", "--max-bad", "7"], "a share from 0 to 1, got 7"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: list[str], words: str) -> None:
    result = invoke(STEPS_SCRIPT, "--output-dir", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert words in result.stderr
