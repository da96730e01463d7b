"""A small BFCL multi-turn row with its answer, and folders of such rows."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from bfcl_samples import write_category

needs_package = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("bfcl_eval", "mpmath")),
    reason="the package bfcl-eval, or mpmath for it, is not installed",
)

FILES: dict[str, Any] = {
    "root": {"w": {"type": "directory", "contents": {"a.txt": {"type": "file", "content": "b\na"}}}}
}


def question(number: int = 0, kind: str = "miss_func", **changes: Any) -> dict[str, Any]:
    """Three turns: list, sort without having it, sort."""
    return {
        "id": f"multi_turn_{kind}_{number}",
        "question": [
            [{"role": "user", "content": f"List all, {number}."}],
            [{"role": "user", "content": "Sort a.txt."}],
            [],
        ],
        "initial_config": {"GorillaFileSystem": FILES},
        "path": [],
        "involved_classes": ["GorillaFileSystem"],
        "missed_function": {"2": ["sort"]},
        **changes,
    }


def answer(number: int = 0, kind: str = "miss_func", truth: Any = None) -> dict[str, Any]:
    calls = [["pwd()", "ls(a=True)"], [], ["sort('a.txt')"]]
    return {"id": f"multi_turn_{kind}_{number}", "ground_truth": truth or calls}


def write_rows(folder: Path, questions: list, answers: list, kind: str = "miss_func") -> Path:
    write_category(folder, questions, answers, f"v4_multi_turn_{kind}")
    return folder


def write_docs(folder: Path) -> None:
    """Function docs of one's own: every class, with the functions that the samples call."""
    from rest_verl.environments.bfcl_backend import CLASSES

    docs = folder / "multi_turn_func_doc"
    docs.mkdir()
    names = {"gorilla_file_system": ["pwd", "ls", "sort"]}
    for _, file in CLASSES.values():
        lines = [
            {"name": name, "description": "Own.", "parameters": {"type": "dict", "properties": {}}}
            for name in names.get(file, ["f"])
        ]
        (docs / f"{file}.json").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
