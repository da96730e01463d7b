"""What a finished run comes to: the parts of `summary.json` and `table.md` that benchmarks share.

Nothing in them depends on when, where or in how many goes the run was made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rest_verl.evaluation.conversations import Record
from rest_verl.evaluation.statistics import spread
from rest_verl.evaluation.table import code, percent
from rest_verl.files.atomic import write_atomically, write_json
from rest_verl.syntax.terms import LABELS, count_terms, logged_terms

SUMMARY_FILE, TABLE_FILE = "summary.json", "table.md"

_LIMITS = {
    "context": "did not fit into the model's context",
    "steps": "made calls in more steps of a turn than it may have",
    "turns": "had as many turns as one may have",
    "invalid_calls": "made too many invalid calls in a row",
    "response_length": "ran to the end of the model's context, or had a message cut off",
    "prompt_too_long": "had a prompt that leaves no room in the model's context",
}


def by_sample_number(records: Sequence[Record]) -> list[list[Record]]:
    """The records of each sample number, one list a number."""
    numbers = sorted({record["sample"] for record in records})
    return [[r for r in records if r["sample"] == number] for number in numbers]


def summary_head(run: Mapping[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """What was run, on what, and what went wrong: the keys of `summary.json` of every benchmark."""
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
        "terms": _terms(records),
    }


def _terms(records: Sequence[Record]) -> dict[str, int]:
    """Of how many answers each term holds; nothing for results from before there were terms."""
    found = (logged_terms(record.get("terms") or {}) for record in records)
    return count_terms(terms for terms in found if terms is not None)


def _counted(records: Sequence[Record], key: str) -> dict[str, int]:
    return dict(sorted(Counter(record[key] for record in records if record[key]).items()))


def summary_spread(by_sample: list[float]) -> dict[str, Any]:
    """Mean and deviation over the samples' accuracies, where there are several."""
    return {"over_samples": spread(by_sample)._asdict()} if len(by_sample) > 1 else {}


def summary_page(
    title: str,
    run: Mapping[str, Any],
    records: Sequence[Record],
    table: str,
    notes: list[str],
    by_sample: list[float],
) -> str:
    """`table.md`: what was run, the table, and notes on what to bear in mind."""
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
    limits, terms = _counted(records, "limit"), _terms(records)
    notes = [
        *notes,
        *(
            f"{limits[name]} of {len(records)} answers {what}"
            for name, what in _LIMITS.items()
            if name in limits
        ),
    ]
    if terms:
        counts = ", ".join(f"{LABELS[term]} {count}" for term, count in terms.items())
        notes = [*notes, f"of {len(records)} answers: {counts}"]
    if len(by_sample) > 1:
        over = spread(by_sample)
        notes = [
            *notes,
            f"overall by sample: mean {percent(over.mean)}, standard deviation "
            f"{percent(over.deviation)}",
        ]
    lines = [f"# {title}", "", *about, "", table, *(f"- {note}" for note in notes)]
    return "\n".join(lines).rstrip() + "\n"


def write_summary(folder: Path, summary: dict[str, Any], text: str) -> str:
    """Writes `table.md` and `summary.json`; returns the former's text."""
    # The summary last: it says that the run is finished.
    write_atomically(folder / TABLE_FILE, text)
    write_json(folder / SUMMARY_FILE, summary)
    return text
