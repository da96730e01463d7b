"""What a BFCL run comes to: `summary.json`, `table.md`, and BFCL's own result files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rest_verl.evaluation.bfcl.accuracy import OVERALL, Accuracies, accuracies
from rest_verl.evaluation.bfcl.results import VERSION, write_official
from rest_verl.evaluation.conversations import Record
from rest_verl.evaluation.summary import (
    by_sample_number,
    summary_head,
    summary_page,
    summary_spread,
    write_summary,
)
from rest_verl.evaluation.table import Accuracy, accuracy_table, code

OFFICIAL_FOLDER = "official"

_OVERALL_NOTE = (
    f"`{OVERALL}` is the mean of `non_live`, `live` and `multi_turn`, as far as they were "
    "run; the leaderboard of v4 counts agentic tasks besides"
)


def write_bfcl_summary(
    folder: Path, run: Mapping[str, Any], records: Sequence[Record], num_rows: Mapping[str, int]
) -> str:
    """Writes the summary of a BFCL run and its official result files; returns the table.

    Args:
        run: as in `run.json`.
        num_rows: rows of each category in the data.
    """
    version = run["data_version"]
    found = accuracies(records, version, num_rows)
    categories, groups = _lines(found)
    missing = {name: list(group.missing) for name, group in found.groups.items() if group.weights}
    by_part = [
        accuracies(part, version, num_rows).groups[OVERALL] for part in by_sample_number(records)
    ]
    # None where nothing was run that counts there, as of irrelevance alone in v4.
    by_sample = [group.accuracy for group in by_part if group.accuracy is not None]
    summary = {
        **summary_head(run, records),
        "categories": {line.name: line.as_dict() for line in categories},
        "groups": {line.name: {**line.as_dict(), "missing": missing[line.name]} for line in groups},
        **summary_spread(by_sample),
    }
    notes = [_OVERALL_NOTE]
    notes += [f"`{name}` lacks all or part of {_listed(of)}" for name, of in missing.items() if of]
    table = accuracy_table([*categories, *groups])
    text = summary_page(f"BFCL {version}", run, records, table, notes, by_sample)
    if version == VERSION:
        write_official(records, folder / OFFICIAL_FOLDER, version=version)
    return write_summary(folder, summary, text)


def _lines(found: Accuracies) -> tuple[list[Accuracy], list[Accuracy]]:
    """Categories, and the groups of which anything was run; one name can be in both."""
    categories = [
        Accuracy.of_rows(name, count.correct, count.total)
        for name, count in found.categories.items()
    ]
    groups = [
        Accuracy.of_categories(
            name, [(*found.categories[part], weight) for part, weight in group.weights.items()]
        )
        for name, group in found.groups.items()
        if group.weights
    ]
    return categories, groups


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(code, names))
