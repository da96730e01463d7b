"""The recipe of one's own tools, walked from a class to an evaluated model; nothing is trained."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="its agent loop and configuration")
import pyarrow.parquet as pq
from stand_in import StandIn, call_text, save_model, starting
from templates import DROPS_TOOLS, chatml, get_model

from recipes.own_tools.make_rows import TASKS
from recipes.own_tools.make_rows import main as make_rows
from rest_verl.cli import main
from rest_verl.environments.base import make_environment
from rest_verl.evaluation import run as run_module
from rest_verl.evaluation.store import read_records, read_run


def shopkeeper(prompt: str, seed: int) -> str:
    """Does what the shop's customers say; cannot cancel, and for some seeds not order."""
    said = re.split("<\\|im_start\\|>", prompt)[-2]
    if "<tool_response>" in said:
        return "Done."
    if match := re.search(r"How many of (\w+)", said):
        return call_text("count", item=match[1])
    if (match := re.search(r"I take (\d+) of (\w+)", said)) and seed % 4:
        return call_text("order", item=match[2], quantity=int(match[1]))
    return "Sorry."


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    monkeypatch.setattr("rest_verl.evaluation.commands._quieten", lambda: None)
    stand_in = StandIn(get_model("qwen3"), shopkeeper, max_length=4096)
    monkeypatch.setattr(run_module, "vllm_engine", starting(stand_in))
    return stand_in


@pytest.mark.parametrize("environment", TASKS)
def test_rows_are_made(environment: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert make_rows(["--environment", environment, "--output-dir", str(tmp_path / "a")]) == 0
    assert f"{environment}: " in capsys.readouterr().out
    names = set()
    for split in ("train", "validation"):
        rows = pq.read_table(tmp_path / "a" / f"{split}.parquet").to_pylist()
        assert len(rows) > 10
        for row in rows:
            info = row["extra_info"]
            assert row["agent_name"] == "rest_tool_env"
            assert (info["environment"], info["split"]) == (environment, split)
            made = make_environment(environment, json.loads(info["task"]))
            assert row["prompt"] == [{"role": "user", "content": made.user_message(0)}]
            assert json.loads(info["tools"]) == made.tools
            names.add(info["id"])
    assert names == set(TASKS[environment]())
    make_rows(["--environment", environment, "--output-dir", str(tmp_path / "b")])
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def evaluate(model: Path, data: Path, output: Path, *more: str) -> int:
    given = ["--model", str(model), "--data", str(data), "--output", str(output)]
    return main(["evaluate", "env", *given, *more])


def test_an_evaluation(engine: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    make_rows(["--environment", "shop", "--output-dir", str(tmp_path)])
    model, data = save_model(tmp_path / "model"), tmp_path / "validation.parquet"
    first = tmp_path / "first"
    assert evaluate(model, data, first, "--limit", "12") == 0
    shown = capsys.readouterr().out
    assert "# Environment shop\n" in shown
    assert shown.strip().endswith((first / "table.md").read_text().strip())

    records = read_records(first)
    assert len(records) == 12
    turns = {name: task["turns"] for name, task in TASKS["shop"]().items()}
    for record in records:
        # Two turns, or three and then the last one wrong: nothing was cancelled.
        assert record["valid"] is (record["official"] == 1)
        assert record["turns"] == len(turns[record["id"]])
        said = [message["content"] for message in record["text"] if message["role"] == "user"]
        assert said == [turn["user"] for turn in turns[record["id"]][1:]]
        assert record["limit"] == ""
        assert record["terms"] == {
            "tags_valid": True, "calls_parse": True, "unclosed": False, "cut_off": False
        }  # fmt: skip
        assert record["error"] == ("" if record["valid"] else "not as the customer asked")
    right = sum(record["valid"] for record in records)
    assert 0 < right < 12

    summary = json.loads((first / "summary.json").read_text())
    shop = summary["categories"]["shop"]
    assert (shop["correct"], shop["total"]) == (right, 12)
    assert shop["interval"][0] < right / 12 < shop["interval"][1]
    score = sum(record["official"] for record in records) / 12
    assert shop["official"]["mean"] == pytest.approx(score)
    low, high = shop["official"]["interval"]
    assert low < score < high
    assert summary["errors"] == {"not as the customer asked": 12 - right}
    run = read_run(first)
    assert run["environments"].keys() == {"shop"}
    assert run["tool_env"]["max_steps_per_turn"] == 20

    asked = len(engine.prompts)
    assert evaluate(model, data, first, "--limit", "12") == 0
    assert len(engine.prompts) == asked  # nothing was left to do
    assert evaluate(model, data, first, "--limit", "12", "--tool-env", "max_turns=1") == 1
    assert "tool_env.max_turns was null and is now 1" in capsys.readouterr().err


def test_samples_limits_and_a_comparison(
    engine: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    make_rows(["--environment", "shop", "--prompt-style", "compact", "--output-dir", str(tmp_path)])
    model, data = save_model(tmp_path / "model"), tmp_path / "validation.parquet"
    engine.answer = lambda prompt, seed: shopkeeper(prompt, seed).replace("arguments", "parameters")
    first, second = tmp_path / "first", tmp_path / "second"
    more = ["--limit", "6", "--samples", "2"]
    assert evaluate(model, data, first, *more) == 0
    assert evaluate(model, data, second, *more, "--tool-env", "max_turns=1") == 0
    assert {(r["turns"], r["limit"]) for r in read_records(second)} == {(1, "turns")}
    assert "12 of 12 answers had as many turns as one may have" in capsys.readouterr().out
    assert json.loads((first / "summary.json").read_text())["over_samples"]["num_values"] == 2
    assert main(["evaluate", "compare", str(first), str(second)]) == 0
    assert "| `shop` | 6 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"environment": "circus"}, "unknown environment 'circus'"),
        ({"task": "{}"}, r"row shop_\d+: making in environment 'shop' failed: KeyError: 'stock'"),
        ({"id": "twin"}, "two rows are named twin"),
        ({"environment": ""}, "needs a string extra_info.environment"),
    ],
    ids=["environment", "task", "names", "no environment"],
)
def test_rows_that_cannot_be_evaluated(
    change: dict[str, Any],
    message: str,
    engine: StandIn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset

    make_rows(["--environment", "shop", "--output-dir", str(tmp_path)])
    rows = pq.read_table(tmp_path / "validation.parquet").to_pylist()
    for row in rows:
        row["extra_info"] |= change
    write_dataset(tmp_path / "bad", {"validation": rows}, ENVIRONMENT_EXTRA_INFO, {})
    model = save_model(tmp_path / "model")
    assert evaluate(model, tmp_path / "bad" / "validation.parquet", tmp_path / "out") == 1
    assert re.search(message, capsys.readouterr().err)
    assert engine.prompts == []
    assert not (tmp_path / "out").exists()


def test_a_template_that_shows_no_tools(
    engine: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    make_rows(["--environment", "shop", "--output-dir", str(tmp_path)])
    plain = save_model(tmp_path / "plain", chatml(DROPS_TOOLS, "llama"))
    assert evaluate(plain, tmp_path / "validation.parquet", tmp_path / "out") == 1
    assert "does not show tools; make the rows in the style toolrl" in capsys.readouterr().err
    assert engine.prompts == []
