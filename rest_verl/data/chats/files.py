"""Records of a file: JSON lines, a JSON array or parquet, found out by looking."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rest_verl.data.refusals import Refused, is_deeper_than, shortened
from rest_verl.files.json_lines import read_lines

_MAX_NESTING = 100
"""Levels of a record: whatever walks through it goes as deep, and no deeper."""


class Record(NamedTuple):
    """One conversation of a file, as it stands there."""

    place: str
    """File and line, or file and row, the first of which is 1."""
    name: str
    """The same for ids: the file's stem and the number."""
    content: dict[str, Any]
    from_columns: bool
    """It comes from a table, whose objects have the keys of all rows."""


class RefusedRecord(NamedTuple):
    """What gives no rows, and why."""

    place: str
    """As of a record."""
    refused: Refused
    """Its text begins with the place."""
    content: Any = None
    """As it stands in the file; None where it is no JSON object."""


def read_records(path: Path) -> Iterator[Record | RefusedRecord]:
    """Yields each record, or why it is none.

    Raises:
        ValueError: no such file, or none of the three kinds; names it.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    if magic == b"PAR1":
        yield from _table_rows(path)
        return
    lines = read_lines(path)
    first = next((line for line in lines if line.strip()), b"")
    if first.lstrip().startswith(b"[") and (rows := _array(path, lines, first)) is not None:
        yield from rows
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _line(path, number, line)


def _table_rows(path: Path) -> Iterator[Record | RefusedRecord]:
    import pyarrow
    import pyarrow.parquet

    try:
        batches = pyarrow.parquet.ParquetFile(path).iter_batches(1000)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield _row(path, number, row, from_columns=True)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path}: no parquet file that can be read: {error}") from None


def _array(path: Path, lines: list[bytes], first: bytes) -> list[Record | RefusedRecord] | None:
    """The rows of an array; None where the first line is JSON of its own, so that each one is."""
    try:
        rows = json.loads(b"".join(lines))
    except (ValueError, RecursionError) as error:
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            line = getattr(error, "lineno", 1)
            return [_refused(f"{path}:{line}", f"not an array in JSON: {error}")]
        return None
    return [_row(path, n, row, from_columns=False) for n, row in enumerate(rows, start=1)]


def _row(path: Path, number: int, row: Any, *, from_columns: bool) -> Record | RefusedRecord:
    place, name = f"{path}, row {number}", f"{path.stem}-{number}"
    return _record(place, name, row, from_columns=from_columns)


def _line(path: Path, number: int, line: bytes) -> Record | RefusedRecord:
    place = f"{path}:{number}"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _refused(place, f"not a line of JSON: {error}")
    return _record(place, f"{path.stem}-{number}", value, from_columns=False)


def _record(place: str, name: str, value: Any, *, from_columns: bool) -> Record | RefusedRecord:
    if is_deeper_than(_MAX_NESTING, value):
        return _refused(place, f"its values are nested more than {_MAX_NESTING} levels deep")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:  # NaN, half of a surrogate pair, a date
        return _refused(place, f"JSON in UTF-8 cannot hold it: {error}")
    if not isinstance(value, dict):
        return _refused(place, f"not a JSON object but {shortened(value)}")
    return Record(place, name, value, from_columns)


def _refused(place: str, why: str) -> RefusedRecord:
    return RefusedRecord(place, Refused("no JSON object", why).at(place))
