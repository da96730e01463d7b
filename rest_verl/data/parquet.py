"""Writes verl rows as parquet with a manifest: all or nothing, and the same bytes each time.

The columns are those of ToolRL's parquet files, so that files of both can be mixed in one run.
"""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MANIFEST = "manifest.json"

PLAIN_AGENT = "single_turn_agent"
"""verl's default agent loop. A file that names a loop in one row has to name one in each."""


def _struct(*names: str) -> pa.StructType:
    return pa.struct([(n, pa.int64() if n == "index" else pa.string()) for n in names])


_BFCL = ("index", "id", "category", "split", "version", "tools", "syntax", "prompt_style")
BFCL_EXTRA_INFO = _struct(*_BFCL)
ENVIRONMENT_EXTRA_INFO = _struct(*_BFCL, "environment", "task")
"""For files with multi-turn tasks; the last two are null in single-turn rows among them."""
STEP_EXTRA_INFO = _struct(*_BFCL, "later_tools")
"""For the steps of dialogues."""
RLLA_EXTRA_INFO = _struct("index", "input", "instruction", "output", "split")


def verl_schema(extra_info: pa.StructType) -> pa.Schema:
    """The columns of a verl data set whose `extra_info` holds these fields."""
    return pa.schema(
        [
            ("data_source", pa.string()),
            ("prompt", pa.list_(_struct("content", "role"))),
            ("ability", pa.string()),
            ("reward_model", _struct("ground_truth", "style")),
            ("extra_info", extra_info),
        ]
    )


def write_dataset(
    folder: Path,
    splits: dict[str, list[dict[str, Any]]],
    extra_info: pa.StructType,
    manifest: dict[str, Any],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Writes `<split>.parquet` for each split and then `manifest.json` into `folder`.

    The manifest gets, under "files", the number of rows and the sha256 of each file. It is written
    last and an earlier one goes first, so a folder that has a manifest is complete. What an earlier
    manifest lists besides goes too, where it is as it was written: an old validation split may hold
    rows that the new train split has.

    Args:
        texts: further files by name.

    Raises:
        ValueError: rows that do not fit the columns.
        OSError: `folder` cannot be written. In both cases nothing new is left behind.
    """
    schema = verl_schema(extra_info)
    if any("agent_name" in row for rows in splits.values() for row in rows):
        schema = schema.append(pa.field("agent_name", pa.string()))
        splits = {
            split: [{"agent_name": PLAIN_AGENT, **row} for row in rows]
            for split, rows in splits.items()
        }
    files: dict[str, Any] = {}
    with _made(folder), tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial_name:
        partial = Path(partial_name)
        for split, rows in splits.items():
            path = partial / f"{split}.parquet"
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files[path.name] = {"rows": len(rows), "sha256": digest}
        manifest_text = json.dumps({**manifest, "files": files}, indent=2, ensure_ascii=False)
        texts = {**(texts or {}), MANIFEST: manifest_text + "\n"}
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        superseded = _listed_files(folder) - {*files, *texts}
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in superseded:
            (folder / name).unlink()
        for name in [*files, *texts]:
            (partial / name).replace(folder / name)


def _listed_files(folder: Path) -> set[str]:
    """The names of the files that the folder's manifest lists and that are still as it says."""
    try:
        listed = json.loads((folder / MANIFEST).read_bytes())["files"]
        return {
            path.name
            for path in folder.iterdir()
            if path.name in listed
            and hashlib.sha256(path.read_bytes()).hexdigest() == listed[path.name]["sha256"]
        }
    except (OSError, ValueError, KeyError, TypeError):  # none, or another program's
        return set()


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes `folder` and its parents; on an error removes again those that were made."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):  # never made, or in use by another writer
                path.rmdir()
        raise
