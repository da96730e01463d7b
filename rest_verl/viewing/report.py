"""The report of one run: `report.html`, a page that needs no other file, and `report.png`."""

import base64
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rest_verl.viewing.metrics import Record, gap_remarks, load_metrics, series
from rest_verl.viewing.palette import DARK, LIGHT
from rest_verl.viewing.panels import Panel, overview_png, panel_svg, panels_with_data
from rest_verl.viewing.text import visible_text

NUM_SAMPLES = 3
"""Sample answers shown, the first of `samples.json`."""

_ABSENT = "–"
_REWARD_STEPS = 5  # steps averaged at either end, as in `reward_first5` and `reward_last5`


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the before/after table, ready to be shown."""

    measure: str
    before: str
    after: str
    change: str
    better: bool | None
    """Whether the value rose; None: unchanged or unknown."""


def write_report(run_dir: Path | str, output: Path | str | None = None) -> Path:
    """Writes a run's report and gives the path of the page.

    Reads `metrics.jsonl` and, where they are there, `summary.json` (measures before and after)
    and `samples.json` (a list of objects with `id, prompt, ground_truth, before, after,
    before_score, after_score`) from `run_dir`. What is damaged in them is left out with a remark
    on the page. Writes `output` (default `run_dir/report.html`) and, beside it, a PNG of all
    curves; each replaces an older one only when it is complete.

    Raises:
        FileNotFoundError: the run has no metrics file.
        ValueError: its metrics file holds no step.
    """
    run_dir = Path(run_dir)
    page_path = run_dir / "report.html" if output is None else Path(output)
    if page_path.suffix == ".png":
        raise ValueError(f"{page_path} would be overwritten by the picture: end it in .html")
    records, remarks = load_metrics(run_dir / "metrics.jsonl")
    summary = _read_json(run_dir / "summary.json", dict, remarks) or {}
    samples = _read_json(run_dir / "samples.json", list, remarks) or []

    panels = panels_with_data(records)
    remarks += gap_remarks(records, _expected_names(panels, records))
    name = visible_text(run_dir.resolve().name)
    page = _template().render(
        name=name,
        facts=_facts(summary, records),
        rows=_rows(summary, records),
        samples=_samples(samples),
        figures=[_figure(panel, records) for panel in panels],
        remarks=[visible_text(remark) for remark in remarks],
        light=LIGHT,
        dark=DARK,
    )
    page_path.parent.mkdir(parents=True, exist_ok=True)
    if panels:
        _write_atomically(page_path.with_suffix(".png"), overview_png(panels, records, name))
    _write_atomically(page_path, page.encode())
    return page_path


def _expected_names(panels: Sequence[Panel], records: Sequence[Record]) -> list[str]:
    """The metrics behind `panels` that each training step should have."""
    names = []
    for panel in panels:
        for curve in () if panel.sparse else panel.curves:
            names.append(next(name for name in curve.names if series(records, (name,))[0]))
    return names


def _figure(panel: Panel, records: Sequence[Record]) -> dict[str, str]:
    def uri(image: bytes) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(image).decode()

    return {
        "alt": f"{panel.title} ({panel.unit}) over training steps",
        "light": uri(panel_svg(panel, records, LIGHT)),
        "dark": uri(panel_svg(panel, records, DARK)),
    }


def _facts(summary: dict[str, Any], records: Sequence[Record]) -> list[tuple[str, str]]:
    """What the run was: label and value, those that are known."""
    seconds = _number(summary.get("seconds"))
    steps = _number(summary.get("steps"))
    correlation = _number(summary.get("sampler_trainer_correlation"))
    preset, seed = summary.get("preset"), summary.get("seed")
    facts = [
        ("preset", None if preset is None else visible_text(str(preset))),
        ("seed", None if seed is None else visible_text(str(seed))),
        ("steps", f"{records[-1]['step'] if steps is None else steps:g}"),
        ("time", None if seconds is None else _duration(seconds)),
        ("sampler–trainer correlation", None if correlation is None else f"{correlation:.4f}"),
    ]
    return [(label, value) for label, value in facts if value is not None]


def _rows(summary: dict[str, Any], records: Sequence[Record]) -> list[Row]:
    """The before/after table; the reward comes from the curves where the summary lacks it."""
    _, rewards = series(records, ("reward/total/mean", "critic/score/mean"))
    first, last = rewards[:_REWARD_STEPS], rewards[-_REWARD_STEPS:]
    pairs = [
        (
            "Mean training reward, first and last 5 steps",
            _number(summary.get("reward_first5", sum(first) / len(first) if first else None)),
            _number(summary.get("reward_last5", sum(last) / len(last) if last else None)),
            "{:.2f}",
        )
    ]
    for measure, key in (
        ("Valid format, held-out tasks", "format_rate"),
        ("Right tool names, held-out tasks", "name_accuracy"),
        ("Exact calls, held-out tasks", "exact_match"),
    ):
        before, after = (_number(summary.get(f"{key}_{when}")) for when in ("before", "after"))
        pairs.append((measure, before, after, "{:.1%}"))
    return [_row(*pair) for pair in pairs if pair[1] is not None or pair[2] is not None]


def _row(measure: str, before: float | None, after: float | None, form: str) -> Row:
    known = before is not None and after is not None
    change = after - before if known else 0.0  # type: ignore[operator]
    signed = form.replace(":", ":+")
    return Row(
        measure=measure,
        before=_ABSENT if before is None else form.format(before),
        after=_ABSENT if after is None else form.format(after),
        change=signed.format(change).replace("%", " points") if known else _ABSENT,
        better=change > 0 if change else None,
    )


def _samples(samples: Sequence[Any]) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for sample in samples:
        if not isinstance(sample, dict) or len(shown) == NUM_SAMPLES:
            continue
        answers = []
        for when in ("before", "after"):
            score = _number(sample.get(f"{when}_score"))
            answers.append(
                {
                    "when": when,
                    "text": _as_text(sample.get(when)),
                    "score": None if score is None else f"{score:.2f}",
                }
            )
        shown.append(
            {
                "id": _as_text(sample.get("id", len(shown) + 1)),
                "prompt": _as_text(sample.get("prompt")),
                "ground_truth": _as_text(sample.get("ground_truth")),
                "answers": answers,
            }
        )
    return shown


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return visible_text(text)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _read_json(path: Path, kind: type, remarks: list[str]) -> Any:
    """The content of an optional file; None, with a remark if it is there, when it is unusable."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        remarks.append(f"{path.name} is not valid JSON and was left out.")
        return None
    if not isinstance(content, kind):
        form = "an object" if kind is dict else "a list"
        remarks.append(f"{path.name} is not {form} and was left out.")
        return None
    return content


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _write_atomically(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
