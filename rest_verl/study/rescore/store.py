"""A folder of scored dumps, filled file by file: what is complete is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rest_verl.files.atomic import write_atomically, write_json

ROWS_FILE, SUMMARY_FILE, FILES = "rescored.jsonl", "rescored.json", "files"


class Store:
    """Holds the records of each dump in a file of its own until all are there.

    Args:
        folder: made if need be.
        fingerprint: all that a score hangs on but the dump.

    Raises:
        ValueError: `folder` is a file.
    """

    def __init__(self, folder: Path, fingerprint: dict[str, Any]) -> None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--output {folder}: is a file; name a folder")
        self.folder = folder
        self._settings = json.dumps(fingerprint, sort_keys=True).encode()

    def records(self, dump: Path) -> list[dict[str, Any]] | None:
        """Those of a dump as it is now, scored with these settings; None: it is to be done."""
        try:
            lines = self._path(dump).read_text(encoding="utf-8").splitlines()
            return [json.loads(line) for line in lines]
        except FileNotFoundError:
            return None

    def write(self, dump: Path, records: Iterable[dict[str, Any]]) -> None:
        """Keeps the records of a dump; they are there whole or not at all."""
        path = self._path(dump)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "".join(map(_line, records)))

    def finish(self, records: Sequence[dict[str, Any]], summary: dict[str, Any]) -> None:
        """Writes all records as one file, and what they come to."""
        write_atomically(self.folder / ROWS_FILE, "".join(map(_line, records)))
        write_json(self.folder / SUMMARY_FILE, summary)

    def _path(self, dump: Path) -> Path:
        """Named by settings, place and content: a dump that has changed is another one."""
        about = self._settings + b"\0" + str(dump).encode() + b"\0"
        digest = hashlib.sha256(about + dump.read_bytes()).hexdigest()
        return self.folder / FILES / f"{dump.stem}-{digest[:16]}.jsonl"


def _line(record: dict[str, Any]) -> str:
    # ASCII: a dump's text may hold half of a surrogate pair
    return json.dumps(record, allow_nan=False) + "\n"
