"""A folder that a run fills row by row, so that it can be stopped at any point and go on.

`run.json`, written first, says what is being run: the model's files, the options, the data and the
packages, with checksums. A folder goes on only with the very same. `rows.jsonl` takes one result
record a line, in the order in which they are done; when all are there it is put in the order asked
for, so that an interrupted run ends with the same bytes as one that was not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rest_verl.files.atomic import write_atomically, write_json
from rest_verl.files.json_lines import load_json

RUN_FILE, ROWS_FILE = "run.json", "rows.jsonl"

Key = tuple[str, int]
"""A record's row id and sample number."""

_SYNC_SECONDS = 1.0
"""Rows of at most so long can be lost with the machine; with the process, none."""
_LOCATIONS = ("path", "folder")
"""Keys of `run.json` that say where things lie; the checksums say what they are."""


def record_key(record: dict[str, Any]) -> Key:
    """What identifies a record in its run."""
    return record["id"], record["sample"]


def read_run(folder: Path) -> dict[str, Any]:
    """What `folder` was run with.

    Raises:
        ValueError: no readable `run.json` there.
    """
    path = folder / RUN_FILE
    try:
        run = load_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder}: holds no results (no {RUN_FILE})") from None
    except ValueError as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    if not isinstance(run, dict):
        raise ValueError(f"{path}: not a JSON object")
    return run


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The records in `folder`, in the order of the file; a torn last line is left out.

    Raises:
        ValueError: no such file, or a line that is no record of this run, with its number.
    """
    path = folder / ROWS_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{folder}: holds no results (no {ROWS_FILE})") from None
    return list(_parse(path, content[: _length_of_whole_lines(content)]).values())


def write_records(folder: Path, records: Iterable[dict[str, Any]]) -> None:
    """Replaces the records in `folder`."""
    write_atomically(folder / ROWS_FILE, "".join(map(_line, records)))


class Store:
    """The records of one run; holds its folder for this process alone until it is closed.

    Args:
        folder: made if need be.
        run: what is run; JSON throughout. Compared with the folder's `run.json` but for the keys
            that say where things lie.

    Raises:
        ValueError: the folder holds rows of another run (says what differs) or other files, is in
            use by another process, or its rows cannot be read.
    """

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder}: is a file; name a folder")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with contextlib.ExitStack() as opened:
            opened.enter_context(locked(folder))
            path = folder / ROWS_FILE
            content = path.read_bytes() if path.exists() else b""
            whole = _length_of_whole_lines(content)
            self.records: dict[Key, dict[str, Any]] = _parse(path, content[:whole])
            _claim(folder, run, is_empty=not self.records)
            self._file = opened.enter_context(path.open("ab"))
            # What was being written when the process ended.
            self._file.truncate(whole)
            self._opened = opened.pop_all()
        self._synced = time.monotonic()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._sync()
        self._opened.close()

    def append(self, record: dict[str, Any]) -> None:
        """Adds one record, which is safe from the end of the process at once."""
        self._file.write(_line(record).encode())
        self._file.flush()
        self.records[record_key(record)] = record
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process alone.

    Raises:
        ValueError: another process has it.
    """
    # The folder and not a file in it: those are replaced. The lock ends with the process.
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"{folder}: another process is writing its results there") from None
    finally:
        os.close(handle)


def _claim(folder: Path, run: dict[str, Any], *, is_empty: bool) -> None:
    if not (folder / RUN_FILE).exists():
        if strangers := sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")):
            raise ValueError(
                f"{folder}: holds {strangers[0]} but no {RUN_FILE}, so it is no folder of results; "
                "name another one"
            )
        write_json(folder / RUN_FILE, run)
    elif changes := list(_changes(read_run(folder), run)):
        if is_empty:  # it never came to a row, perhaps because of what was changed
            write_json(folder / RUN_FILE, run)
            return
        raise ValueError(
            f"{folder}: holds the results of another run: {'; '.join(changes)}. Name another "
            "folder, or remove this one to start anew"
        )


def _changes(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Each difference as text: where, and the two values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in _LOCATIONS:
                yield from _changes(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name} was {_short(old)} and is now {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _length_of_whole_lines(content: bytes) -> int:
    return content.rfind(b"\n") + 1


def _parse(path: Path, content: bytes) -> dict[Key, dict[str, Any]]:
    records: dict[Key, dict[str, Any]] = {}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            record = load_json(line)
        except (ValueError, RecursionError):
            record = None
        match record:
            case {"id": str(row), "sample": int(sample)}:
                key = row, sample
            case _:
                raise ValueError(
                    f"{path}:{number}: not a result record; remove the line, and its row is run "
                    "again"
                )
        if key in records:
            raise ValueError(f"{path}:{number}: {key[0]} sample {key[1]} is there twice")
        records[key] = record
    return records
