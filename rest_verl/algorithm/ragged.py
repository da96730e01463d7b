"""Rows of different lengths are refused with what to do about them."""

from __future__ import annotations

from typing import Any


def refuse_ragged(name: str, rows: Any) -> None:
    """ValueError where lists, or an array of objects, have rows of different lengths."""
    may_be_ragged = isinstance(rows, (list, tuple)) or str(getattr(rows, "dtype", "")) == "object"
    if may_be_ragged and len({len(row) if hasattr(row, "__len__") else -1 for row in rows}) > 1:
        raise ValueError(
            f"{name}: rows of different lengths; pad them to one, as ids in [[5, 6, 7], [8, 0, 0]] "
            "with response_mask=[[1, 1, 1], [1, 0, 0]], and regions with -1"
        )
