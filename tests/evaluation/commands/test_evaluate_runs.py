"""What the commands of evaluation write and show, from end to end, with a stand-in engine."""

import json
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="its continuous-token builders")
from bfcl_samples import QUESTION, write_category
from evaluate_runs import arguments, content, summary_of
from multi_turn_samples import needs_package

from rest_verl.cli import main
from rest_verl.evaluation.store import read_records, read_run

API_BANK = Path(__file__).parents[3] / "../shared/data/api_bank"


@needs_package
def test_a_run_from_end_to_end(engine, model, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(model, data, output, "--categories", "all")) == 0
    shown = capsys.readouterr().out
    assert shown.strip() == (output / "table.md").read_text().strip()
    assert shown.startswith("# BFCL v4\n")

    records = read_records(output)
    assert [r["id"] for r in records] == [
        *(f"multiple_{n}" for n in range(20)),
        *(f"multi_turn_miss_func_{n}" for n in range(6)),
    ]
    summary = summary_of(output)
    right = sum(record["valid"] for record in records[:20])
    assert 0 < right < 20
    assert summary["categories"]["multiple"]["correct"] == right
    assert summary["categories"]["multi_turn_miss_func"]["correct"] == 6
    assert summary["groups"]["overall"]["accuracy"] == pytest.approx((right / 20 + 1) / 2)
    assert "live" not in summary["groups"]
    assert summary["groups"]["multi_turn"]["missing"] == [
        "multi_turn_base",
        "multi_turn_miss_param",
        "multi_turn_long_context",
    ]
    head = {key: summary[key] for key in ("benchmark", "data_version", "mode", "rows", "samples")}
    assert head == {
        "benchmark": "bfcl",
        "data_version": "v4",
        "mode": "tools",
        "rows": 26,
        "samples": 1,
    }
    official = {path.name for path in (output / "official").rglob("*.json")}
    assert official == {
        "BFCL_v4_multiple_result.json",
        "BFCL_v4_multi_turn_miss_func_result.json",
    }
    run = read_run(output)
    assert run["model"]["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert run["options"]["temperature"] == 0

    before = content(output)
    asked = len(engine.prompts)
    assert main(arguments(model, data, output, "--categories", "all")) == 0
    assert (content(output), len(engine.prompts)) == (before, asked)  # nothing was left to do


def test_several_samples_and_a_limit(engine, model, data, tmp_path):
    output = tmp_path / "out"
    assert main(arguments(model, data, output, "--samples", "4", "--limit", "5")) == 0
    records = read_records(output)
    assert [(r["id"], r["sample"]) for r in records] == [
        (f"multiple_{n}", sample) for n in range(5) for sample in range(4)
    ]
    assert len(set(engine.seeds)) == 20
    summary = summary_of(output)
    assert read_run(output)["options"]["temperature"] == 1
    category = summary["categories"]["multiple"]
    assert category["total"] == 5
    assert category["correct"] == sum(record["valid"] for record in records) / 4
    assert summary["over_samples"]["mean"] == pytest.approx(category["accuracy"])
    assert "the first 5 rows" in (output / "table.md").read_text()


def test_no_spread_of_an_accuracy_that_was_not_measured(engine, model, tmp_path):
    # v4's overall accuracy leaves irrelevance out, so samples of it alone have none
    data = tmp_path / "data"
    write_category(data, [{**QUESTION, "id": "irrelevance_0"}], None, "v4_irrelevance")
    output = tmp_path / "out"
    command = arguments(model, data, output, "--samples", "3", "--categories", "irrelevance")
    assert main(command) == 0
    summary = summary_of(output)
    assert list(summary["categories"]) == ["irrelevance"]
    assert list(summary["groups"]) == ["irrelevance"]
    assert "over_samples" not in summary
    assert "overall by sample" not in (output / "table.md").read_text()


def test_compare(engine, model, data, tmp_path, capsys):
    for name in ("a", "b"):
        assert main(arguments(model, data, tmp_path / name, "--seed", str(int(name == "b")))) == 0
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    capsys.readouterr()
    assert main(["evaluate", "compare", a, a]) == 0
    assert "No difference" in capsys.readouterr().out
    assert main(["evaluate", "compare", a, b, "--json", str(tmp_path / "c.json")]) == 0
    first, second = (
        {r["id"] for r in read_records(tmp_path / name) if r["valid"]} for name in ("a", "b")
    )
    compared = json.loads((tmp_path / "c.json").read_text())
    assert set(compared["overall"]["better"]) == second - first
    assert set(compared["overall"]["worse"]) == first - second
    assert first != second


@pytest.mark.skipif(not API_BANK.is_dir(), reason="needs ../shared/data/api_bank")
def test_api_bank(engine, model, tmp_path, capsys):
    output = tmp_path / "out"
    engine.answer = lambda prompt, seed: "<tool_call>\n{}\n</tool_call>"
    command = ["evaluate", "api-bank", "--model", str(model), "--data", str(API_BANK)]
    command += ["--output", str(output), "--limit", "4"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("# API-Bank\n")
    summary = summary_of(output)
    assert list(summary["levels"]) == ["level_1", "level_2", "level_3", "overall"]
    assert summary["levels"]["overall"]["total"] == 12
    assert summary["benchmark"] == "api_bank"
    assert main(command) == 0
    assert main([*command[:-1], "5"]) == 1
