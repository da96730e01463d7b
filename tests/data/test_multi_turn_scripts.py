"""The scripts on dialogues as users run them: rows, identical bytes, refusals without a trace."""

import json
from pathlib import Path
from typing import Any

import pytest
from bfcl_samples import write_folder
from dialogue_samples import chat_line
from multi_turn_samples import answer, needs_package, question, write_rows
from script_runs import ROOT, contents, invoke, read

BFCL_SCRIPT = ROOT / "data_prep" / "bfcl_to_parquet.py"
STEPS_SCRIPT = ROOT / "data_prep" / "dialogues_to_steps.py"
SPLITS = ("train", "validation")


def write_bfcl(folder: Path, rows: int = 8) -> Path:
    """Rows of base and miss_func with the same numbers; number 0 of base cannot be used."""
    for kind in ("base", "miss_func"):
        questions = [question(n, kind) for n in range(rows)]
        answers = [answer(n, kind) for n in range(rows)]
        if kind == "base":
            answers[0]["ground_truth"].append([])
        write_rows(folder, questions, answers, kind)
    return folder


def write_chats(path: Path, lines: int) -> Path:
    records = []
    for number in range(lines):
        record = chat_line()
        record["messages"][1]["content"] = f"Question {number // 2}"
        records.append(json.dumps(record))
    path.write_text("\n".join(records), encoding="utf-8")
    return path


def ids(folder: Path, split: str) -> list[str]:
    return [row["extra_info"]["id"] for row in read(folder, split)]


@needs_package
def test_multi_turn_rows(tmp_path: Path) -> None:
    data = write_bfcl(tmp_path / "data")
    options = ("--categories", "multi_turn", "--prompt-style", "compact", "--val-fraction", 0.4)
    for name in ("one", "two"):
        result = invoke(BFCL_SCRIPT, "--data-dir", data, "--output-dir", tmp_path / name, *options)
        assert result.exit_code == 0, result.output
    assert "left out: multi_turn_base_0: 3 turns in question, 4 in ground_truth" in result.stdout
    assert "BFCL v4, 15 rows" in result.stdout
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    rows = read(tmp_path / "one", "train") + read(tmp_path / "one", "validation")
    assert sorted(row["extra_info"]["index"] for row in rows) == list(range(15))
    assert {row["agent_name"] for row in rows} == {"rest_tool_env"}
    assert {row["reward_model"]["ground_truth"] for row in rows} == {""}
    assert {row["extra_info"]["prompt_style"] for row in rows} == {"compact"}
    tasks = [row["extra_info"]["task"] for row in rows if row["extra_info"]["index"] == 8]
    # As it was before its answer was played.
    assert json.loads(tasks[0]) == {
        **question(1),
        "ground_truth": answer(1)["ground_truth"],
        "version": "v4",
    }
    # Variants of one conversation fall on the same side.
    sides = [{i.rpartition("_")[2] for i in ids(tmp_path / "one", s)} for s in SPLITS]
    assert sides[0].isdisjoint(sides[1])
    assert sides[1]
    multi_turn = json.loads((tmp_path / "one" / "manifest.json").read_text())["multi_turn"]
    assert list(multi_turn["left_out"]) == ["multi_turn_base_0"]
    assert multi_turn["answers_call_functions_not_offered"] == {}


@needs_package
def test_answers_that_call_what_is_not_offered_are_named(tmp_path: Path) -> None:
    early = answer(truth=[["sort('a.txt')"], [], ["ls()"]])
    data = write_rows(tmp_path / "data", [question(), question(1)], [early, answer(1)])
    out = tmp_path / "out"
    result = invoke(
        BFCL_SCRIPT, "--data-dir", data, "--output-dir", out, "--categories", "multi_turn_miss_func"
    )
    assert "miss_func_0: its answer calls sort, not offered at that point" in result.stdout
    assert sorted(ids(out, "train") + ids(out, "validation"))[0] == "multi_turn_miss_func_0"
    result = invoke(
        STEPS_SCRIPT, "--data-dir", data, "--output-dir", out, "--bfcl", "multi_turn_miss_func"
    )
    assert "left out: multi_turn_miss_func_0: its answer calls sort" in result.stdout
    assert {i.split("/")[0] for s in SPLITS for i in ids(out, s)} == {"multi_turn_miss_func_1"}


@needs_package
def test_single_and_multi_turn_rows_in_one_file_each_name_their_agent(tmp_path: Path) -> None:
    data = write_bfcl(write_folder(tmp_path / "data", rows=4), rows=4)
    out = tmp_path / "out"
    names = "multiple,multi_turn_miss_func"
    assert invoke(
        BFCL_SCRIPT, "--data-dir", data, "--output-dir", out, "--categories", names
    ).exit_code == 0  # fmt: skip
    rows = read(out, "train") + read(out, "validation")
    agents = {(row["extra_info"]["category"], row["agent_name"]) for row in rows}
    assert agents == {
        ("multiple", "single_turn_agent"),
        ("multi_turn_miss_func", "rest_tool_env"),
    }
    single = next(row for row in rows if row["extra_info"]["category"] == "multiple")
    assert single["extra_info"]["task"] is None


@needs_package
def test_steps_of_bfcl(tmp_path: Path) -> None:
    data = write_bfcl(tmp_path / "data")
    for name in ("one", "two"):
        result = invoke(
            STEPS_SCRIPT, "--bfcl", "multi_turn", "--data-dir", data, "--output-dir",
            tmp_path / name,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert "90 steps of 15 dialogues" in result.stdout  # 3 calls and 3 ends of turn each
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert list(manifest["left_out"]) == ["multi_turn_base_0"]
    assert manifest["source"]["calls_per_step"] == "one"
    rows = read(tmp_path / "one", "train")
    assert {row["data_source"] for row in rows} == {
        "bfcl_v4_steps/multi_turn_base",
        "bfcl_v4_steps/multi_turn_miss_func",
    }
    invoke(
        STEPS_SCRIPT, "--bfcl", "multi_turn", "--data-dir", data, "--output-dir", tmp_path / "all",
        "--calls-per-step", "all", "--calls-only",
    )  # fmt: skip
    rows = read(tmp_path / "all", "train") + read(tmp_path / "all", "validation")
    wanted = [json.loads(row["reward_model"]["ground_truth"])["calls"] for row in rows]
    assert [len(calls) for calls in wanted] == [2, 1] * 15


@pytest.mark.parametrize("style", ["toolrl", "chat_template", "compact"])
def test_steps_of_chats(tmp_path: Path, style: str) -> None:
    chats = write_chats(tmp_path / "chats.jsonl", 40)
    for name in ("one", "two"):
        result = invoke(
            STEPS_SCRIPT, "--input", chats, "--output-dir", tmp_path / name,
            "--prompt-style", style, "--val-fraction", 0.3,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert "80 steps of 40 dialogues" in result.stdout
    sides = [{line(i) // 2 for i in ids(tmp_path / "one", split)} for split in SPLITS]
    # Lines come in pairs with one question: neither a dialogue nor a pair is torn apart.
    assert sides[0] | sides[1] == set(range(20))
    assert sides[0].isdisjoint(sides[1])
    assert sides[1]


def line(step_id: str) -> int:
    """The line of "chats-<line>/<step>", from 0."""
    return int(step_id.removeprefix("chats-").split("/")[0]) - 1


GOOD = chat_line()
CALLED: dict[str, Any] = {**chat_line(), "tools": []}
TAGGED = chat_line()
TAGGED["messages"] = [*TAGGED["messages"][:-1], {"role": "assistant", "content": "<tool_call>"}]
REFUSED = [
    # reason, lines, further options, expected words on stderr
    ("no source", None, [], ["either --bfcl or --input"]),
    ("two sources", [GOOD], ["--bfcl", "multi_turn"], ["either --bfcl or --input"]),
    ("folder with chats", [GOOD], ["--data-dir", "."], ["--data-dir goes with --bfcl"]),
    ("single-turn", None, ["--bfcl", "multiple"], ["multiple is single-turn"]),
    ("broken line", [GOOD, "{"], [], ["chats.jsonl:2", "not a line of JSON"]),
    ("bad message", [GOOD, {"messages": [{}]}], [], ["chats.jsonl:2, message 0", '"role"']),
    (
        "unknown tool",
        [GOOD, CALLED],
        [],
        ['chats.jsonl:2, message 2: calls "weather", not offered'],
    ),
    ("tag in a text", [GOOD, TAGGED], [], ["chats.jsonl:2, message 5", "its text makes a call"]),
    ("empty file", [], [], ["no step"]),
    ("bad fraction", [GOOD], ["--val-fraction", "1"], ["[0, 1)"]),
]


@pytest.mark.parametrize(
    ("lines", "options", "words"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_refused(tmp_path: Path, lines: list | None, options: list[str], words: list[str]) -> None:
    if lines is None:
        options = [*options, "--data-dir", str(write_folder(tmp_path / "data"))]
    else:
        path = tmp_path / "chats.jsonl"
        texts = [text if isinstance(text, str) else json.dumps(text) for text in lines]
        path.write_text("\n".join(texts))
        options = [*options, "--input", str(path)]
    result = invoke(STEPS_SCRIPT, "--output-dir", tmp_path / "out" / "deep", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert isinstance(result.exception, SystemExit)
    assert all(word in result.stderr for word in words), result.stderr
    assert not (tmp_path / "out").exists()


def test_calls_only_may_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    path.write_text(json.dumps({"messages": talk}))
    result = invoke(STEPS_SCRIPT, "--input", path, "--output-dir", tmp_path / "out", "--calls-only")
    assert result.exit_code == 1
    assert "no step is left to write" in result.stderr
