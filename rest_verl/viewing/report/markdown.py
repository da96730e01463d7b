"""The report in words, as Markdown: for a pull request, a log or a terminal."""

import re
from collections.abc import Sequence

from rest_verl.viewing.report.change import ends
from rest_verl.viewing.report.charts import Chart, Drawn
from rest_verl.viewing.report.differences import differences
from rest_verl.viewing.report.groups import Group
from rest_verl.viewing.report.notes import data_notes, findings
from rest_verl.viewing.report.page import ABSENT, comparison, facts, rows

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$])")


def report_markdown(
    name: str, groups: Sequence[Group], charts: Sequence[Chart], picture: str | None
) -> str:
    """The report's facts, tables and remarks; `picture` is the file name of the curves."""
    lines = [f"# Training report: {_plain(name)}", ""]
    if len(groups) == 1:
        lines += [", ".join(f"{_plain(k)}: {_plain(v)}" for k, v in facts(groups[0])), ""]
    lines += ["## What to look at", ""]
    found = findings(groups)
    for finding in found:
        lines.append(f"- **{_plain(finding.title)}**")
        for places, seen in finding.seen:
            names = ", ".join(_plain(groups[place].name) for place in places)
            lines.append(f"  {f'{names}: ' if len(groups) > 1 else ''}{_plain(seen)}")
        lines.append(f"  Look at: {_plain(finding.look_at)}")
    if not found:
        lines.append("Nothing stands out.")
    notes = data_notes(groups)
    if notes:
        lines += ["", "What could not be read:", "", *(f"- {_plain(note)}" for note in notes)]
    if len(groups) == 1:
        before_after = [[r.measure, r.before, r.after, r.change] for r in rows(groups[0])]
        lines += _table("Before and after", ["Measure", "Before", "After", "Change"], before_after)
    else:
        cells = [[measure, *values] for measure, values in comparison(groups)]
        lines += _table("Side by side", ["Measure", *(group.name for group in groups)], cells)
        against = [
            [row.measure, groups[row.group].name, row.difference, row.interval, row.p, row.of]
            for row in differences(groups)
        ]
        head = ["Measure", "Of", "Difference", "95 % interval", "p", "Compared"]
        lines += _table(f"Differences to {_plain(groups[0].name)}", head, against)
    ends = [group.name for group in groups] if len(groups) > 1 else ["First steps", "Last steps"]
    lines += _table("Curves", ["Curve", "Unit", *ends], _curves(groups, charts))
    if picture is not None:
        lines += ["", f"![All curves](<{picture}>)"]
    return "\n".join(lines) + "\n"


def _curves(groups: Sequence[Group], charts: Sequence[Chart]) -> list[list[str]]:
    """Lines of a table: a curve, its unit, and its ends (in one column by group for several)."""
    found = []
    for chart in charts:
        if len(groups) > 1:
            cells = [ABSENT] * len(groups)
            for curve in chart.curves:
                cells[curve.group] = " → ".join(_shown(chart, curve))
            found.append([chart.title, chart.panel.unit, *cells])
        else:
            for curve in chart.curves:
                label = f"{chart.title}: {curve.label}" if len(chart.curves) > 1 else chart.title
                found.append([label, chart.panel.unit, *_shown(chart, curve)])
    return found


def _shown(chart: Chart, curve: Drawn) -> tuple[str, str]:
    form = "{:.1%}" if chart.panel.percent else "{:.4g}"
    first, last = ends(curve.line.steps, curve.line.values)
    return first.shown(form), ABSENT if last is None else last.shown(form)


def _table(title: str, head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    if not cells:
        return []
    rows_ = [head, *cells]
    drawn = ["| " + " | ".join(map(_plain, row)) + " |" for row in rows_]
    rule = "|" + " --- |" + " ---: |" * (len(head) - 1)
    return ["", f"## {title}", "", drawn[0], rule, *drawn[1:]]


def _plain(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would read."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
