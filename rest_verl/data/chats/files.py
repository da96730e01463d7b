"""Records of a file: JSON lines, a JSON array or parquet, found out by looking."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rest_verl.data.refusals import Refused, shortened
from rest_verl.files.json_lines import load_json


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
    data = path.read_bytes()
    if data.lstrip().startswith(b"[") and (rows := _array(data)) is not None:
        for number, row in enumerate(rows, start=1):
            yield _object(f"{path}, row {number}", f"{path.stem}-{number}", row)
        return
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield _line(path, number, line)


def _table_rows(path: Path) -> Iterator[Record | RefusedRecord]:
    import pyarrow
    import pyarrow.parquet

    try:
        batches = pyarrow.parquet.ParquetFile(path).iter_batches(1000)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield _table_row(path, number, row)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path}: no parquet file that can be read: {error}") from None


def _table_row(path: Path, number: int, row: dict[str, Any]) -> Record | RefusedRecord:
    try:
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        return _refused(f"{path}, row {number}", f"JSON cannot hold it: {error}")
    return Record(f"{path}, row {number}", f"{path.stem}-{number}", row, from_columns=True)


def _array(data: bytes) -> list[Any] | None:
    try:
        value = load_json(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _line(path: Path, number: int, line: bytes) -> Record | RefusedRecord:
    place = f"{path}:{number}"
    try:
        value = load_json(line)
    except (ValueError, RecursionError) as error:
        return _refused(place, f"not a line of JSON: {error}")
    return _object(place, f"{path.stem}-{number}", value)


def _object(place: str, name: str, value: Any) -> Record | RefusedRecord:
    if not isinstance(value, dict):
        return _refused(place, f"not a JSON object but {shortened(value)}")
    return Record(place, name, value, from_columns=False)


def _refused(place: str, why: str) -> RefusedRecord:
    return RefusedRecord(place, Refused("no JSON object", why).at(place))
