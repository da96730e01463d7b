"""The runs in a folder, a line each: which to look at."""

from __future__ import annotations

import datetime
from pathlib import Path

from rest_verl.files.run_folder import RunFolder, find_runs
from rest_verl.viewing.report.change import ends
from rest_verl.viewing.report.metrics import series
from rest_verl.viewing.report.page import ABSENT, steps_done
from rest_verl.viewing.report.panels import EXACT_RATE, REWARD
from rest_verl.viewing.report.sources import find_metrics, read_run
from rest_verl.viewing.text import visible_text

_HEAD = ("run", "preset", "steps", "reward, last", "exact, last", "last written")


def holds_runs(folder: Path) -> bool:
    """Whether a folder is no run's own, and has runs in it."""
    if not folder.is_dir():
        return False
    try:
        if find_metrics(folder).exists():
            return False
    except ValueError:  # several metrics files: a folder of theirs, which the report names
        return False
    return next(find_runs(folder), None) is not None


def runs_table(folder: Path) -> str:
    """The runs below `folder`, in columns; one that cannot be read says why."""
    rows = [_row(run, str(run.path.relative_to(folder))) for run in find_runs(folder)]
    whole = [_HEAD, *(row for row in rows if len(row) == len(_HEAD))]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=False)
        ).rstrip()
        for row in (_HEAD, *rows)
    ]
    return "\n".join([*lines, f"\nrest-verl report {folder}/RUN, or several of them, draws them"])


def _row(run: RunFolder, name: str) -> tuple[str, ...]:
    try:
        found = read_run(run.path, name)
        written = find_metrics(run.path).stat().st_mtime
    except (OSError, ValueError) as error:
        return visible_text(name), visible_text(str(error))
    last = []
    for names, form in ((REWARD, "{:.2f}"), (EXACT_RATE, "{:.1%}")):
        steps, values = series(found.records, names)
        first, end = ends(steps, values) if steps else (None, None)
        window = end or first
        last.append(ABSENT if window is None else form.format(window.mean))
    at = datetime.datetime.fromtimestamp(written).isoformat(" ", "minutes")
    return visible_text(name), visible_text(found.preset or ABSENT), steps_done(found), *last, at
