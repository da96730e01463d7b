"""Runs of `rest-verl evaluate`: the command, what the model says, and what lies in the folder."""

import json
from pathlib import Path

from stand_in import call_text

RIGHT, WRONG = call_text("weather.get", city="Oslo"), call_text("weather.get", city="Bergen")
SCRIPT = [
    call_text("pwd") + call_text("ls", a=True),
    "Done.",
    "I cannot sort.",
    call_text("sort", file_name="a.txt"),
    "Sorted.",
]


def speak(prompt: str, seed: int) -> str:
    """Right or wrong by the seed; in conversations always right."""
    if "Weather" in prompt:
        return RIGHT if seed % 3 else WRONG
    return SCRIPT[prompt.count("<|im_start|>assistant") - 1]


def arguments(model: Path, data: Path, output: Path, *more: str) -> list[str]:
    return [
        *("evaluate", "bfcl", "--model", str(model), "--data-dir", str(data)),
        *("--output", str(output), *more),
    ]


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def summary_of(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())
