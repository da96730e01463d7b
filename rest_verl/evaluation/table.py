"""Accuracies with their intervals as Markdown tables, and the pieces of such tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rest_verl.evaluation.statistics import (
    CONFIDENCE,
    Interval,
    weighted_wilson_interval,
    wilson_interval,
)

CONFIDENCE_LABEL = f"{CONFIDENCE * 100:.0f} %"


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """One line of a table: a category, or a group of categories."""

    name: str
    correct: float
    """Right rows; with several samples a row, the sum of the rows' means."""
    total: int
    """Rows."""
    accuracy: float | None
    """In [0, 1]; None without rows. Of a group: the weighted mean, seldom correct / total."""
    interval: Interval | None
    is_group: bool = False

    @classmethod
    def of_rows(cls, name: str, correct: float, total: int) -> Accuracy:
        """An accuracy in which every row has the same weight.

        Raises:
            ValueError: unless 0 <= correct <= total.
        """
        return cls(
            name=name,
            correct=correct,
            total=total,
            accuracy=correct / total if total else None,
            interval=wilson_interval(correct, total),
        )

    @classmethod
    def of_categories(cls, name: str, parts: Iterable[tuple[float, int, float]]) -> Accuracy:
        """The weighted mean of categories, (correct, total, weight) each; of none, no accuracy.

        Raises:
            ValueError: unless 0 <= correct <= total and the weights add up to 1.
        """
        parts = list(parts)
        interval = weighted_wilson_interval(parts) if parts else None
        return cls(
            name=name,
            correct=sum(correct for correct, *_ in parts),
            total=sum(total for _, total, _ in parts),
            accuracy=None if interval is None else sum(w * c / total for c, total, w in parts),
            interval=interval,
            is_group=True,
        )

    def as_dict(self) -> dict[str, Any]:
        """For `summary.json`."""
        return {
            "correct": self.correct,
            "total": self.total,
            "accuracy": self.accuracy,
            "interval": None if self.interval is None else list(self.interval),
        }


def accuracy_table(lines: Iterable[Accuracy]) -> str:
    """Markdown: name, right and all rows, accuracy, interval; groups in bold type."""
    head = ["category", "correct", "rows", "accuracy", f"{CONFIDENCE_LABEL} interval"]
    rows = [bold(accuracy_cells(line)) if line.is_group else accuracy_cells(line) for line in lines]
    return markdown_table(head, rows)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers; a newline at its end."""
    rule = [":--", *["--:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *rows))


def percent(share: float | None) -> str:
    """A share in [0, 1] for people; a dash where there is none."""
    return "–" if share is None else f"{share * 100:.2f} %"


def code(text: str) -> str:
    """`text` as Markdown code that cannot end itself, its line or its table cell."""
    return f"`{''.join(c if c.isprintable() and c not in '`|' else '?' for c in text)}`"


def accuracy_cells(line: Accuracy) -> list[str]:
    """A line of `accuracy_table`."""
    correct = f"{line.correct:.0f}" if line.correct == int(line.correct) else f"{line.correct:.1f}"
    interval = "–"
    if line.interval is not None:
        interval = f"{line.interval.low * 100:.2f}–{line.interval.high * 100:.2f} %"
    return [code(line.name), correct, f"{line.total}", percent(line.accuracy), interval]


def bold(cells: list[str]) -> list[str]:
    """The cells in bold type."""
    return [f"**{cell}**" for cell in cells]
