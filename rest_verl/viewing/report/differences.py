"""Differences between the groups of a report, each with its interval and p.

Several runs a group: their last values up to the last step of the shortest, by Welch's t. One run
each: the answers of the last validation at a step of both, row by row. Without either nothing can
be said: the steps of one run are no repetitions of it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pvariance

from scipy import stats

from rest_verl.evaluation.comparison import p_value, points_interval
from rest_verl.evaluation.statistics import CONFIDENCE, PairedComparison, paired_comparison
from rest_verl.files.json_lines import read_lines
from rest_verl.files.run_folder import VALIDATION, dumped_steps, open_run
from rest_verl.viewing.report.change import ends
from rest_verl.viewing.report.groups import Group
from rest_verl.viewing.report.metrics import series
from rest_verl.viewing.report.panels import EXACT_RATE, FORMAT_RATE, NAME_RATE, REWARD

Rows = Mapping[str, Sequence[bool]]
"""Which answers to a row are right, by what identifies the row."""

_MEASURES = (
    ("Mean training reward, last steps", REWARD, "{:+.2f}", 1.0),
    ("Format as asked, last steps", FORMAT_RATE, "{:+.1f} points", 100.0),
    ("Right names, last steps", NAME_RATE, "{:+.1f} points", 100.0),
    ("Exact calls, last steps", EXACT_RATE, "{:+.1f} points", 100.0),
)
_VERDICTS = {
    "official": "Official verdict, last validation of both",
    "exact_match": "Exact calls, last validation of both",
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One measure of a group, less that of the first group; ready to be shown."""

    measure: str
    group: int
    """Place of the group among the report's."""
    difference: str
    interval: str
    p: str
    of: str
    """What was compared with what."""


def differences(groups: Sequence[Group]) -> list[Difference]:
    """What can be said of every group against the first."""
    found = []
    for place, group in enumerate(groups[1:], start=1):
        if min(len(groups[0].runs), len(group.runs)) > 1:
            found += _between_runs(groups[0], group, place)
        elif len(groups[0].runs) == len(group.runs) == 1:
            found += _between_rows(groups[0], group, place)
    return found


def _between_runs(first: Group, group: Group, place: int) -> list[Difference]:
    found = []
    step = min(first.last_shared_step, group.last_shared_step)
    for measure, names, form, scale in _MEASURES:
        old, new = ([value * scale for value in _last(g, names, step)] for g in (first, group))
        if len(old) < len(first.runs) or len(new) < len(group.runs):
            continue
        change = fmean(new) - fmean(old)
        interval, p = "–", "–"
        if pvariance(old) or pvariance(new):
            test = stats.ttest_ind(new, old, equal_var=False)
            low, high = test.confidence_interval(CONFIDENCE)
            interval, p = f"{low:+.2f} to {high:+.2f}", p_value(float(test.pvalue))
        found.append(
            Difference(
                measure=measure,
                group=place,
                difference=form.format(change),
                interval=interval,
                p=p,
                of=f"{len(new)} runs against {len(old)}, up to step {step}",
            )
        )
    return found


def _last(group: Group, names: Sequence[str], step: int) -> list[float]:
    """The last window's mean of each run that has the metric, up to that step."""
    found = []
    for run in group.runs:
        pairs = zip(*series(run.records, names), strict=True)
        shared = [pair for pair in pairs if pair[0] <= step]
        if shared:
            first, last = ends(*zip(*shared, strict=True))
            found.append((last or first).mean)
    return found


def _between_rows(first: Group, group: Group, place: int) -> list[Difference]:
    dumps = [_dumps(g) for g in (first, group)]
    shared = dumps[0].keys() & dumps[1].keys()
    if not shared:
        return []
    step = max(shared)
    old, new = (_verdicts(found[step]) for found in dumps)
    for verdict, measure in _VERDICTS.items():
        result = _paired(old.get(verdict, {}), new.get(verdict, {}))
        if result is not None:
            return [
                Difference(
                    measure=measure,
                    group=place,
                    difference=f"{result.difference * 100:+.1f} points",
                    interval=points_interval(result.interval),
                    p=p_value(result.p),
                    of=f"step {step}: {result.rows} rows, {result.samples} answers each",
                )
            ]
    return []


def _paired(old: Rows, new: Rows) -> PairedComparison | None:
    """Over the rows that both have as many answers to."""
    counts = Counter(len(old[row]) for row in old if len(old[row]) == len(new.get(row, ())))
    if not counts:
        return None
    usual = max(counts, key=lambda count: counts[count])
    rows = [row for row in old if len(old[row]) == len(new.get(row, ())) == usual]
    return paired_comparison({row: old[row] for row in rows}, {row: new[row] for row in rows})


def _verdicts(dump: Path) -> dict[str, Rows]:
    """The verdicts of a validation, by their name; what is damaged is passed over."""
    found: dict[str, defaultdict[str, list[bool]]] = {v: defaultdict(list) for v in _VERDICTS}
    for line in read_lines(dump):
        try:
            answer = json.loads(line)
            row = json.dumps([answer["input"], answer["gts"]])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        for verdict, rows in found.items():
            if isinstance(answer.get(verdict), int | float):
                rows[row].append(answer[verdict] == 1)
    return dict(found)


def _dumps(group: Group) -> dict[int, Path]:
    """The answers of a run's validations by step; none where it has no folder."""
    folder = group.runs[0].folder
    try:
        return {} if folder is None else dumped_steps(open_run(folder).place(VALIDATION))
    except (OSError, ValueError):
        return {}
