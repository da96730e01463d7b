"""What a finished run comes to: `summary.json`, `table.md`, and BFCL's own result files.

Nothing in them depends on when, where or in how many goes the run was made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rest_verl.evaluation.api_bank import OVERALL, api_bank_counts
from rest_verl.evaluation.bfcl_accuracy import OVERALL as BFCL_OVERALL
from rest_verl.evaluation.bfcl_accuracy import Accuracies, accuracies
from rest_verl.evaluation.bfcl_results import VERSION, write_official
from rest_verl.evaluation.conversations import Record
from rest_verl.evaluation.statistics import spread
from rest_verl.evaluation.store import write_atomically, write_json
from rest_verl.evaluation.table import (
    Accuracy,
    accuracy_table,
    api_bank_table,
    code,
    percent,
)

SUMMARY_FILE, TABLE_FILE, OFFICIAL_FOLDER = "summary.json", "table.md", "official"

_OVERALL_NOTE = (
    f"`{BFCL_OVERALL}` is the mean of `non_live`, `live` and `multi_turn`, as far as they were "
    "run; the leaderboard of v4 counts agentic tasks besides"
)
_LIMITS = {
    "context": "did not fit into the model's context",
    "max_tokens": "had a message cut off at its token limit",
    "steps": "made calls in more than 20 steps of a turn",
}


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
        accuracies(part, version, num_rows).groups[BFCL_OVERALL] for part in _samples(records)
    ]
    # None where nothing was run that counts there, as of irrelevance alone in v4.
    by_sample = [group.accuracy for group in by_part if group.accuracy is not None]
    summary = {
        **_head(run, records),
        "categories": {line.name: line.as_dict() for line in categories},
        "groups": {line.name: {**line.as_dict(), "missing": missing[line.name]} for line in groups},
        **_spread(by_sample),
    }
    notes = [_OVERALL_NOTE]
    notes += [f"`{name}` lacks all or part of {_listed(of)}" for name, of in missing.items() if of]
    table = accuracy_table([*categories, *groups])
    text = _page(f"BFCL {version}", run, records, table, notes, by_sample)
    if version == VERSION:
        write_official(records, folder / OFFICIAL_FOLDER, version=version)
    return _write(folder, summary, text)


def write_api_bank_summary(folder: Path, run: Mapping[str, Any], records: Sequence[Record]) -> str:
    """Writes the summary of an API-Bank run; returns the table."""
    counts = api_bank_counts(records)
    by_sample = [api_bank_counts(part)[OVERALL].correct / len(part) for part in _samples(records)]
    levels = {
        name: {
            **Accuracy.of_rows(name, level.correct, level.total).as_dict(),
            "published_correct": level.published_correct,
        }
        for name, level in counts.items()
    }
    summary = {**_head(run, records), "levels": levels, **_spread(by_sample)}
    table = api_bank_table(counts)
    return _write(folder, summary, _page("API-Bank", run, records, table, [], by_sample))


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


def _samples(records: Sequence[Record]) -> list[list[Record]]:
    numbers = sorted({record["sample"] for record in records})
    return [[r for r in records if r["sample"] == number] for number in numbers]


def _head(run: Mapping[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    return {
        "benchmark": run["benchmark"],
        "data_version": run["data_version"],
        "data": {key: run["data"][key] for key in ("name", "release", "files")},
        "mode": run["mode"],
        "model": run["model"]["path"],
        "rows": len({record["id"] for record in records}),
        "samples": run["options"]["samples"],
        "limit": run["limit"],
        "output_tokens": sum(record["output_tokens"] for record in records),
        "errors": _counted(records, "error"),
        "limits": _counted(records, "limit"),
    }


def _counted(records: Sequence[Record], key: str) -> dict[str, int]:
    return dict(sorted(Counter(record[key] for record in records if record[key]).items()))


def _spread(by_sample: list[float]) -> dict[str, Any]:
    return {"over_samples": spread(by_sample)._asdict()} if len(by_sample) > 1 else {}


def _page(
    title: str,
    run: Mapping[str, Any],
    records: Sequence[Record],
    table: str,
    notes: list[str],
    by_sample: list[float],
) -> str:
    data, options = run["data"], run["options"]
    source = f"{data['name']} {data['release']}" if data["release"] else data["name"]
    about = [
        f"- model: {code(run['model']['path'])}",
        f"- data: {title}, from {code(source)}",
        f"- mode {run['mode']}, temperature {options['temperature']:g}, seed {options['seed']}, "
        f"samples {options['samples']}",
    ]
    if run["limit"]:
        notes = [f"only the first {run['limit']} rows of each category", *notes]
    for limit, count in _counted(records, "limit").items():
        notes = [*notes, f"{count} of {len(records)} answers {_LIMITS[limit]}"]
    if len(by_sample) > 1:
        over = spread(by_sample)
        notes = [
            *notes,
            f"overall by sample: mean {percent(over.mean)}, standard deviation "
            f"{percent(over.deviation)}",
        ]
    lines = [f"# {title}", "", *about, "", table, *(f"- {note}" for note in notes)]
    return "\n".join(lines).rstrip() + "\n"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(code, names))


def _write(folder: Path, summary: dict[str, Any], text: str) -> str:
    # The summary last: it says that the run is finished.
    write_atomically(folder / TABLE_FILE, text)
    write_json(folder / SUMMARY_FILE, summary)
    return text
