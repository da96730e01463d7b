"""`--model` of the data scripts: answers in the model's syntax, prompts as long as it sees them."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from call_templates import TEMPLATES
from docs_pages import ROOT
from toy_tokenizers import byte_level

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


def run(folder: Path, *options: str, style: str = "chat_template") -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "data_prep" / "dialogues_to_steps.py")]
    command += ["--input", "chats.jsonl", "--output-dir", "out", "--val-fraction", "0"]
    return subprocess.run(
        [*command, "--prompt-style", style, *options], cwd=folder, capture_output=True, text=True
    )


def test_histories_are_in_the_models_syntax(folder: Path) -> None:
    done = run(folder, "--model", "model")
    assert done.returncode == 0, done.stderr
    steps = pq.read_table(folder / "out/train.parquet").to_pylist()
    call = "<function=weather>\n<parameter=city>\nOslo\n</parameter>"
    assert call in steps[1]["prompt"][1]["content"]
    assert steps[0]["extra_info"]["syntax"] == ""
    assert json.loads((folder / "out/manifest.json").read_text())["syntax"] == "qwen3_coder"


def test_prompts_are_measured_with_their_tools(folder: Path) -> None:
    done = run(folder, "--model", "model", "--max-prompt-length", "200")
    assert done.returncode == 1
    assert "no prompt has at most 200 tokens" in done.stderr
    assert not (folder / "out").exists()
    done = run(folder, "--model", "model", "--max-prompt-length", "1000", style="compact")
    assert done.returncode == 0, done.stderr  # its prompts show no descriptions
    assert json.loads((folder / "out/manifest.json").read_text())["too_long"] == {}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ["--model", "plain"],
            "its chat template writes no tool calls: take --prompt-style toolrl",
        ),
        (["--model", "nowhere"], "--model nowhere: no such folder"),
        (["--max-prompt-length", "9"], "name it with --model"),
    ],
)
def test_refused_before_anything_is_written(folder: Path, options: list[str], reason: str) -> None:
    done = run(folder, *options)
    assert done.returncode == 1
    assert reason in done.stderr
    assert not (folder / "out").exists()
