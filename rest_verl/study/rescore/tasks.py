"""The data set's row of each recorded response: where its task, tools and split are."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rest_verl.study.recorded import Recorded

Columns = Mapping[str, Any]
"""`prompt`, `extra_info` and `reward_model` of a row."""


class TaskRows:
    """Rows by their prompt, as verl's JSON lines show it: rendered, without special tokens.

    Args:
        paths: parquet files.
        builder: verl's continuous-token builder of the run's model.

    Raises:
        ValueError: a file that cannot be read, or lacks a column.
    """

    def __init__(self, paths: Iterable[Path], builder: Any) -> None:
        self._paths = list(paths)
        rows = [row for path in self._paths for row in _read(path)]
        self._by_prompt: defaultdict[str, list[Columns]] = defaultdict(list)
        tokenizer = builder.tokenizer
        for row in tqdm(rows, desc="prompts of the data", unit="row", disable=None, leave=False):
            tools = (row["extra_info"] or {}).get("tools")
            ids = builder.build_initial_tokens(
                row["prompt"], tools=json.loads(tools) if tools else None
            )
            self._by_prompt[tokenizer.decode(ids, skip_special_tokens=True)].append(row)

    def of(self, row: Recorded) -> Sequence[Columns]:
        """The rows that the response may be of, at least one; those with its ground truth, if any.

        Raises:
            ValueError: its prompt is none of theirs.
        """
        rows = self._by_prompt.get(row.prompt or "", [])
        same = [
            found
            for found in rows
            if (found["reward_model"] or {}).get("ground_truth") == row.ground_truth
        ]
        if not rows:
            names = ", ".join(map(str, self._paths))
            raise ValueError(
                f"{row.where}: its prompt is that of no row in {names}, as the template of --model "
                "renders them; name the run's own data and model, and what it gave the template as "
                "--chat-template-kwargs"
            )
        return same or rows


def own_columns(row: Recorded) -> Columns | None:
    """The row that a dump itself holds."""
    if row.extra_info is None or row.messages is None:
        return None
    return {
        "prompt": row.messages,
        "extra_info": row.extra_info,
        "reward_model": {"ground_truth": row.ground_truth},
    }


def _read(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        table = pq.read_table(path)
    except (ArrowException, OSError) as error:
        raise ValueError(f"--data {path}: no parquet file that can be read ({error})") from None
    wanted = ["prompt", "extra_info", "reward_model"]
    if missing := set(wanted) - set(table.column_names):
        raise ValueError(
            f"--data {path}: has no column {min(missing)}; docs/data.md says what rows hold"
        )
    return table.select(wanted).to_pylist()
