"""Facts of a batch's conversations: what each turn earned, and which tools nobody calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rest_verl.integration.agent_loops.turns import TOOL_CALLS, TURN_SCORES, TURN_SPANS

MOST_TURNS = 16
"""Turns with metrics of their own; those after them have none."""
MOST_TOOLS = 24
"""Of a batch; where it offers more, they are counted and not named."""


def turn_metrics(
    extra_fields: Sequence[Mapping[str, Any]], is_padding: Sequence[bool]
) -> dict[str, float]:
    """`rest/turn/{reached,reward}/<turn>` of the rows that say what their turns were; turns from 1.

    `reached` is the share of these rows that came to the turn, `reward` the mean of what it earned
    in the rows that came to it and say so.

    Args:
        extra_fields: Of verl's agent loop, B mappings, or none at all.
        is_padding: B marks of synthetic rows, which are left out.
    """
    reached: Counter[int] = Counter()
    rewarded: Counter[int] = Counter()
    earned: dict[int, float] = {}
    rows = _real(extra_fields, is_padding, TURN_SPANS)
    for row in rows:
        reached.update(range(1, min(len(row[TURN_SPANS]), MOST_TURNS) + 1))
        for turn, score in enumerate((row.get(TURN_SCORES) or [])[:MOST_TURNS], start=1):
            rewarded[turn] += 1
            earned[turn] = earned.get(turn, 0.0) + score
    return {
        **{f"rest/turn/reached/{turn}": count / len(rows) for turn, count in reached.items()},
        **{f"rest/turn/reward/{turn}": earned[turn] / count for turn, count in rewarded.items()},
    }


def tool_metrics(
    extra_fields: Sequence[Mapping[str, Any]], is_padding: Sequence[bool]
) -> dict[str, float]:
    """`rest/tools/{offered,never_called}`, numbers of tools, and `rest/tools/called/<name>`: the
    share of the rows with that tool in which it is called; of at most MOST_TOOLS.

    Args:
        extra_fields: As for `turn_metrics`.
        is_padding: As for `turn_metrics`.
    """
    offered: Counter[str] = Counter()
    called: Counter[str] = Counter()
    for row in _real(extra_fields, is_padding, TOOL_CALLS):
        offered.update(row[TOOL_CALLS].keys())
        called.update(name for name, count in row[TOOL_CALLS].items() if count)
    if not offered:
        return {}
    metrics = {
        "rest/tools/offered": float(len(offered)),
        "rest/tools/never_called": float(len(offered) - len(called)),
    }
    if len(offered) <= MOST_TOOLS:
        for name in sorted(offered):
            metrics[f"rest/tools/called/{name}"] = called[name] / offered[name]
    return metrics


def _real(
    extra_fields: Sequence[Mapping[str, Any]], is_padding: Sequence[bool], field: str
) -> list[Mapping[str, Any]]:
    """The real rows that have something in that field."""
    rows = zip(extra_fields, is_padding, strict=True) if extra_fields else ()
    return [row for row, padding in rows if not padding and row.get(field)]
