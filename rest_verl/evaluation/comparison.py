"""Says whether one run answers better than another on the same rows, or whether it is noise.

A run is the folder of a finished evaluation: `summary.json` says what was run, `rows.jsonl` holds a
record for each row and sample. Runs on other rows, other data or in another mode are refused, never
cut to what they share. Every row has the same weight here, also where the benchmark's own overall
accuracy weighs categories.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rest_verl.evaluation.statistics import (
    PairedComparison,
    Spread,
    paired_comparison,
    spread,
)
from rest_verl.evaluation.table import CONFIDENCE_LABEL, code, markdown_table, percent
from rest_verl.files.json_lines import load_json, read_json_lines

SUMMARY_FILE, ROWS_FILE = "summary.json", "rows.jsonl"
SAME = ("benchmark", "data_version", "mode")
"""What two comparable runs have in common, by key of the summary."""

_SHOWN_ROWS = 50
"""Rows listed in Markdown; the JSON has all."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished evaluation."""

    name: str
    """Its folder, as the user gave it."""
    about: dict[str, Any]
    """The values of `SAME`; None where the benchmark has no such thing."""
    categories: dict[str, str]
    """Row id -> category."""
    right: dict[str, list[bool]]
    """Row id -> which samples are right."""
    files: dict[str, Any]
    """Checksums of the data, by name of the file."""

    @property
    def samples(self) -> int:
        """Of each row."""
        return len(next(iter(self.right.values())))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two runs say of each other."""

    first: str
    second: str
    about: dict[str, Any]
    overall: PairedComparison
    categories: dict[str, PairedComparison]
    first_spread: Spread
    """Accuracy over samples, each taken as a run of its own."""
    second_spread: Spread

    def sentence(self) -> str:
        """Whether the difference is more than noise, for people."""
        return difference_sentence(self.overall)

    def to_json(self) -> str:
        """Everything, the sentence included."""
        value = {"sentence": self.sentence(), **dataclasses.asdict(self)}
        value["overall"]["more_than_noise"] = self.overall.more_than_noise
        value["first_spread"] = self.first_spread._asdict()
        value["second_spread"] = self.second_spread._asdict()
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """The sentence, a table by category, and the rows that changed."""
        about = [code(str(value)) for value in self.about.values() if value is not None]
        head = ["rows", "number", "first", "second", "points", f"{CONFIDENCE_LABEL} interval"]
        results = {"all": self.overall, **{code(k): v for k, v in self.categories.items()}}
        test = "McNemar's exact test" if self.overall.samples == 1 else "exact sign-flip test"
        lines = [
            "# Two runs compared",
            "",
            self.sentence(),
            "",
            f"- on {', '.join(about)}",
            f"- first: {code(self.first)}{_spread(self.first_spread)}",
            f"- second: {code(self.second)}{_spread(self.second_spread)}",
            "",
            markdown_table(
                [*head, "p", "better", "worse"],
                [_cells(name, result) for name, result in results.items()],
            ),
            f"Every row has the same weight. p: {test} on the rows, for categories not corrected "
            "for their number. Interval of the points: bootstrap over rows.",
        ]
        for word, rows in (("better", self.overall.better), ("worse", self.overall.worse)):
            lines += ["", f"Rows {word} in the second run ({len(rows)}): {_listed(rows)}"]
        return "\n".join(lines) + "\n"


def difference_sentence(result: PairedComparison, second: str = "The second run") -> str:
    """Whether the difference is more than noise, for people; `second` names what came second."""
    if not result.better and not result.worse:
        what = "verdict" if result.samples == 1 else "number of right samples"
        return f"No difference: the runs have the same {what} on each of {result.rows} rows."
    evidence = (
        f"{result.difference * 100:+.2f} points, from {percent(result.first)} to "
        f"{percent(result.second)} on {result.rows} rows; {CONFIDENCE_LABEL} interval "
        f"{points_interval(result.interval)}, p: {p_value(result.p)}"
    )
    if not result.more_than_noise:
        return f"The difference is not more than noise: {evidence}."
    word = "better" if result.difference > 0 else "worse"
    return f"{second} is {word}, by more than noise: {evidence}."


def compare_folders(first: Path, second: Path) -> Comparison:
    """Compares the finished runs in two folders.

    Raises:
        ValueError: a run that is missing, unfinished or broken, or runs that cannot be compared,
            saying what differs.
    """
    return compare_runs(load_run(first), load_run(second))


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compares two runs on the same rows.

    Raises:
        ValueError: they cannot be compared, saying what differs.
    """
    _check_comparable(first, second)
    members: dict[str, list[str]] = defaultdict(list)
    for row, category in first.categories.items():
        members[category].append(row)
    return Comparison(
        first=first.name,
        second=second.name,
        about=first.about,
        overall=paired_comparison(first.right, second.right),
        categories={
            category: paired_comparison(
                {row: first.right[row] for row in rows}, {row: second.right[row] for row in rows}
            )
            for category, rows in members.items()
        },
        first_spread=_over_samples(first),
        second_spread=_over_samples(second),
    )


def load_run(folder: Path) -> Run:
    """The finished run in `folder`.

    Raises:
        ValueError: no finished run there, or a broken file, with its line.
    """
    path = folder / SUMMARY_FILE
    try:
        summary = load_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{folder}: no finished run (no {SUMMARY_FILE}); start its evaluation again to go on"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read: {error}; evaluate again") from None
    if not isinstance(summary, dict) or not isinstance(summary.get("benchmark"), str):
        raise ValueError(f'{path}: names no "benchmark", so it is no summary; evaluate again')
    categories: dict[str, str] = {}
    right: dict[str, dict[int, bool]] = defaultdict(dict)
    for where, record in read_json_lines(folder / ROWS_FILE):
        row, category, sample, valid = _checked(record, where)
        if sample in right[row]:
            raise ValueError(f"{where}: sample {sample} of {row} is there twice; evaluate again")
        if categories.setdefault(row, category) != category:
            raise ValueError(f"{where}: {row} is in two categories; evaluate again")
        right[row][sample] = valid
    every = {frozenset(samples) for samples in right.values()}
    if len(every) != 1:
        raise ValueError(
            f"{folder / ROWS_FILE}: holds no rows, or not the same samples of each; start its "
            "evaluation again to go on"
        )
    return Run(
        name=str(folder),
        about={key: summary.get(key) for key in SAME},
        categories=categories,
        right={row: [samples[n] for n in sorted(samples)] for row, samples in right.items()},
        files=_files(summary),
    )


def _files(summary: dict[str, Any]) -> dict[str, Any]:
    match summary:
        case {"data": {"files": dict(files)}}:
            return files
    return {}


def _checked(record: dict[str, Any], where: str) -> tuple[str, str, int, bool]:
    match record:
        case {"id": str(row), "category": str(category), "sample": int(n), "valid": bool(valid)}:
            return row, category, n, valid
    raise ValueError(f'{where}: a record needs "id", "category", "sample" and "valid"')


def _check_comparable(first: Run, second: Run) -> None:
    for key in SAME:
        if first.about[key] != second.about[key]:
            raise _differ(first, second, key, first.about[key], second.about[key])
    if first.samples != second.samples:
        raise _differ(first, second, "samples", first.samples, second.samples)
    for one, other in ((first, second), (second, first)):
        if alone := [row for row in one.right if row not in other.right]:
            shown = ", ".join(alone[:3]) + (", ..." if len(alone) > 3 else "")
            raise ValueError(
                f"{one.name} has {len(alone)} rows that {other.name} has not ({shown}); "
                "evaluate both on the same rows"
            )
    for row, category in first.categories.items():
        if second.categories[row] != category:
            raise _differ(first, second, f"the category of {row}", category, second.categories[row])
    for name, checksum in first.files.items():
        if second.files.get(name, checksum) != checksum:
            raise ValueError(
                f"{first.name} and {second.name} cannot be compared: {name} had other contents in "
                "the second; evaluate both on the same data"
            )


def _differ(first: Run, second: Run, what: str, one: object, other: object) -> ValueError:
    return ValueError(
        f"{first.name} and {second.name} cannot be compared: {what} is {one!r} in the first and "
        f"{other!r} in the second; evaluate both with the same"
    )


def _over_samples(run: Run) -> Spread:
    return spread([sum(right) / len(run.right) for right in zip(*run.right.values(), strict=True)])


def _cells(name: str, result: PairedComparison) -> list[str]:
    return [
        name,
        f"{result.rows}",
        percent(result.first),
        percent(result.second),
        f"{result.difference * 100:+.2f}",
        points_interval(result.interval),
        p_value(result.p),
        f"{len(result.better)}",
        f"{len(result.worse)}",
    ]


def points_interval(interval: Sequence[float]) -> str:
    """The two ends of a difference's interval in percentage points, for people."""
    low, high = interval
    return f"{low * 100:+.2f} to {high * 100:+.2f}"


def p_value(p: float) -> str:
    """A p for people."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _spread(over: Spread) -> str:
    if over.deviation is None or over.error is None:
        return ""
    return (
        f", {over.num_values} samples a row: mean {percent(over.mean)}, standard deviation "
        f"{over.deviation * 100:.2f} points, standard error {over.error * 100:.2f}"
    )


def _listed(rows: Sequence[str]) -> str:
    more = len(rows) - _SHOWN_ROWS
    shown: Iterable[str] = map(code, rows[:_SHOWN_ROWS])
    return (", ".join(shown) or "none") + (f" and {more} more, all in the JSON" if more > 0 else "")
