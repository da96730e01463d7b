"""A replayed step beside the run's log, and what the two say of each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rest_verl.files.run_folder import METRICS_FILES
from rest_verl.study.replay.batch import Batch
from rest_verl.study.replay.step import CORRELATION
from rest_verl.viewing.report.sources import read_run

LEAST_CORRELATION = 0.99
"""Of the probabilities of sampled tokens, between a policy and the sampler that holds it; the
rounding of bfloat16 leaves more."""
_FAR = 0.01
"""Part of a logged value by which a replayed one may differ before a word is said."""
_SEARCHED = 4
"""Folders above a dump in which the run's log is looked for."""

Log = Mapping[str, float]
Lines = dict[str, dict[str, float | None]]


def find_log(dump: Path, named: Path | None) -> Path | None:
    """The file or folder of the run's metrics: as named, or the nearest above the dump.

    Raises:
        ValueError: the named one is not there.
    """
    if named is not None:
        if not named.exists():
            raise ValueError(f"--metrics {named}: no such file or folder; name the run's metrics")
        return named
    for folder in list(dump.resolve().parents)[:_SEARCHED]:
        if any((folder / name).is_file() for name in METRICS_FILES):
            return folder
    return None


def logged_step(source: Path, step: int) -> Log | None:
    """What was logged at a step; None: nothing was.

    Raises:
        ValueError: the source holds no metrics.
    """
    records = read_run(source).records
    return next((record for record in records if record["step"] == step), None)


def beside(metrics: Mapping[str, float], log: Log | None) -> Lines:
    """Each replayed value with the logged one and their difference, None where there is none."""
    lines: Lines = {}
    for name, value in metrics.items():
        theirs = None if log is None else log.get(name)
        difference = None if theirs is None else value - theirs
        lines[name] = {"replay": value, "log": theirs, "difference": difference}
    return lines


def remarks(lines: Lines, batch: Batch) -> Iterator[str]:
    """What to know before the numbers are read, a sentence or two each."""
    if batch.is_text:
        yield (
            "Ids were made of text that has lost its special tokens: what hangs on the policy is "
            "near the step's own numbers, not equal. tq_batch.pt of skip.rollout_tq holds the ids."
        )
    correlation = lines.get(CORRELATION, {}).get("replay")
    if correlation is not None and not correlation >= LEAST_CORRELATION:
        yield (
            "The model is not the policy that sampled this batch: the probabilities that it gives "
            f"the sampled tokens correlate {correlation:.3f} with the sampler's. Name the "
            f"checkpoint of step {batch.step - 1}, or the starting model for step 1, and the run's "
            "--temperature."
        )
    elif _is_far(lines, "actor/entropy"):
        yield (
            "The model's entropy is not the logged one: it is not the policy of this step, or the "
            "run had another --temperature, --loss-agg-mode or precision."
        )
    elif _is_far(lines, "actor/pg_loss"):
        yield (
            "actor/pg_loss is replayed at the policy that the step began with; the log has the "
            "mean over its updates, and each but the first is of a policy that has moved on."
        )


def _is_far(lines: Lines, name: str) -> bool:
    line: Mapping[str, Any] = lines.get(name, {})
    if line.get("difference") is None:
        return False
    return abs(line["difference"]) > _FAR * max(abs(line["log"]), _FAR)


def print_lines(lines: Lines, step: int, console: Console) -> None:
    """As a table."""
    table = Table(title=f"Step {step}", title_justify="left")
    table.add_column("", no_wrap=True)
    for head in ("replay", "log", "difference"):
        table.add_column(head, justify="right")
    for name, line in lines.items():
        difference = line["difference"]
        shown = "–" if difference is None else f"{difference:+.1e}" if difference else "0"
        table.add_row(name, _number(line["replay"]), _number(line["log"]), shown)
    console.print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.5g}"
