"""What an API-Bank run comes to: `summary.json` and `table.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rest_verl.evaluation.api_bank.scoring import OVERALL, LevelCounts, api_bank_counts
from rest_verl.evaluation.conversations import Record
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
    percent,
)


def write_api_bank_summary(folder: Path, run: Mapping[str, Any], records: Sequence[Record]) -> str:
    """Writes the summary of an API-Bank run; returns the table."""
    counts = api_bank_counts(records)
    by_sample = [
        api_bank_counts(part)[OVERALL].correct / len(part) for part in by_sample_number(records)
    ]
    levels = {
        name: {
            **Accuracy.of_rows(name, level.correct, level.total).as_dict(),
            "published_correct": level.published_correct,
        }
        for name, level in counts.items()
    }
    summary = {**summary_head(run, records), "levels": levels, **summary_spread(by_sample)}
    table = api_bank_table(counts)
    return write_summary(
        folder, summary, summary_page("API-Bank", run, records, table, [], by_sample)
    )


def api_bank_table(counts: Mapping[str, LevelCounts]) -> str:
    """Markdown: as above, and what the published evaluation would report.

    Args:
        counts: ``api_bank_counts``.
    """
    head = ["level", "correct", "rows", "accuracy", f"{CONFIDENCE_LABEL} interval", "as published"]
    rows = []
    for name, level in counts.items():
        line = Accuracy.of_rows(name, level.correct, level.total)
        published = level.published_correct / level.total if level.total else None
        cells = [*accuracy_cells(line), percent(published)]
        rows.append(bold(cells) if name == OVERALL else cells)
    return markdown_table(head, rows)
