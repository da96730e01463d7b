"""`--model` of the data scripts: answers in the model's syntax, prompts as long as it sees them."""

import importlib.util
import json
import runpy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from call_templates import TEMPLATES
from docs_pages import ROOT
from toy_tokenizers import byte_level

needs_bfcl = pytest.mark.skipif(
    importlib.util.find_spec("bfcl_eval") is None, reason="the package bfcl-eval is not installed"
)
CHAT = {
    "messages": [
        {"role": "user", "content": "Weather in Oslo for 2 days?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"function": {"name": "weather", "arguments": {"city": "Oslo", "days": 2}}}
            ],
        },
        {"role": "tool", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "x" * 3000,
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                },
            },
        }
    ],
}
TOOLS = "{%- if tools %}{{- tools | tojson }}{%- endif %}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "chats.jsonl").write_text(json.dumps(CHAT) + "\n")
    tokenizer = byte_level()
    tokenizer.chat_template = TOOLS + TEMPLATES["qwen3_coder"]
    tokenizer.save_pretrained(tmp_path / "model")
    tokenizer.chat_template = "{{- messages[0].content }}"
    tokenizer.save_pretrained(tmp_path / "plain")
    return tmp_path


MAIN = runpy.run_path(str(ROOT / "data_prep" / "dialogues_to_steps.py"))["main"]


def run(folder: Path, style: str = "chat_template", **options: Any) -> int:
    """The script's exit code; it writes to `out`."""
    chats, out = folder / "chats.jsonl", folder / "out"
    try:
        MAIN(out, input_file=chats, val_fraction=0.0, prompt_style=style, **options)
    except typer.Exit as end:
        return end.exit_code
    return 0


def test_histories_are_in_the_models_syntax(folder: Path) -> None:
    assert run(folder, model=folder / "model") == 0
    steps = pq.read_table(folder / "out/train.parquet").to_pylist()
    call = "<function=weather>\n<parameter=city>\nOslo\n</parameter>"
    assert call in steps[1]["prompt"][1]["content"]
    assert steps[0]["extra_info"]["syntax"] == ""
    assert json.loads((folder / "out/manifest.json").read_text())["syntax"] == "qwen3_coder"


def test_prompts_are_measured_with_their_tools(folder: Path, capsys: pytest.CaptureFixture) -> None:
    model = folder / "model"
    assert run(folder, model=model, max_prompt_length=200) == 1
    assert "no prompt has at most 200 tokens" in capsys.readouterr().err
    assert not (folder / "out").exists()
    # Prompts in the style compact show no descriptions.
    assert run(folder, "compact", model=model, max_prompt_length=1000) == 0
    assert json.loads((folder / "out/manifest.json").read_text())["too_long"] == {}


@pytest.mark.parametrize(
    ("model", "longest", "reason"),
    [
        ("plain", None, "its chat template writes no tool calls: take --prompt-style toolrl"),
        ("nowhere", None, "nowhere: no such folder"),
        (None, 9, "name it with --model"),
    ],
)
def test_refused_before_anything_is_written(
    folder: Path,
    model: str | None,
    longest: int | None,
    reason: str,
    capsys: pytest.CaptureFixture,
) -> None:
    options = {"model": model and folder / model, "max_prompt_length": longest}
    assert run(folder, **options) == 1
    assert reason in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_template_that_refuses_a_row_is_named_with_it(folder: Path, capsys) -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = "{{ raise_exception('no system here') }}"
    tokenizer.save_pretrained(folder / "plain")
    assert run(folder, "toolrl", model=folder / "plain", max_prompt_length=500) == 1
    said = capsys.readouterr().err
    assert "the model's chat template cannot show its prompt: TemplateError: no system here" in said
    assert not (folder / "out").exists()


@needs_bfcl
def test_rows_that_their_tools_types_make_impossible_are_left_out(folder: Path) -> None:
    script = runpy.run_path(str(ROOT / "data_prep" / "bfcl_to_parquet.py"))["main"]
    options = {"categories": ["live_multiple"], "prompt_style": "chat_template", "val_fraction": 0}
    script(folder / "out", model=folder / "model", **options)
    never_right = json.loads((folder / "out/manifest.json").read_text())["never_right"]
    numbers = "1038-265-0 1041-268-0 552-153-1 595-158-1 596-158-2 731-167-2 733-167-4 735-167-6"
    assert never_right == [f"live_multiple_{number}" for number in numbers.split()]
    rows = pq.read_table(folder / "out/train.parquet").to_pylist()
    assert len(rows) == 1053 - 8
    assert not {row["extra_info"]["id"] for row in rows} & set(never_right)
