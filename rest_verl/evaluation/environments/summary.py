"""What an evaluation of environments comes to: `summary.json` and `table.md`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rest_verl.evaluation.conversations import Record
from rest_verl.evaluation.statistics import Interval, bootstrap_interval
from rest_verl.evaluation.summary import (
    by_sample_number,
    summary_head,
    summary_page,
    summary_spread,
    write_summary,
)
from rest_verl.evaluation.table import (
    CONFIDENCE_LABEL,
    Accuracy,
    accuracy_cells,
    bold,
    markdown_table,
)

OVERALL = "overall"
MEANS = ("official", "dense")
"""Of these numbers of a conversation the mean is given: the environment's score, and the share of
turns that are right."""

_NOTES = [
    "a conversation is correct where the environment's score is 1 or more; `score` is the mean of "
    "that score, `dense` of the share of right turns",
    f"{CONFIDENCE_LABEL} intervals: Wilson's for the accuracy, the bootstrap over rows for means",
]


def write_environment_summary(
    folder: Path, run: Mapping[str, Any], records: Sequence[Record]
) -> str:
    """Writes the summary of a run; returns the table.

    Args:
        run: as in `run.json`.
    """
    members: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        members[record["category"]].append(record)
    lines = {name: _line(name, part) for name, part in members.items()}
    lines[OVERALL] = _line(OVERALL, records)
    by_sample = [fmean(r["valid"] for r in part) for part in by_sample_number(records)]
    summary = {
        **summary_head(run, records),
        "categories": {
            name: {
                **accuracy.as_dict(),
                **{key: {"mean": mean, "interval": list(ends)} for key, mean, ends in means},
            }
            for name, (accuracy, means) in lines.items()
        },
        **summary_spread(by_sample),
    }
    interval = f"{CONFIDENCE_LABEL} interval"
    head = ["category", "correct", "rows", "accuracy", interval, "score", interval]
    cells = {name: _cells(*line) for name, line in lines.items()}
    if len(members) == 1:
        del cells[OVERALL]
    table = markdown_table(
        [*head, "dense", interval],
        [bold(line) if name == OVERALL else line for name, line in cells.items()],
    )
    title = f"Environment {', '.join(run['environments'])}"
    return write_summary(
        folder, summary, summary_page(title, run, records, table, _NOTES, by_sample)
    )


Means = list[tuple[str, float, Interval]]
"""(number, its mean over rows, the mean's interval)."""


def _line(name: str, records: Sequence[Record]) -> tuple[Accuracy, Means]:
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        rows[record["id"]].append(record)
    correct = sum(fmean(record["valid"] for record in samples) for samples in rows.values())
    means = []
    for key in MEANS:
        values = [fmean(record[key] for record in samples) for samples in rows.values()]
        means.append((key, fmean(values), bootstrap_interval(values)))
    return Accuracy.of_rows(name, correct, len(rows)), means


def _cells(accuracy: Accuracy, means: Means) -> list[str]:
    numbers = [
        cell for _, mean, (low, high) in means for cell in (f"{mean:.3f}", f"{low:.3f}–{high:.3f}")
    ]
    return [*accuracy_cells(accuracy), *numbers]
