"""Replaces a file whole: a reader sees the old content or the new, never a part."""

import json
import os
from pathlib import Path
from typing import Any


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path`: a reader sees the old content or the new, never a part.

    The folder is made if need be, so that every `--output` may lie in a new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by indented JSON."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
