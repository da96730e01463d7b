"""A small BFCL record by hand, and the calls that answer it."""

from typing import Any

from rest_verl.environments.bfcl_backend import CLASSES


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def record(**changes: Any) -> dict[str, Any]:
    """Two files; asked for: a folder with one of them, nothing, the sum of two numbers."""
    files = {"a.txt": {"type": "file", "content": "x"}, "b.txt": {"type": "file", "content": "y"}}
    root = {"home": {"type": "directory", "contents": files}}
    return {
        "id": "multi_turn_base_9000",
        "question": [said("Sort my files."), said("Thanks."), said("And 2 + 3?")],
        "initial_config": {"GorillaFileSystem": {"root": root}},
        "involved_classes": ["GorillaFileSystem", "MathAPI"],
        "path": [],
        "ground_truth": [["mkdir('new')", "mv('a.txt', destination='new')"], [], ["add(a=2, b=3)"]],
        **changes,
    }


MKDIR = ("mkdir", {"dir_name": "new"})
MV = ("mv", {"source": "a.txt", "destination": "new"})
ADD = ("add", {"a": 2, "b": 3})
LS = ("ls", {})


def everything() -> dict[str, Any]:
    """A record of one turn that involves all classes."""
    return record(
        id="multi_turn_long_context_9000",
        involved_classes=list(CLASSES),
        question=[said("Go.")],
        ground_truth=[["ls()"]],
    )
