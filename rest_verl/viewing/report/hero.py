"""The two charts on top of a report: the reward, and how many answers are right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import fmean

from rest_verl.viewing.report.charts import Chart, Drawn
from rest_verl.viewing.report.groups import Group, Line
from rest_verl.viewing.report.panels import EXACT_RATE, REWARD, Curve, Panel
from rest_verl.viewing.report.sources import Run

LineOf = Callable[[Group], Line | None]
_OFFICIAL = re.compile(r"val-(core|aux)/.+/official/mean@\d+")
_EXACT = re.compile(r"val-(core|aux)/.+/exact_match/mean@\d+")


def hero(groups: Sequence[Group]) -> list[Chart]:
    """Reward, and the nearest thing to the benchmark's accuracy that all groups have."""
    found = [_chart(groups, "Reward", "mean per response", "", lambda g: g.line(REWARD))]
    for title, about, line_of in _ACCURACIES:
        if all(line_of(group) is not None for group in groups):
            found.append(_chart(groups, title, "share of answers", about, line_of))
            break
    return [chart for chart in found if chart.curves]


def _chart(groups: Sequence[Group], title: str, unit: str, about: str, line_of: LineOf) -> Chart:
    percent = unit.startswith("share")
    panel = Panel(
        section="",
        title=title,
        unit=unit,
        about=about or "Of the answers that the policy samples to train on.",
        curves=(Curve(names=(), label=title),),
        percent=percent,
        from_zero=percent,
        sparse=True,
    )
    overlaid = len(groups) > 1
    drawn = [
        Drawn(
            label=group.name if overlaid else title.lower(),
            line=line,
            color=f"run-{place}" if overlaid else "neutral-0",
            group=place,
        )
        for place, group in enumerate(groups)
        if (line := line_of(group)) is not None
    ]
    return Chart(panel=panel, curves=tuple(drawn))


def _validated(pattern: re.Pattern[str]) -> LineOf:
    """The first of the validation's metrics that fit."""

    def line_of(group: Group) -> Line | None:
        names = {name for run in group.runs for record in run.records for name in record}
        return group.line(sorted(filter(pattern.fullmatch, names))[:1])

    return line_of


def _held_out(group: Group) -> Line | None:
    """BFCL's verdicts on held-out tasks, before and after, as the recipes' summaries have them."""
    pairs = [_official_pair(run) for run in group.runs]
    known = [pair for pair in pairs if pair is not None]
    if not known or len(known) < len(pairs):
        return None
    before_and_after = list(zip(*known, strict=True))
    return Line(
        steps=[0, group.last_shared_step],
        values=[fmean(values) for values in before_and_after],
        low=[min(values) for values in before_and_after],
        high=[max(values) for values in before_and_after],
    )


def _official_pair(run: Run) -> tuple[float, float] | None:
    match run.summary:
        case {
            "held_out": {
                "bfcl_accuracy": {
                    "before": {"accuracy": float() | int() as before},
                    "after": {"accuracy": float() | int() as after},
                }
            }
        }:
            return float(before), float(after)
    return None


_ACCURACIES: tuple[tuple[str, str, LineOf], ...] = (
    (
        "Official accuracy",
        "By the environment's own verdict, in validation.",
        _validated(_OFFICIAL),
    ),
    ("Official accuracy", "BFCL's own verdicts on held-out tasks, before and after.", _held_out),
    ("Right answers", "Exact calls in validation.", _validated(_EXACT)),
    ("Right answers", "Exact calls among the sampled answers.", lambda g: g.line(EXACT_RATE)),
)
"""Title, what it is, and where it is from: the most telling first."""
