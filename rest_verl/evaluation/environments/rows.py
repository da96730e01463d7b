"""Rows of environments, from the parquet files that a training run has."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rest_verl.environments.base import environment_class
from rest_verl.evaluation.conversations import Task
from rest_verl.evaluation.environments.playing import Player
from rest_verl.integration.agent_loops.rows import EnvironmentFailed, Row
from rest_verl.integration.run_syntax import asked_syntax
from rest_verl.integration.user_check import check_users


@dataclass(frozen=True, kw_only=True)
class EnvironmentRows:
    """What is evaluated, and what is said of it."""

    tasks: list[Task]
    syntaxes: set[str]
    """What the rows' prompts ask for (`asked_syntax`)."""
    shows_tools: bool
    """Whether some rows leave their tools to the chat template."""
    environments: dict[str, str]
    """Name -> checksum of the file with its class."""
    styles: list[str]
    versions: list[str]
    """Of the data, where the rows name them."""


def environment_rows(files: Iterable[Path], player: Player, limit: int | None) -> EnvironmentRows:
    """The rows of parquet files, `limit` of each category.

    What cannot work shows here, before anything is generated: every row's environment is made once,
    and the users of the first ones are asked.

    Raises:
        ValueError: a file that cannot be read, a row without an environment or with a task that its
            environment refuses, two rows of one name, or a user who could not reply.
    """
    counts: Counter[str] = Counter()
    kept: list[tuple[Row, dict[str, Any]]] = []
    for columns in (columns for file in files for columns in _read(file)):
        row = Row.from_extra_info(columns["extra_info"])
        counts[_category(row, columns)] += 1
        if limit is None or counts[_category(row, columns)] <= limit:
            kept.append((row, columns))
    rows = [row for row, _ in kept]
    if twice := [name for name, count in Counter(row.name for row in rows).items() if count > 1]:
        raise ValueError(
            f"two rows are named {twice[0]}: give each row an extra_info.id of its own"
        )
    try:
        for row in rows:
            row.make_environment(player.options.task)
    except EnvironmentFailed as error:
        raise ValueError(str(error)) from error
    check_users(rows, player.options.task)
    infos = [columns["extra_info"] for _, columns in kept]
    return EnvironmentRows(
        tasks=[
            Task(
                id=row.name,
                category=_category(row, columns),
                messages=columns["prompt"],
                play=partial(player.play, columns),
            )
            for row, columns in kept
        ],
        syntaxes={asked_syntax(info) for info in infos},
        shows_tools=any(row.tools for row in rows),
        environments={name: _source(name) for name in sorted({row.environment for row in rows})},
        styles=sorted({row.style for row in rows}),
        versions=sorted({str(info.get("version") or "") for info in infos} - {""}),
    )


def _category(row: Row, columns: dict[str, Any]) -> str:
    return str(columns["extra_info"].get("category") or row.environment)


def _source(name: str) -> str:
    """Checksum of the file that an environment's class is written in."""
    file = inspect.getsourcefile(environment_class(name))
    return hashlib.sha256(Path(file).read_bytes() if file else b"").hexdigest()


def _read(file: Path) -> Sequence[dict[str, Any]]:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        table = pq.read_table(file)
    except (ArrowException, OSError) as error:
        raise ValueError(f"{file}: no parquet file that can be read ({error})") from None
    if missing := {"prompt", "extra_info"} - set(table.column_names):
        raise ValueError(f"{file}: has no column {min(missing)}; docs/data.md says what rows hold")
    rows = table.to_pylist()
    if not rows:
        raise ValueError(f"{file}: has no rows")
    return rows
