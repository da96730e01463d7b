"""Reads JSON lines, naming file and line of whatever is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def load_json(text: str | bytes) -> Any:
    """The value in `text`, if it can be written again as UTF-8 JSON.

    Raises:
        ValueError or RecursionError: no JSON, or NaN, 1e999, half of a surrogate pair in it.
    """
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (file and line, object). Only "\\n" ends a line: some texts hold U+2028.

    Raises:
        ValueError: no such file, or a line that is not an object in JSON.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = load_json(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: not a line of JSON: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{where}: not a JSON object")
        yield where, record


def read_by_id(path: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """id -> (file, line and id as text, record), in file order.

    Raises:
        ValueError: as above, and an id that is missing or given twice.
    """
    records: dict[str, tuple[str, dict[str, Any]]] = {}
    for where, record in read_json_lines(path):
        row_id = record.get("id")
        if not isinstance(row_id, str) or not row_id:
            raise ValueError(f'{where}: no "id"')
        if row_id in records:
            first = records[row_id][0].removesuffix(f" ({row_id})")
            raise ValueError(f"{where} ({row_id}): duplicate id, first at {first}")
        records[row_id] = (f"{where} ({row_id})", record)
    return records
