"""What scoring again came to: means, how many rows changed, and what replays show."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rest_verl.study.rescore.scoring import CONVERSATION

_MOST_LINES = 20
"""Files that the terminal shows one by one; all of them are in the JSON."""

Record = Mapping[str, Any]
Summary = dict[str, Any]


def summarise(records: Sequence[Record]) -> Summary:
    """All rows together, each kind and each file.

    Rows without a logged score count as rows and in nothing else.
    """
    kinds = list(dict.fromkeys(record["kind"] for record in records))
    files = list(dict.fromkeys(record["file"] for record in records))
    replays = [record["replay"] for record in records if record["kind"] == CONVERSATION]
    summary: Summary = {
        "all": comparison(records),
        "kinds": {kind: comparison(_where(records, "kind", kind)) for kind in kinds},
        "files": {file: comparison(_where(records, "file", file)) for file in files},
    }
    if replays:
        summary["replays"] = {
            "conversations": len(replays),
            "compared": sum(replay["compared"] for replay in replays),
            "differing": sum(replay["differing"] for replay in replays),
            "with_left_over": sum(replay["has_left_over"] for replay in replays),
            "with_passed_over": sum(replay["passed_over"] > 0 for replay in replays),
            "one_of_several": sum(replay["is_one_of_several"] for replay in replays),
        }
    return summary


def comparison(records: Sequence[Record]) -> dict[str, float | int | None]:
    """Old scores beside new ones; `correlation` (Pearson's) is None where either is constant."""
    logged = [record for record in records if record["old"] is not None]
    old = np.array([record["old"] for record in logged])
    new = np.array([record["new"] for record in logged])
    varies = len(logged) > 1 and bool(np.ptp(old)) and bool(np.ptp(new))
    return {
        "rows": len(records),
        "logged": len(logged),
        "old": float(old.mean()) if logged else None,
        "new": float(new.mean()) if logged else None,
        "difference": float((new - old).mean()) if logged else None,
        "changed": int((new != old).sum()),
        "correlation": float(np.corrcoef(old, new)[0, 1]) if varies else None,
    }


def _where(records: Sequence[Record], key: str, value: Any) -> list[Record]:
    return [record for record in records if record[key] == value]


def print_summary(summary: Summary, console: Console) -> None:
    """As a table and a few sentences."""
    table = Table(title="Rewards", title_justify="left")
    heads = ("rows", "changed", "old", "new", "difference", "correlation")
    table.add_column("", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right")
    for name, values in _lines(summary):
        table.add_row(name, *(_shown(head, values[head]) for head in heads))
    console.print(table)
    for remark in remarks(summary):
        console.print(remark, highlight=False, markup=False)


def _lines(summary: Summary) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if 1 < len(summary["files"]) <= _MOST_LINES:
        folder = os.path.commonpath(summary["files"])
        for file, values in summary["files"].items():
            yield os.path.relpath(file, folder), values
    if len(summary["kinds"]) > 1:
        yield from summary["kinds"].items()
    yield "all", summary["all"]


def remarks(summary: Summary) -> Iterator[str]:
    """What the table does not say, a sentence each."""
    every = summary["all"]
    if unlogged := every["rows"] - every["logged"]:
        yield f"{unlogged:,} rows have no logged reward to compare with."
    if not every["changed"] and every["logged"]:
        yield "Every row earns what was logged."
    replays = summary.get("replays")
    if replays is None:
        return
    yield (
        f"{replays['conversations']:,} conversations: of {replays['compared']:,} times that tools "
        f"or the user answered, {replays['differing']:,} differ from the record."
    )
    if replays["differing"]:
        yield (
            "Either a tool is not deterministic, or model, data or --tool-env are not the run's, "
            "or the policy's own words read like a tool's: the differences are in rescored.jsonl."
        )
    if replays["with_left_over"]:
        yield (
            f"{replays['with_left_over']:,} records go on where the replay ended: their run had "
            "other limits."
        )
    if replays["with_passed_over"]:
        yield (
            f"{replays['with_passed_over']:,} texts hold what reads like the end of a message and "
            "is taken to be the policy's own words."
        )
    if replays["one_of_several"]:
        yield (
            f"{replays['one_of_several']:,} have a prompt that several rows share, and the record "
            "does not tell which of them it is of."
        )


def _shown(head: str, value: float | int | None) -> str:
    if value is None:
        return "–"
    if head in ("rows", "changed"):
        return f"{value:,}"
    return f"{value:+.3f}" if head == "difference" else f"{value:.3f}"
