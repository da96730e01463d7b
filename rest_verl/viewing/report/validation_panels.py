"""The panels of what validation gave, whose names go by the data, among all panels of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rest_verl.syntax.terms import LABELS
from rest_verl.viewing.report.metrics import Record
from rest_verl.viewing.report.panels import OUTCOME, PANELS, RATES, Panel, curve_of

_MAX_CURVES = 6


def all_panels(records: Sequence[Record]) -> list[Panel]:
    """PANELS, and what validation gave, after the other panels of the outcome."""
    outcome = [panel for panel in PANELS if panel.section == OUTCOME]
    return [*outcome, *_validation(records), *PANELS[len(outcome) :]]


def _validation(records: Sequence[Record]) -> list[Panel]:
    """Panels of verl's `val-core/{data source}/{variable}/{statistic}`, of our rates and terms."""
    present = sorted({name for record in records for name in record})
    core: dict[tuple[str, str], list[str]] = {}
    rates: dict[tuple[str, str], list[str]] = {}
    terms: dict[tuple[str, str], list[str]] = {}
    for name in present:
        parts = name.split("/")
        if name.startswith("val/test_score/"):  # verl before 0.3
            core.setdefault(("/".join(parts[2:]), "score"), []).append(name)
        elif parts[0] in ("val-core", "val-aux") and len(parts) > 3:
            source, variable, statistic = _split_validation(parts[1:])
            if parts[0] == "val-core" and not statistic.endswith("/std"):  # spread of a bootstrap
                kind = "mean" if statistic.startswith("mean@") else statistic.removesuffix("/mean")
                core.setdefault((source, f"{variable} {kind}"), []).append(name)
            elif statistic.startswith("mean@"):
                for found, labels in ((rates, RATES), (terms, LABELS)):
                    if variable in labels:
                        found.setdefault((source, labels[variable]), []).append(name)
    rates, terms = _in_order(rates, RATES), _in_order(terms, LABELS)
    panels = []
    if core:
        panels.append(_validation_panel("Validation", core, "mean over rows"))
    if rates:
        title = "Validation answers that are right"
        panels.append(_validation_panel(title, rates, "share of responses", is_rate=True))
    if terms:
        title = "How validation answers are written"
        panels.append(_validation_panel(title, terms, "share of responses", is_rate=True))
    return panels


def _in_order(
    named: dict[tuple[str, str], list[str]], labels: Mapping[str, str]
) -> dict[tuple[str, str], list[str]]:
    """By data source, and within one as the labels stand."""
    order = list(labels.values())
    return dict(sorted(named.items(), key=lambda item: (item[0][0], order.index(item[0][1]))))


def _validation_panel(
    title: str, named: dict[tuple[str, str], list[str]], unit: str, *, is_rate: bool = False
) -> Panel:
    """A panel of curves by (data source, what); the sources are named where they differ."""
    sources = {source for source, _ in named}
    shown = list(named.items())[:_MAX_CURVES]
    more = f" (first {len(shown)} of {len(named)})" if len(named) > len(shown) else ""
    return Panel(
        section=OUTCOME,
        title=title + more,
        unit=unit,
        about=f"On {', '.join(sorted(sources)[:3])}{' and others' if len(sources) > 3 else ''}: "
        "rows that are not trained on.",
        curves=tuple(
            curve_of(what if len(sources) == 1 else f"{source} {what}", *names)
            for (source, what), names in shown
        ),
        percent=is_rate,
        from_zero=is_rate,
        sparse=True,
    )


def _split_validation(parts: Sequence[str]) -> tuple[str, str, str]:
    """`org/data/reward/mean@1` into `("org/data", "reward", "mean@1")`."""
    # A statistic of bootstrapped samples has one part more: reward/best@4/mean.
    size = 2 if len(parts) > 3 and "@" in parts[-2] else 1
    return "/".join(parts[: -size - 1]), parts[-size - 1], "/".join(parts[-size:])
