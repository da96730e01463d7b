"""Reads a run's metrics, JSON objects with a step each, from files that may be cut or damaged."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rest_verl.files.json_lines import read_lines

Record = dict[str, float]
"""One step: metric name to finite value, and `"step"` to its number (an int)."""

_NAMES_IN_A_REMARK = 5
_LAST_STEP = 2**53  # beyond it a float, and so an axis, cannot tell steps apart
_WANDB_STEP = "_step"  # verl gives wandb its own step
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # as a wandb history has them


class NoStepYet(ValueError):
    """A metrics file is there, with no step in it."""


def read_metrics(path: Path | str) -> list[Record]:
    """The steps of a metrics file, in order; what cannot be read is left out.

    Reads flat lines (`{"step": 3, "reward/total/mean": 0.8}`), those of verl's file logger
    (`{"step": 3, "data": {...}}`) and those of a wandb history (`{"_step": 3, "_runtime": 60.5,
    "reward/total/mean": 0.8}`); also one JSON array of such objects. Objects of one step are
    merged, the later value winning.

    Raises:
        FileNotFoundError: there is no such file.
        NoStepYet: nothing in it holds a step.
        ValueError: it is not UTF-8.
    """
    return load_metrics(path)[0]


def load_metrics(path: Path | str) -> tuple[list[Record], list[str]]:
    """Like `read_metrics`, with one remark (a sentence) for each kind of thing left out."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no metrics at {path}: give the folder of a run, or, for a run with verl's file "
            f"logger, set VERL_FILE_LOGGER_PATH={path} and add file to trainer.logger"
        )
    lines = read_lines(path)
    records, remarks = parse_array(b"".join(lines)) or parse_metrics(lines)
    if not records:
        raise NoStepYet(
            f"{path} holds no step yet: wait for the run's first step to end, or look at its log"
        )
    return records, remarks


def parse_metrics(lines: Iterable[bytes]) -> tuple[list[Record], list[str]]:
    """Steps and remarks from the lines of a metrics file (see `load_metrics`)."""
    found: list[tuple[int, Mapping[str, Any]]] = []
    bad_lines: list[int] = []
    cut = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        step_and_values = _step_and_values(_parse(line))
        if step_and_values is None:
            # A writer that was stopped leaves a last line without its end.
            cut = not line.endswith(b"\n")
            if not cut:
                bad_lines.append(number)
            continue
        found.append(step_and_values)
    remarks = []
    if bad_lines:
        remarks.append(f"Skipped without a readable step: {ranges(bad_lines, 'line')}.")
    if cut:
        remarks.append("The last line is cut off and was skipped.")
    records, more_remarks = merge_steps(found)
    return records, remarks + more_remarks


def parse_array(content: bytes) -> tuple[list[Record], list[str]] | None:
    """The same of a JSON array, as pandas writes a wandb history; None where it is no array."""
    array = _parse(content) if content.lstrip().startswith(b"[") else None
    if not isinstance(array, list):
        return None
    found = [_step_and_values(item) for item in array]
    bad = [number for number, item in enumerate(found, start=1) if item is None]
    remarks = [f"Skipped without a readable step: {ranges(bad, 'object')}."] if bad else []
    records, more_remarks = merge_steps(item for item in found if item is not None)
    return records, remarks + more_remarks


def merge_steps(
    found: Iterable[tuple[int, Mapping[str, Any]]],
) -> tuple[list[Record], list[str]]:
    """Records in the order of their steps, from (step, values) in the order of writing."""
    by_step: dict[int, Record] = {}
    not_finite: Counter[str] = Counter()
    replaced: set[int] = set()
    for step, values in found:
        record = by_step.setdefault(step, {"step": step})
        if any(name in record for name in values if name != "step"):
            replaced.add(step)
        for name, value in values.items():
            finite = _finite(value)
            if finite is not None:
                record[name] = finite
            elif value is None or type(value) in (int, float) or value in _NOT_FINITE:
                not_finite[name] += 1
    steps = sorted(by_step)
    remarks = []
    if not_finite:
        names = _shortened([f"{name} ({count}×)" for name, count in not_finite.items()])
        remarks.append(f"Left out, not finite numbers: {names}.")
    if replaced:
        remark = (
            f"Written more than once, the later values count: {ranges(sorted(replaced), 'step')}"
        )
        # After a resume, what the first attempt wrote beyond the last rewritten step still stands.
        older = [step for step in steps if step > max(replaced) and _is_training(by_step[step])]
        if older:
            remark += f" (a resumed run? {ranges(older, 'step')} may be of before)"
        remarks.append(f"{remark}.")
    return [by_step[step] for step in steps], remarks


def series(records: Sequence[Record], names: Sequence[str]) -> tuple[list[int], list[float]]:
    """Steps and values of the first of `names` that any record has; empty if none has."""
    for name in names:
        found = [(int(record["step"]), record[name]) for record in records if name in record]
        if found:
            steps, values = zip(*found, strict=True)
            return list(steps), list(values)
    return [], []


def gap_remarks(records: Sequence[Record], names: Iterable[str]) -> list[str]:
    """Remarks on missing steps, and on metrics of `names` that some training steps lack."""
    training = [record for record in records if _is_training(record)]
    if not training:
        return ["No training step yet: validation only."]
    steps = [int(record["step"]) for record in training]
    remarks = []
    gaps = [(one + 1, next_ - 1) for one, next_ in pairwise(steps) if next_ > one + 1]
    if gaps:
        remarks.append(f"No values for {_spans(gaps, 'step')}.")
    lacking = []
    for name in names:
        without = [int(record["step"]) for record in training if name not in record]
        if 0 < len(without) < len(training):
            lacking.append(f"{name} at {ranges(without, 'step')}")
    if lacking:
        remarks.append(f"Without a value: {_shortened(lacking)}.")
    return remarks


def ranges(numbers: Sequence[int], noun: str) -> str:
    """`ranges([3, 4, 5, 9], "step")` is `"steps 3–5, 9"`; `numbers` in rising order."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        first = runs.pop()[0] if runs and number == runs[-1][1] + 1 else number
        runs.append((first, number))
    return _spans(runs, noun)


def _spans(runs: Sequence[tuple[int, int]], noun: str) -> str:
    plural = len(runs) > 1 or runs[0][0] < runs[0][1]
    parts = [str(first) if first == last else f"{first}–{last}" for first, last in runs]
    return f"{noun}{'s' if plural else ''} {_shortened(parts)}"


def _parse(text: bytes) -> Any:
    """A JSON value; None where it is none."""
    try:
        return json.loads(text.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return None


def _step_and_values(content: Any) -> tuple[int, dict[str, Any]] | None:
    if not isinstance(content, dict):
        return None
    named = content.get("step")
    step = _finite(content.get(_WANDB_STEP) if named is None else named)
    if step is None or step < 0 or step != int(step) or step > _LAST_STEP:
        return None
    values = {name: value for name, value in content.items() if not name.startswith("_")}
    if _WANDB_STEP in content:  # null is what was not logged then; elsewhere verl means NaN by it
        values = {name: value for name, value in values.items() if value is not None}
    nested = values.pop("data", None)
    if isinstance(nested, dict):
        values.update(nested)
    values.pop("step", None)
    return int(step), values


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return number if math.isfinite(number) else None


def _is_training(record: Record) -> bool:
    return any(name != "step" and not name.startswith("val-") for name in record)


def _shortened(parts: Sequence[str]) -> str:
    more = len(parts) - _NAMES_IN_A_REMARK
    return ", ".join(parts[:_NAMES_IN_A_REMARK]) + (f" and {more} more" if more > 0 else "")
