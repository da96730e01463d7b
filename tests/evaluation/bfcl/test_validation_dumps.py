"""verl's validation dumps: answers find their rows again, and get BFCL's verdicts."""

import json
from pathlib import Path
from typing import Any

import pytest
from bfcl_samples import ANSWER, QUESTION, numbered, write_category

from rest_verl.data import BfclSource, verl_row
from rest_verl.evaluation.bfcl.validation import score_validation


def call(city: str) -> str:
    block = json.dumps({"name": "weather.get", "parameters": {"city": city}})
    return f"<tool_call>\n{block}\n</tool_call>"


RIGHT, WRONG = call("Oslo"), call("Bergen")


@pytest.fixture
def source(tmp_path: Path) -> BfclSource:
    """Row 0 and row 2 ask the same; row 1's question begins with theirs."""
    questions = [numbered(QUESTION, n) for n in range(3)]
    asked = json.dumps(questions[0]["question"])
    questions[2]["question"] = json.loads(asked)
    questions[1]["question"] = json.loads(asked)
    questions[1]["question"][0][-1]["content"] += " And tomorrow?"
    write_category(tmp_path / "data", questions, [numbered(ANSWER, n) for n in range(3)])
    return BfclSource.open(tmp_path / "data")


def parquet_rows(source: BfclSource, style: Any = "compact") -> list[dict[str, Any]]:
    """As they are in a file for verl, under a data source of their own."""
    return [
        {**verl_row(row, style, index=index, split="val"), "data_source": "mine"}
        for index, row in enumerate(source.read("multiple"))
    ]


def line(row: dict[str, Any], output: str, **more: Any) -> dict[str, Any]:
    """An answer as verl dumps it: the prompt decoded, without the template's special tokens."""
    prompt = "".join(f"{m['role']}\n{m['content']}\n" for m in row["prompt"]) + "assistant\n"
    truth = row["reward_model"]["ground_truth"]
    return {"input": prompt, "output": output, "gts": truth, "score": 1.0, "uid": "x_0_0", **more}


def write_dump(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("style", ["compact", "toolrl", "chat_template"])
def test_answers_find_their_rows(source: BfclSource, tmp_path: Path, style: str) -> None:
    rows = parquet_rows(source, style)
    # In another order than the rows. Rows 0 and 2 are alike, so they share four answers.
    lines = [line(rows[1], RIGHT), line(rows[1], WRONG)]
    lines += [line(rows[0], text) for text in (RIGHT, WRONG, RIGHT, RIGHT)]
    records = score_validation(write_dump(tmp_path / "0.jsonl", lines), rows, source)
    assert [(r["id"], r["sample"], r["valid"]) for r in records] == [
        ("multiple_0", 0, True),
        ("multiple_0", 1, True),
        ("multiple_1", 0, True),
        ("multiple_1", 1, False),
        ("multiple_2", 0, False),
        ("multiple_2", 1, True),
    ]
    assert records[3] == {
        "id": "multiple_1",
        "category": "multiple",
        "sample": 1,
        "text": WRONG,
        "calls": [{"name": "weather.get", "arguments": {"city": "Bergen"}}],
        "foreign": "",
        "terms": {"tags_valid": True, "calls_parse": True, "unclosed": False, "cut_off": None},
        "valid": False,
        "error": "wrong_value",
        "logged": {"score": 1.0},
    }


@pytest.mark.parametrize(
    ("text", "prompt_end", "error"),
    [
        ("It rains.", "", "no_call"),
        ("<tool_call>\n{torn", "", "malformed"),
        (f"<think> {RIGHT} </think>{RIGHT}", "", ""),  # the call in the thought is none
        (RIGHT, "<think>\n", "no_call"),  # the template opened a thought, which never ends
        (f"hm</think>{RIGHT}", "<think>\n", ""),
    ],
)
def test_texts_are_read_as_in_training(
    source: BfclSource, tmp_path: Path, text: str, prompt_end: str, error: str
) -> None:
    rows = parquet_rows(source)
    dumped = line(rows[1], text)
    dumped["input"] += prompt_end
    (record,) = score_validation(write_dump(tmp_path / "0.jsonl", [dumped]), rows, source)
    assert (record["error"], record["valid"]) == (error, not error)


def test_a_part_of_the_rows_is_enough(source: BfclSource, tmp_path: Path) -> None:
    rows = parquet_rows(source)
    dump = write_dump(tmp_path / "5.jsonl", [line(rows[1], RIGHT, format_ok=1.0)])
    (record,) = score_validation(dump, rows, source)
    assert (record["id"], record["logged"]) == ("multiple_1", {"score": 1.0, "format_ok": 1.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": "user\nsomething else"}, "0.jsonl:2: none of the rows has this prompt"),
        ({"gts": "{}"}, "0.jsonl:2: none of the rows has this prompt and ground truth"),
        ({"output": None}, '0.jsonl:2: an answer needs "input", "output" and "gts"'),
    ],
)
def test_strange_lines(source: BfclSource, tmp_path: Path, change: dict, message: str) -> None:
    rows = parquet_rows(source)
    lines = [line(rows[0], RIGHT), {**line(rows[0], RIGHT), **change}]
    dump = write_dump(tmp_path / "0.jsonl", lines)
    with pytest.raises(ValueError, match=r"0\.jsonl:2") as caught:
        score_validation(dump, rows, source)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"version": "v3"}, "is of multiple, BFCL v3; here single-turn rows of v4 are scored"),
        ({"category": "multi_turn_base"}, "is of multi_turn_base, BFCL v4; here single-turn"),
        ({"id": "multiple_9"}, "has no row multiple_9"),
    ],
)
def test_rows_of_other_data(source: BfclSource, tmp_path: Path, info: dict, message: str) -> None:
    rows = parquet_rows(source)
    rows[1] = {**rows[1], "extra_info": {**rows[1]["extra_info"], **info}}
    with pytest.raises(ValueError, match=message):
        score_validation(tmp_path / "0.jsonl", rows, source)


def test_no_dump(source: BfclSource, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0\.jsonl: no such file"):
        score_validation(tmp_path / "0.jsonl", parquet_rows(source), source)
