"""Panels joined with the runs' values: what both the page and the picture draw."""

from collections.abc import Sequence
from dataclasses import dataclass

from rest_verl.viewing.palette import Theme
from rest_verl.viewing.report.groups import Group, Line
from rest_verl.viewing.report.panels import Curve, Panel
from rest_verl.viewing.report.tool_panels import panels_of


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One curve with its values and its looks."""

    label: str
    line: Line
    color: str
    """`region-<name>`, `neutral-<place>` or `run-<place>`: see `theme_color`."""
    dash: int = 0
    """Place in a list of line styles; 0 is a full line."""
    group: int = 0
    """Place of its group among the report's."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One plot."""

    panel: Panel
    curves: tuple[Drawn, ...]
    part: str | None = None
    """Label of the one curve of `panel` that is drawn, by group; None: all are."""

    @property
    def title(self) -> str:
        """The panel's title, and its part's."""
        return self.panel.title if self.part is None else f"{self.panel.title}: {self.part}"

    @property
    def is_constant(self) -> bool:
        """Whether no curve ever moves, so that one number says it all."""
        lines = [curve.line for curve in self.curves]
        return all(len(line.steps) > 1 and len({*line.low, *line.high}) == 1 for line in lines)


def charts(groups: Sequence[Group]) -> list[Chart]:
    """The charts that there are values for.

    For one group a chart holds all curves of a panel. Several groups are laid over each other, so
    each curve becomes a chart of its own, in which colour tells the groups apart.
    """
    records = [record for group in groups for run in group.runs for record in run.records]
    panels = panels_of(records)
    if len(groups) == 1:
        found = [_chart_of_panel(panel, groups[0]) for panel in panels]
    else:
        found = [_chart_of_curve(panel, c, groups) for panel in panels for c in panel.curves]
    return [chart for chart in found if chart.curves]


def theme_color(theme: Theme, color: str) -> str:
    """The `#rrggbb` of a curve's colour."""
    kind, _, place = color.partition("-")
    if kind == "region":
        return theme.regions[place]
    return (theme.neutrals if kind == "neutral" else theme.runs)[int(place)]


def _chart_of_panel(panel: Panel, group: Group) -> Chart:
    drawn: list[Drawn] = []
    for curve in panel.curves:
        line = group.line(curve.names)
        if line is None:
            continue
        place = len(drawn)
        drawn.append(
            Drawn(
                label=curve.label,
                line=line,
                color=f"region-{curve.region}" if curve.region else f"neutral-{place}",
                dash=0 if curve.region else place,
            )
        )
    return Chart(panel=panel, curves=tuple(drawn))


def _chart_of_curve(panel: Panel, curve: Curve, groups: Sequence[Group]) -> Chart:
    drawn = [
        Drawn(label=group.name, line=line, color=f"run-{place}", group=place)
        for place, group in enumerate(groups)
        if (line := group.line(curve.names)) is not None
    ]
    part = curve.label if len(panel.curves) > 1 else None
    return Chart(panel=panel, curves=tuple(drawn), part=part)
