"""Remarks of all runs of a report, ready to be shown: on the training, and on the files."""

from collections.abc import Sequence
from dataclasses import dataclass

from rest_verl.viewing.report.groups import Group
from rest_verl.viewing.report.metrics import Record, gap_remarks
from rest_verl.viewing.report.panels import GRAD_NORM, LENGTH, REWARD
from rest_verl.viewing.report.remarks import remarks
from rest_verl.viewing.report.sources import Run
from rest_verl.viewing.report.tool_panels import panels_of
from rest_verl.viewing.text import visible_text

_NEEDED = {"reward": REWARD, "response length": LENGTH, "gradient norm": GRAD_NORM}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One remark, with what was seen in each group that it holds for; ready to be shown."""

    title: str
    seen: tuple[tuple[tuple[int, ...], str], ...]
    """Places of the groups, and the sentence on them."""
    look_at: str


def findings(groups: Sequence[Group]) -> list[Finding]:
    """What deserves a look, most telling first; alike remarks are said once."""
    found: dict[str, dict[str, list[int]]] = {}
    look_at = {}
    for place, group in enumerate(groups):
        by_title: dict[str, list[str]] = {}
        for run in group.runs:
            for remark in remarks(run.records, run.options):
                by_title.setdefault(remark.title, []).append(remark.seen)
                look_at[remark.title] = remark.look_at
        for title, seen in by_title.items():
            text, many = seen[0], len(group.runs)
            if many > 1:
                text += f" In {len(seen)} of {many} runs; the numbers are of the first of them."
            found.setdefault(title, {}).setdefault(visible_text(text), []).append(place)
    return [
        Finding(
            title=title,
            seen=tuple((tuple(places), text) for text, places in seen.items()),
            look_at=look_at[title],
        )
        for title, seen in found.items()
    ]


def data_notes(groups: Sequence[Group]) -> list[str]:
    """What of the runs' files is missing, damaged or under names that are not known."""
    notes = []
    for group in groups:
        own = list(group.remarks)
        for run in group.runs:
            own += [*gap_remarks(run.records, _expected_names(run.records)), *_foreign(run)]
        prefix = f"{group.name}: " if len(groups) > 1 else ""
        notes += [prefix + note for note in dict.fromkeys(own)]
    return [visible_text(note) for note in notes]


def _expected_names(records: Sequence[Record]) -> list[str]:
    """The metrics that are drawn and that each training step should have."""
    present = {name for record in records for name in record}
    curves = [c for panel in panels_of(records) if not panel.sparse for c in panel.curves]
    found = (next((n for n in curve.names if n in present), None) for curve in curves)
    return [name for name in found if name is not None]


def _foreign(run: Run) -> list[str]:
    """Notes on what another trainer or another verl would have named otherwise."""
    present = sorted({name for record in run.records for name in record} - {"step"})
    if not any(not name.startswith("val-") for name in present):
        return []
    notes = []
    missing = [
        f"{what} ({names[0]})"
        for what, names in _NEEDED.items()
        if not any(name in present for name in names)
    ]
    if missing:
        notes.append(
            f"Not found under a name known here: {', '.join(missing)}. Another version of verl? "
            f"The file has {len(present)} metrics: {', '.join(present[:5])}"
            f"{' and others' if len(present) > 5 else ''}."
        )
    if not any(name.startswith("rest/") for name in present):
        notes.append("No rest/… metrics: no rest_* trainer wrote this, so no regions are shown.")
    return notes
