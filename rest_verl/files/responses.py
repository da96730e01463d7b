"""The lines of verl's `<step>.jsonl`: one response each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rest_verl.files.json_lines import read_lines


def say_cut(path: Path) -> None:
    """Says that a line is missing, and goes on."""
    print(f"{path}: its last line is cut off and was left out", file=sys.stderr)


def refuse_cut(path: Path) -> None:
    """For what needs every response.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{path}: its last line is cut off: the step is not whole")


def read_responses(
    path: Path, on_cut: Callable[[Path], None] = say_cut
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number of the line, what it holds), with the text "output" in each.

    Args:
        path: The file.
        on_cut: Called where the last line is cut off: a run is still writing it, or was stopped.

    Raises:
        ValueError: another line that cannot be read; names file and line.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError) as error:
            if not line.endswith(b"\n"):
                on_cut(path)
                return
            raise ValueError(f"{path}:{number}: not a line of JSON: {error}") from None
        if not isinstance(record, dict) or not isinstance(record.get("output"), str):
            raise ValueError(
                f'{path}:{number}: no response of verl\'s (an object with the text "output")'
            )
        yield number, record
