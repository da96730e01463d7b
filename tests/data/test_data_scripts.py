"""The two scripts as users run them: output, identical bytes, refusals without a trace."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bfcl_samples import ANSWER, QUESTION, numbered, write_category, write_folder
from script_runs import ROOT, contents, invoke, read

BFCL_SCRIPT = ROOT / "data_prep" / "bfcl_to_parquet.py"
RLLA_SCRIPT = ROOT / "data_prep" / "rlla_to_parquet.py"
RLLA_ROW = {"instruction": "i", "input": "u", "output": "<response> r </response>"}

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("bfcl_eval") is None, reason="the package bfcl-eval is not installed"
)


@needs_package
def test_the_package_twice_through_the_shell(tmp_path: Path) -> None:
    for name in ("one", "two"):
        subprocess.run(
            [sys.executable, BFCL_SCRIPT, "--output-dir", tmp_path / name],
            check=True,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert {c: n["train"] + n["validation"] for c, n in manifest["counts"].items()} == {
        "simple_python": 400,
        "simple_java": 100,
        "simple_javascript": 50,
        "multiple": 200,
        "parallel": 200,
        "parallel_multiple": 200,
        "irrelevance": 240,
        "live_simple": 258,
        "live_multiple": 1053,
        "live_parallel": 16,
        "live_parallel_multiple": 24,
        "live_irrelevance": 884,
        "live_relevance": 16,
    }
    assert manifest["prompt_style"] == "toolrl"
    assert manifest["source"]["name"] == "bfcl-eval"
    assert manifest["source"]["data_version"] == "v4"
    train, validation = (read(tmp_path / "one", split) for split in ("train", "validation"))
    assert {row["extra_info"]["split"] for row in train} == {"train"}
    assert {row["extra_info"]["split"] for row in validation} == {"validation"}
    assert len({row["extra_info"]["id"] for row in train + validation}) == 3641
    assert sorted(row["extra_info"]["index"] for row in train + validation) == list(range(3641))
    # Five standard deviations of a draw of 3,641 with p = 0.1.
    assert abs(len(validation) - 364) < 91
    asked = [{row["prompt"][-1]["content"] for row in rows} for rows in (train, validation)]
    assert asked[0].isdisjoint(asked[1])


def test_categories_seed_and_fraction(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", rows=40)
    write_category(data, [QUESTION], None, "v4_irrelevance")
    write_category(data, ["broken"], None, "v4_parallel")
    sides = []
    for seed, categories in ((0, ["multiple,irrelevance"]), (1, ["irrelevance", "multiple"])):
        out = tmp_path / f"seed{seed}"
        options = [part for name in categories for part in ("--categories", name)]
        result = invoke(
            BFCL_SCRIPT, "--data-dir", data, "--output-dir", out, "--seed", seed,
            "--val-fraction", 0.5, "--prompt-style", "compact", *options,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        rows = read(out, "train") + read(out, "validation")
        assert len(rows) == 41
        assert rows[0]["prompt"][0]["content"] == "Tools:\nweather.get(city: str, days?: int)"
        sides.append({row["extra_info"]["id"] for row in read(out, "validation")})
        assert json.loads((out / "manifest.json").read_text())["source"] == {
            **json.loads((out / "manifest.json").read_text())["source"],
            "name": "data",
            "release": None,
            "data_version": "v4",
        }
    assert sides[0] != sides[1]


def test_same_question_same_side(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", rows=30)
    questions = [numbered(QUESTION, n) for n in range(30)]
    write_category(data, questions, None, "v4_irrelevance")
    out = tmp_path / "out"
    options = ("--val-fraction", 0.3)
    assert invoke(BFCL_SCRIPT, "--data-dir", data, "--output-dir", out, *options).exit_code == 0
    held_out = [row["extra_info"] for row in read(out, "validation")]
    by_category = [
        {info["id"] for info in held_out if info["category"] == category}
        for category in ("multiple", "irrelevance")
    ]
    assert by_category[0] == by_category[1] != set()


def test_tools_travel_with_chat_template(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", rows=2)
    out = tmp_path / "out"
    invoke(BFCL_SCRIPT, "--data-dir", data, "--output-dir", out, "--prompt-style", "chat_template")
    (row,) = read(out, "train")
    (tool,) = json.loads(row["extra_info"]["tools"])
    assert tool["function"]["parameters"]["type"] == "object"
    assert json.loads(row["reward_model"]["ground_truth"])["format"] == "chat_template"


REFUSED = [
    # reason, questions, answers, further options, exit code, expected words on stderr
    ("no data folder", None, None, [], 1, ["data: no such folder"]),
    ("broken line", [QUESTION, "{"], [ANSWER], [], 1, ["v4_multiple.json:2", "JSON"]),
    ("no answer", [QUESTION], [], [], 1, ["v4_multiple.json:1 (multiple_0)", "without an answer"]),
    ("no question", [], [ANSWER], [], 1, ["possible_answer", ":1 (multiple_0)", "without a quest"]),
    ("duplicate id", [QUESTION] * 2, [ANSWER], [], 1, [":2 (multiple_0)", "duplicate id"]),
    (
        "unknown category",
        [QUESTION],
        [ANSWER],
        ["--categories", "magic"],
        1,
        ["'magic'", "live_sim"],
    ),
    (
        "no multi-turn data",
        [QUESTION],
        [ANSWER],
        ["--categories", "multi_turn"],
        1,
        ["holds none of multi_turn_base"],
    ),
    (
        "absent category",
        [QUESTION],
        [ANSWER],
        ["--categories", "parallel"],
        1,
        ["v4_parallel.json"],
    ),
    ("bad fraction", [QUESTION], [ANSWER], ["--val-fraction", "1.5"], 1, ["[0, 1)", "1.5"]),
    ("bad style", [QUESTION], [ANSWER], ["--prompt-style", "x"], 2, ["toolrl", "compact"]),
]


@pytest.mark.parametrize(
    ("questions", "answers", "options", "code", "words"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_refused(
    tmp_path: Path,
    questions: list | None,
    answers: list | None,
    options: list[str],
    code: int,
    words: list[str],
) -> None:
    write_category(tmp_path / "data", questions, answers)
    out = tmp_path / "out" / "deep"
    result = invoke(BFCL_SCRIPT, "--data-dir", tmp_path / "data", "--output-dir", out, *options)
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit)  # and not an error on its way to a traceback
    assert all(word in result.stderr for word in words), result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_output_folder_is_a_file(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", rows=2)
    (tmp_path / "out").touch()
    result = invoke(BFCL_SCRIPT, "--data-dir", data, "--output-dir", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(tmp_path / "out") in result.stderr


def test_rlla_twice(tmp_path: Path) -> None:
    raw = tmp_path / "raw.json"
    rows = [{**RLLA_ROW, "input": f"u{n // 2}"} for n in range(40)]
    raw.write_text(json.dumps(rows))
    for name in ("one", "two"):
        result = invoke(RLLA_SCRIPT, "--input", raw, "--output-dir", tmp_path / name)
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    train, validation = (read(tmp_path / "one", split) for split in ("train", "validation"))
    assert len(train) + len(validation) == 40
    # Rows come in pairs with one prompt: a pair is never torn apart.
    asked = [{row["extra_info"]["input"] for row in side} for side in (train, validation)]
    assert asked[0].isdisjoint(asked[1])
    assert asked[1]
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert manifest["counts"] == {"train": len(train), "validation": len(validation)}
    assert manifest["source"]["name"] == "raw.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "raw.json: no such file"),
        ("[", "raw.json: not a JSON file"),
        (json.dumps([RLLA_ROW, {}]), 'raw.json, row 1: "instruction" is missing'),
    ],
)
def test_rlla_refused(tmp_path: Path, text: str | None, message: str) -> None:
    raw = tmp_path / "raw.json"
    if text is not None:
        raw.write_text(text)
    result = invoke(RLLA_SCRIPT, "--input", raw, "--output-dir", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
