"""Reads ToolRL's raw JSON, a list of {"instruction", "input", "output"}, and makes verl rows of it.

The ground truth is the output as it stands, so an output that the reward could not read is refused.
"""

import json
from pathlib import Path
from typing import Any

from rest_verl.rewards.ground_truth import parse_ground_truth

_KEYS = ("instruction", "input", "output")


def read_rlla(path: Path) -> list[dict[str, str]]:
    """The rows of a raw file, checked; each has exactly the keys instruction, input and output.

    Raises:
        ValueError: a missing or broken file, or a bad row, with its number (the first is 0).
    """
    try:
        rows = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file: {error}") from None
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path}: not a list of rows, or an empty one")
    return [_checked(row, f"{path}, row {number}") for number, row in enumerate(rows)]


def verl_row(row: dict[str, str], *, index: int, split: str) -> dict[str, Any]:
    """The row as verl reads it, in the layout of ToolRL's own parquet files."""
    return {
        "data_source": "rlla",
        "prompt": [
            {"role": "system", "content": row["instruction"]},
            {"role": "user", "content": row["input"]},
        ],
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": row["output"]},
        "extra_info": {"index": index, **row, "split": split},
    }


def _checked(row: Any, where: str) -> dict[str, str]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: not a JSON object")
    for key in _KEYS:
        if not isinstance(row.get(key), str):
            raise ValueError(f'{where}: "{key}" is missing or not a text')
        try:
            row[key].encode()
        except UnicodeEncodeError as error:
            raise ValueError(f'{where}: "{key}" is not valid Unicode: {error}') from None
    try:
        if row["output"].lstrip().startswith("{"):
            raise ValueError("the output must be <think> with <tool_call> and/or <response>")
        parse_ground_truth(row["output"])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return {key: row[key] for key in _KEYS}
