"""A few rows of a run's data files, spread over each, as verl would read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rest_verl.files.json_lines import read_json_lines, read_utf8

SPLITS = ("data.train_files", "data.val_files")
ROWS_READ = 64
"""Of each file."""
LARGE = 50 * 2**20
"""Bytes of a parquet file of which only the first rows are read."""
CUSTOM_CLASS = "data.custom_cls.path"
SOURCE, LOOP = "data_source", "agent_name"


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of a run's data."""

    name: str
    """The setting and the path, for messages."""
    columns: tuple[str, ...]
    count: int
    """Rows in the file."""
    kinds: frozenset[tuple[str | None, str | None]]
    """(data_source, agent_name) of all rows, None where a row or the file has none."""
    rows: Mapping[int, dict[str, Any]]
    """At most ROWS_READ, by their place in the file."""

    def row_name(self, place: int) -> str:
        """What a message calls a row: its id, or its place in the file, from 0."""
        info = self.rows[place].get("extra_info")
        name = info.get("id") if isinstance(info, Mapping) else None
        return f"{self.name}, row {name or place}"


def data_files(config: DictConfig) -> Iterator[DataFile]:
    """The files of training and validation that are here; none where a class of the user's reads
    the data (`data.custom_cls`).

    Raises:
        ValueError: verl could not read one, or it is empty; names it.
    """
    if OmegaConf.select(config, CUSTOM_CLASS):
        return
    for setting, path in named_files(config):
        if path.exists():
            yield _read(f"{setting}={path}", path, path.stat().st_mtime_ns)


def named_files(config: DictConfig) -> Iterator[tuple[str, Path]]:
    """(setting, path) of each file on a disk that the configuration names, whether there or not."""
    for setting in SPLITS:
        files = OmegaConf.select(config, setting)
        for file in [files] if isinstance(files, str) else files or ():
            if "://" not in str(file):  # another file system: verl copies it
                yield setting, Path(str(file)).expanduser()


@lru_cache(maxsize=16)
def _read(name: str, path: Path, _: int) -> DataFile:
    """Each of the checks asks anew; the time of the last change tells a new file of that name."""
    if path.suffix == ".parquet":
        file = _read_parquet(name, path)
    elif path.suffix in (".json", ".jsonl"):
        file = _read_json(name, path)
    else:
        raise ValueError(f"{name}: verl reads files that end in .parquet, .json or .jsonl")
    if not file.rows:
        raise ValueError(f"{name}: has no rows")
    return file


def _read_parquet(name: str, path: Path) -> DataFile:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        file = pq.ParquetFile(path)
        count, columns = file.metadata.num_rows, tuple(file.schema_arrow.names)
        if path.stat().st_size > LARGE:
            rows = next(file.iter_batches(batch_size=ROWS_READ)).to_pylist()
            places = list(range(len(rows)))
        else:
            places = _spread(count)
            rows = file.read().take(places).to_pylist() if places else []
        present = [column for column in (SOURCE, LOOP) if column in columns]
        kinds = file.read(columns=present).group_by(present).aggregate([]).to_pylist()
    except (OSError, ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: not to be read as parquet: {reason}") from None
    return DataFile(
        name=name,
        columns=columns,
        count=count,
        kinds=_kinds(kinds if present else [{}]),
        rows=dict(zip(places, rows, strict=True)),
    )


def _read_json(name: str, path: Path) -> DataFile:
    try:
        if read_utf8(path).lstrip().startswith(b"["):
            rows = json.loads(read_utf8(path))
        else:
            rows = [row for _, row in read_json_lines(path)]
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: not to be read as JSON: {error}") from None
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{name}: a row must be a JSON object")
    return DataFile(
        name=name,
        columns=tuple(dict.fromkeys(column for row in rows for column in row)),
        count=len(rows),
        kinds=_kinds(rows),
        rows={place: rows[place] for place in _spread(len(rows))},
    )


def _spread(count: int) -> list[int]:
    """At most ROWS_READ places among so many, evenly spread: files are often sorted by kind."""
    taken = min(count, ROWS_READ)
    return [number * count // taken for number in range(taken)]


def _kinds(rows: list[dict[str, Any]]) -> frozenset[tuple[str | None, str | None]]:
    def text(value: Any) -> str | None:
        return None if value is None else str(value)

    return frozenset((text(row.get(SOURCE)), text(row.get(LOOP))) for row in rows)
