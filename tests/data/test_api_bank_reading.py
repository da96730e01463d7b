"""API-Bank's files: all rows pass and earn the maximum, broken ones are refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from script_runs import ROOT, contents, invoke, read

from rest_verl.data.api_bank import read_api_bank, verl_row
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import ToolCall

SCRIPT = ROOT / "data_prep" / "api_bank_to_parquet.py"
API_BANK = ROOT.parent / "shared" / "data" / "api_bank"
needs_api_bank = pytest.mark.skipif(not API_BANK.is_dir(), reason="shared/data/api_bank is absent")

CALL = {"name": "Query", "parameters": {"user": "John"}}
ROW = {"system": "Tools:\n1. Name: Query\nDescription: d", "user": "u", "answer": [CALL]}


def write(folder: Path, **levels: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for level in (1, 2, 3):
        rows = levels.get(f"level_{level}", [ROW])
        (folder / f"level-{level}-api_processed.json").write_text(json.dumps(rows))
    return folder


@needs_api_bank
def test_the_published_files() -> None:
    rows = read_api_bank(API_BANK)
    assert [sum(row.level == level for row in rows) for level in (1, 2, 3)] == [399, 67, 131]
    assert len({row.id for row in rows}) == 597
    assert [row.id for row in rows if not row.shows_tool] == [
        "level_2_6", "level_2_13", "level_2_14", "level_2_19", "level_2_25", "level_2_54"
    ]  # fmt: skip


@needs_api_bank
def test_each_row_s_own_ground_truth_earns_the_maximum() -> None:
    for index, row in enumerate(read_api_bank(API_BANK)):
        made = verl_row(row, index=index, split="validation")
        truth = made["reward_model"]["ground_truth"]
        result = tool_call_reward(f"<think> t </think>\n{truth}", truth)
        assert (result.format_ok, result.exact_match) == (True, True), row.id


def test_a_row(tmp_path: Path) -> None:
    row = read_api_bank(write(tmp_path / "data", level_2=[{**ROW, "answer": CALL}]))[1]
    assert (row.id, row.level, row.category) == ("level_2_0", 2, "level_2")
    assert row.answer == ToolCall("Query", {"user": "John"})
    assert verl_row(row, index=1, split="validation") == {
        "data_source": "api_bank/level_2",
        "prompt": [
            {"role": "system", "content": ROW["system"]},
            {"role": "user", "content": "u"},
        ],
        "ability": "tool_use",
        "reward_model": {
            "style": "rule",
            "ground_truth": '<tool_call>\n{"name": "Query", "parameters": {"user": "John"}}\n'
            "</tool_call>",
        },
        "extra_info": {
            "index": 1, "id": "level_2_0", "category": "level_2", "split": "validation"
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("system", "shown"),
    [
        ("1. Name: Query\nDescription: d", True),
        ("1. Query: Asks.", True),
        ("2. Name: QueryAll\nDescription: like Query", False),
        ("1. Ask: uses Query: yes", False),
        ("", False),
    ],
)
def test_whether_the_tool_is_shown(tmp_path: Path, system: str, shown: bool) -> None:
    row = read_api_bank(write(tmp_path, level_1=[{**ROW, "system": system}]))[0]
    assert row.shows_tool is shown


BAD_ROWS = [
    ("not an object", 7, "not a JSON object"),
    ("no system", {"user": "u", "answer": CALL}, '"system" is missing or not a text'),
    ("user not a text", {**ROW, "user": ["u"]}, '"user" is missing or not a text'),
    ("no answer", {"system": "s", "user": "u"}, '"answer" must be one call'),
    ("answer of no calls", {**ROW, "answer": []}, '"answer" must be one call'),
    ("answer of two calls", {**ROW, "answer": [CALL, CALL]}, '"answer" must be one call'),
    ("answer as text", {**ROW, "answer": json.dumps(CALL)}, '"answer" must be one call'),
    ("no parameters", {**ROW, "answer": {"name": "Query"}}, '"answer" must be one call'),
    ("name not a text", {**ROW, "answer": {**CALL, "name": 1}}, '"answer" must be one call'),
    (
        "a number among the values",
        {**ROW, "answer": {"name": "Query", "parameters": {"n": 1}}},
        "the value of parameter 'n' must be a text",
    ),
]


@pytest.mark.parametrize(
    ("bad", "message"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS]
)
def test_row_refused(tmp_path: Path, bad: object, message: str) -> None:
    folder = write(tmp_path, level_3=[ROW, bad])
    with pytest.raises(ValueError, match="row 1") as caught:
        read_api_bank(folder)
    where = f"{folder / 'level-3-api_processed.json'}, row 1: "
    assert str(caught.value).startswith(where)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; the folder needs"),
        (b"[{]", "not a JSON file"),
        (b"\xff[]", "not a JSON file"),
        (b'["\\ud800"]', "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        (b"{}", "not a list of rows"),
        (b"[]", "not a list of rows"),
    ],
)
def test_file_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = write(tmp_path) / "level-2-api_processed.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_api_bank(tmp_path)
    assert str(caught.value).startswith(str(path))


def test_the_script(tmp_path: Path) -> None:
    hidden = {**ROW, "system": "none"}
    data = write(tmp_path / "data", level_2=[ROW, hidden])
    for name in ("one", "two"):
        result = invoke(SCRIPT, "--data-dir", data, "--output-dir", tmp_path / name)
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    rows = read(tmp_path / "one", "validation")
    assert [row["extra_info"]["id"] for row in rows] == [
        "level_1_0", "level_2_0", "level_2_1", "level_3_0"
    ]  # fmt: skip
    assert rows[3] == verl_row(read_api_bank(data)[3], index=3, split="validation")
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert manifest["counts"] == {"level_1": 1, "level_2": 2, "level_3": 1}
    assert manifest["answers_call_tools_not_shown"] == ["level_2_1"]
    assert manifest["files"]["validation.parquet"]["rows"] == 4
    assert "level_2_1: its prompt does not show the tool" in result.output


def test_the_script_refuses(tmp_path: Path) -> None:
    data = write(tmp_path / "data", level_1=[7])
    result = invoke(SCRIPT, "--data-dir", data, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1
    assert "api_bank_to_parquet: " in result.output
    assert "level-1-api_processed.json, row 0: not a JSON object" in result.output
    assert not (tmp_path / "out").exists()
