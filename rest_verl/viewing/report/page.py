"""The parts of a report that are words and numbers: facts, tables, chart data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, median
from typing import Any

from rest_verl.viewing.report.change import Window, ends
from rest_verl.viewing.report.charts import Chart
from rest_verl.viewing.report.groups import Group, Line
from rest_verl.viewing.report.metrics import series
from rest_verl.viewing.report.panels import LENGTH, REWARD, STEP_TIME
from rest_verl.viewing.report.sources import Run
from rest_verl.viewing.text import visible_text

ABSENT = "–"
ONE_STEP = "no change: one step"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a before/after table, ready to be shown."""

    measure: str
    before: str
    after: str
    change: str
    better: bool | None
    """Whether the value rose; None: unchanged, unknown or within noise."""

    @property
    def pair(self) -> str:
        """Both values in one cell."""
        if self.change == ONE_STEP:
            return f"{self.before}, {self.change}"
        return f"{self.before} → {self.after}"


def facts(group: Group) -> list[tuple[str, str]]:
    """What a group is: label and value, those that are known."""
    summaries = [run.summary for run in group.runs]
    correlations = _numbers(summaries, "sampler_trainer_correlation")
    seconds = _numbers(summaries, "seconds")
    presets = [visible_text(run.preset) for run in group.runs if run.preset]
    known: list[tuple[str, str | None]] = [
        ("runs", str(len(group.runs)) if len(group.runs) > 1 else None),
        ("preset", ", ".join(dict.fromkeys(presets)) or None),
        ("seed" if len(group.runs) == 1 else "seeds", _distinct(summaries, "seed")),
        ("steps", " / ".join(dict.fromkeys(map(steps_done, group.runs)))),
        ("time", duration(fmean(seconds)) if seconds else None),
        ("sampler–trainer correlation", f"{min(correlations):.4f}" if correlations else None),
    ]
    return [(label, value) for label, value in known if value is not None]


def rows(group: Group) -> list[Row]:
    """The before/after table: rewards of the curves, rates of the summary or the curves."""
    found = []
    reward = _line_of_all(group, REWARD)
    if reward is not None:
        found.append(_row_of_windows("Mean training reward", *ends(reward.steps, reward.values)))
    for measure, key, rate, compared in (
        ("Format as asked", "format_rate", "format_ok", "valid_format"),
        ("Right tool names", "name_accuracy", "name_match", "right_names"),
        ("Exact calls", "exact_match", "exact_match", "bfcl_accuracy"),
    ):
        if any(f"{key}_after" in run.summary for run in group.runs):
            before, after = (
                _mean(group, partial(_from_summary, key=f"{key}_{when}"))
                for when in ("before", "after")
            )
            if before is None and after is None:
                continue
            row = _row(f"{measure}, held-out tasks", before, after, "{:.1%}")
            if len(group.runs) == 1 and _is_noise(group.runs[0], compared, before):
                row = replace(row, change=f"{row.change}, within noise", better=None)
            found.append(row)
        elif windows := _validations(group, rate):
            found.append(_row_of_windows(f"{measure}, validation", *windows, form="{:.1%}"))
    return found


def comparison(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Measures of all groups side by side, each with one cell a group."""
    about = [dict(facts(group)) for group in groups]
    for known in about:
        known.setdefault("runs", "1")
        if "seed" in known:  # one or several, in the same line
            known["seeds"] = known.pop("seed")
    measured = [{row.measure: row.pair for row in rows(g)} for g in groups]
    for group, known in zip(groups, measured, strict=True):
        for measure, names, form in (
            ("Mean response length", LENGTH, "{:.0f} tokens"),
            ("Median time per step", STEP_TIME, "{:.1f} s"),
        ):
            line = group.line(names)
            if line is None:
                continue
            if names is STEP_TIME:
                known[measure] = form.format(median(line.values))
            else:
                first, last = ends(line.steps, line.values)
                known[measure] = (last or first).shown(form)
    table = []
    for cells in (about, measured):
        for measure in dict.fromkeys(key for known in cells for key in known):
            values = [known.get(measure, ABSENT) for known in cells]
            table.append((measure[0].upper() + measure[1:], values))
    return table


def chart_data(chart: Chart) -> dict[str, Any]:
    """A chart as JSON for the page's script; values to 6 digits."""
    panel = chart.panel
    return {
        "title": visible_text(chart.title),
        "unit": visible_text(panel.unit),
        "percent": panel.percent,
        "fromZero": panel.from_zero,
        "limit": panel.limit,
        "curves": [
            {
                "label": visible_text(curve.label),
                "color": curve.color,
                "dash": curve.dash,
                "group": curve.group,
                "steps": curve.line.steps,
                "values": _short(curve.line.values),
                "low": _short(curve.line.low) if curve.line.low != curve.line.high else None,
                "high": _short(curve.line.high) if curve.line.low != curve.line.high else None,
            }
            for curve in chart.curves
        ],
    }


def steady(chart: Chart) -> str:
    """A chart that never moves, in words."""
    curves = [
        f"{curve.label} {curve.line.values[0]:.4g}"
        if not chart.panel.percent
        else f"{curve.label} {100 * curve.line.values[0]:.4g}%"
        for curve in chart.curves
    ]
    alone = len(curves) == 1 and chart.part is None
    values = curves[0].rpartition(" ")[2] if alone else ", ".join(curves)
    return visible_text(f"{chart.title}: {values}")


def steps_done(run: Run) -> str:
    """How many steps it has, and of how many where it goes on."""
    steps, total = number(run.summary.get("steps")), run.total_steps
    last = run.records[-1]["step"]
    if steps is None and total is not None and last < total:
        return f"{last:g} of {total} so far"
    return f"{last if steps is None else steps:g}"


def _from_summary(run: Run, key: str) -> float | None:
    return number(run.summary.get(key))


def _line_of_all(group: Group, names: Sequence[str]) -> Line | None:
    """A group's line; None unless all its runs have it."""
    have = [bool(series(run.records, names)[0]) for run in group.runs]
    return group.line(names) if all(have) else None


def _validations(group: Group, rate: str) -> tuple[Window, Window] | None:
    """The first and the last validation; one alone is neither before nor after."""
    present = {name for run in group.runs for record in run.records for name in record}
    names = sorted(n for n in present if n.startswith("val-aux/") and f"/{rate}/mean@" in n)
    line = _line_of_all(group, names[:1])
    if line is None or len(line.steps) < 2:
        return None
    first, last = (
        Window(steps=[line.steps[place]], values=[line.values[place]]) for place in (0, -1)
    )
    return first, last


def _mean(group: Group, of: Callable[[Run], float | None]) -> float | None:
    """Mean of a measure over the group's runs; None unless all have it."""
    values = [of(run) for run in group.runs]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _is_noise(run: Run, compared: str, before: float | None) -> bool:
    """Whether the summary's paired comparison finds a rate's change no more than noise."""
    try:
        result = run.summary["held_out"][compared]
        same = math.isclose(result["before"]["accuracy"], before or 0.0, abs_tol=1e-9)
        return same and result["more_than_noise"] is False
    except (KeyError, TypeError):
        return False


def _row(measure: str, before: float | None, after: float | None, form: str) -> Row:
    known = before is not None and after is not None
    change = after - before if known else 0.0  # type: ignore[operator]
    signed = form.replace(":", ":+")
    return Row(
        measure=measure,
        before=ABSENT if before is None else form.format(before),
        after=ABSENT if after is None else form.format(after),
        change=signed.format(change).replace("%", " points") if known else ABSENT,
        better=change > 0 if change else None,
    )


def _row_of_windows(measure: str, first: Window, last: Window | None, form: str = "{:.2f}") -> Row:
    """A row whose values say which steps they are of."""
    row = _row(measure, first.mean, None if last is None else last.mean, form)
    if last is None:
        return replace(row, before=first.shown(form), change=ONE_STEP)
    return replace(row, before=first.shown(form), after=last.shown(form))


def _numbers(summaries: Sequence[dict[str, Any]], key: str) -> list[float]:
    found = (number(summary.get(key)) for summary in summaries)
    return [value for value in found if value is not None]


def _distinct(summaries: Sequence[dict[str, Any]], key: str) -> str | None:
    values = [visible_text(str(summary[key])) for summary in summaries if key in summary]
    return ", ".join(dict.fromkeys(values)) or None


def _short(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def duration(seconds: float) -> str:
    """`"1 h 02 min"`, `"3 min 20 s"` or `"12 s"`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
