"""`rest-verl evaluate … RUN`: what a run's folder settles, and that options win over it."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="its continuous-token builders")
import pyarrow
import pyarrow.parquet
from evaluate_runs import summary_of

from rest_verl.cli import main
from rest_verl.data import STYLES, BfclRow, PromptStyle, rlla, verl_row
from rest_verl.data.parquet import BFCL_EXTRA_INFO, RLLA_EXTRA_INFO, write_dataset
from rest_verl.evaluation.of_run import prompt_style, settle, validation_files
from rest_verl.files.run_folder import open_run, write_about

RUN: dict[str, Any] = {
    "trainer": "rest_sync",
    "rest": {"syntax": "glm"},
    "chat_template_kwargs": {"enable_thinking": False},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    for step in (2, 10):
        (folder / f"checkpoints/global_step_{step}/actor").mkdir(parents=True)
    (folder / "checkpoints/latest_checkpointed_iteration.txt").write_text("10")
    rows = tmp_path / "rows.parquet"
    table = pyarrow.table({"extra_info": [{"prompt_style": "compact"}]})
    pyarrow.parquet.write_table(table, rows)
    write_about(folder, {**RUN, "val_files": [str(rows), "gone.parquet"]}, {})
    return folder


def settled(**given: Any) -> argparse.Namespace:
    usual = dict.fromkeys(("run", "model", "output", "chat_template_kwargs", "syntax"))
    arguments = argparse.Namespace(**{**usual, **given})
    settle(arguments, "bfcl")
    return arguments


def test_a_run_alone(run: Path) -> None:
    found = settled(run=run)
    assert found.model == run / "checkpoints/global_step_10"
    assert found.output == run / "evaluation/bfcl/global_step_10"
    assert (found.syntax, found.chat_template_kwargs) == ("glm", {"enable_thinking": False})
    assert prompt_style(open_run(run)) == "compact"
    assert [path.name for path in validation_files(open_run(run))] == ["rows.parquet"]


@pytest.mark.parametrize(
    "given",
    [
        {"model": Path("m")},
        {"output": Path("o")},
        {"syntax": "hermes"},
        {"syntax": "auto"},
        {"chat_template_kwargs": {"a": 1}},
        {"chat_template_kwargs": {}},
    ],
    ids=str,
)
def test_options_win(run: Path, given: dict[str, Any]) -> None:
    found = settled(run=run, **given)
    assert {name: getattr(found, name) for name in given} == given


def bfcl_row(style: PromptStyle) -> dict[str, Any]:
    function = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}}}
    row = BfclRow(
        id="irrelevance_0",
        category="irrelevance",
        version="v4",
        messages=[{"role": "user", "content": "Do g."}],
        functions=[function],
        expect="no_call",
    )
    return verl_row(row, style, index=0, split="val")


TOOLRL = {
    "instruction": "Tools",
    "input": "<user> Hi </user>",
    "output": "<response> Hi </response>",
}


@pytest.mark.parametrize(
    ("row", "extra_info", "style"),
    [
        *((bfcl_row(style), BFCL_EXTRA_INFO, style) for style in STYLES),
        (rlla.verl_row(TOOLRL, index=0, split="test"), RLLA_EXTRA_INFO, "toolrl"),
        (
            {**bfcl_row("compact"), "extra_info": {"index": 0, "split": "test"}},
            RLLA_EXTRA_INFO,
            "toolrl",
        ),
        ({"extra_info": None, "reward_model": None}, RLLA_EXTRA_INFO, None),
    ],
)
def test_rows_tell_how_their_prompts_show_tools(tmp_path, row, extra_info, style) -> None:
    write_dataset(tmp_path, {"val": [row]}, extra_info, {})
    write_about(tmp_path, {**RUN, "val_files": [str(tmp_path / "val.parquet")]}, {})
    assert prompt_style(open_run(tmp_path)) == style


def test_rows_of_another_layout_do_not_tell(tmp_path: Path) -> None:
    rows = pyarrow.table({"extra_info": ["first"], "reward_model": ["42"]})
    pyarrow.parquet.write_table(rows, tmp_path / "val.parquet")
    write_about(tmp_path, {**RUN, "val_files": str(tmp_path / "val.parquet")}, {})
    assert prompt_style(open_run(tmp_path)) is None


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(ValueError, match="has no checkpoint yet; name a model with --model"):
        settled(run=tmp_path)
    with pytest.raises(ValueError, match="name --model, or the folder of a RUN"):
        settled(output=Path("o"))


def test_the_command_evaluates_the_last_checkpoint(engine, model, data, tmp_path) -> None:
    run = tmp_path / "run"
    checkpoints = run / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "global_step_3").symlink_to(model)
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("3")
    assert main(["evaluate", "bfcl", str(run), "--data-dir", str(data), "--limit", "2"]) == 0
    output = run / "evaluation/bfcl/global_step_3"
    summary = summary_of(output)
    assert (summary["rows"], summary["mode"]) == (2, "tools")
    about = json.loads((output / "run.json").read_text())
    assert about["model"]["path"] == str(checkpoints / "global_step_3")
