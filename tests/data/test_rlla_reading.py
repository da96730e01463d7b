"""ToolRL's raw JSON: its own files pass, rows that the reward could not read are refused."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rest_verl.data.rlla import read_rlla, verl_row
from rest_verl.rewards import tool_call_reward

RLLA = Path(__file__).resolve().parents[3] / "shared" / "data" / "rlla"
needs_rlla = pytest.mark.skipif(not RLLA.is_dir(), reason="shared/data/rlla is not there")

CALL = '{"name": "f", "parameters": {"x": 1}}'
CALL_OF = f"<tool_call>\n{CALL}\n</tool_call>"
ROW = {
    "instruction": "Tools",
    "input": "<user> Hi </user>",
    "output": f"<think> t </think>\n{CALL_OF}",
}


def write(path: Path, *rows: object) -> Path:
    path.write_text(json.dumps(rows))
    return path


@needs_rlla
def test_all_of_toolrl_passes() -> None:
    rows = read_rlla(RLLA / "rlla_sft.json")
    assert len(rows) == 400
    for row in rows:
        truth = verl_row(row, index=0, split="train")["reward_model"]["ground_truth"]
        result = tool_call_reward(truth, truth)
        assert result.format_ok
        assert result.exact_match


@needs_rlla
def test_toolrl_test_rows_pass_and_are_made_again(tmp_path: Path) -> None:
    theirs = pq.read_table(RLLA / "test.parquet").to_pylist()
    keys = ("instruction", "input", "output")
    raw = [{key: row["extra_info"][key] for key in keys} for row in theirs]
    ours = [
        verl_row(row, index=index, split="test")
        for index, row in enumerate(read_rlla(write(tmp_path / "raw.json", *raw)))
    ]
    # Theirs calls the ability "math"; nothing reads it.
    assert ours == [{**row, "ability": "tool_use"} for row in theirs]


@pytest.mark.parametrize(
    "output",
    [
        ROW["output"],
        f"<tool_call>\n{CALL}\n\n{CALL}\n</tool_call>\n<response> done </response>",
        "<think> quotes <tool_call> and <response> </think>\n<response> no </response>",
        '<tool_call>\n{"name": "f", "parameters": {"x": "</tool_call>"}}\n</tool_call>',
        "<response></response>",
    ],
    ids=["calls", "both", "quoted tags", "tag in a value", "empty response"],
)
def test_outputs_accepted(tmp_path: Path, output: str) -> None:
    (row,) = read_rlla(write(tmp_path / "raw.json", {**ROW, "output": output, "more": 1}))
    assert row == {**ROW, "output": output}


BAD_ROWS = [
    ("not an object", ["text"], "not a JSON object"),
    ("missing key", {"instruction": "", "output": ""}, '"input" is missing'),
    ("number", {**ROW, "instruction": 5}, '"instruction" is missing or not a text'),
    ("half a surrogate pair", {**ROW, "input": "\ud800"}, '"input" is not valid Unicode'),
    *(
        (name, {**ROW, "output": output}, message)
        for name, output, message in [
            ("thought alone", "<think> t </think>", "needs <tool_call>, <response>"),
            ("bare text", "Hello", "needs <tool_call>, <response>"),
            ("the JSON notation", '{"format": "toolrl", "expect": "no_call", "calls": []}', "must"),
            ("unclosed", f"<tool_call>\n{CALL}", "not closed or not JSON"),
            ("no call", "<tool_call>\n</tool_call>", "not closed or not JSON"),
            ("broken call", "<tool_call>\n{\n</tool_call>", "not closed or not JSON"),
            ("not an object", CALL_OF.replace("1}", "[]").replace('{"x": ', ""), "not JSON calls"),
            ("name not a text", '<tool_call>\n{"name": 1}\n</tool_call>', "not JSON calls"),
            ("no number", CALL_OF.replace("1}", "NaN}"), "not JSON calls"),
            ("nested", CALL_OF.replace("1}", f"{'[' * 150}{']' * 150}}}"), "nested more than 100"),
            (
                "two thoughts' ends",
                f"<think> a </think> b </think>\n{CALL_OF}",
                "needs <tool_call>",
            ),
            ("two responses", "<response>a</response> b </response>", "needs <tool_call>"),
        ]
    ),
]


@pytest.mark.parametrize(
    ("bad", "message"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS]
)
def test_row_refused(tmp_path: Path, bad: object, message: str) -> None:
    path = write(tmp_path / "raw.json", ROW, bad)
    with pytest.raises(ValueError, match="row 1") as caught:
        read_rlla(path)
    assert str(caught.value).startswith(f"{path}, row 1: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{]", "not a JSON file"),
        (b"\xff[]", "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        (b"{}", "not a list of rows"),
        (b"[]", "not a list of rows"),
        (None, "no such file"),
    ],
)
def test_file_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "raw.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_rlla(path)
    assert str(path) in str(caught.value)
