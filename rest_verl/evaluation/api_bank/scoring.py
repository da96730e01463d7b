"""Scores API-Bank answers: by the published rule without its oddities, and exactly as published.

The published evaluation (ToolRL's, which ResT uses unchanged) takes the text from the last
`<tool_call>` to the next `</tool_call>`, or to the end where none follows, reads each line as JSON,
and counts the row as right if any line has exactly the answer's name and parameters. Lines that are
no JSON are skipped; further lines and further keys do not matter, nor does where the block stands.

It has oddities, each of which can change a verdict:

- Without `<tool_call>` the whole text is taken for the block (up to a `</tool_call>`).
- An object that lacks "name" or "parameters" gets the right name, and the object itself counts as
  the parameters: `{"user_name": "John"}` is right where the parameters are these, and `{}` where
  there are none.
- A line that is JSON text, in quotes, is read as JSON once more, so a call in quotes is right.
- A number, `true`, `false` or `null`, text that is no JSON inside, or a list or text that holds
  both "name" and "parameters" ends the reading: a right line after it does not count.
- Run again, it generates anew only for rows that were wrong and keeps those that were right: a row
  is right if any attempt was.

`valid` follows the rule without these: there has to be a `<tool_call>`, a line must be an object
with both keys, each line is read by itself, and each sample counts. `as_published` follows the rule
with them. Not modelled: failures to write its own result file, such as on half a surrogate pair.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rest_verl.data.api_bank import ApiBankRow
from rest_verl.syntax import ToolCall

OVERALL = "overall"
"""All levels together, every row with the same weight."""

_NOT_JSON = object()
_OPEN, _CLOSE = "<tool_call>", "</tool_call>"


@dataclass(frozen=True, kw_only=True)
class ApiBankVerdict:
    """What an answer is worth."""

    valid: bool
    error: str
    """Why not, as a short kind: "no_block", "no_call" (no line of the block is one), "wrong_name",
    "wrong_parameters"; "" if valid."""
    as_published: bool
    """The published evaluation's verdict on this answer."""


@dataclass(frozen=True, kw_only=True)
class LevelCounts:
    """A level's result; several samples of a row enter as their mean."""

    total: int
    """Rows."""
    correct: float
    """Sum over rows of the share of right samples."""
    published_correct: int
    """Rows with any sample that is right as published: samples stand for its repeated attempts."""


def score_api_bank(row: ApiBankRow, text: str) -> ApiBankVerdict:
    """Scores one answer, whatever the model wrote; takes time linear in its length."""
    _, tag, block = text.rpartition(_OPEN)
    values = [
        value
        for line in block.partition(_CLOSE)[0].strip().split("\n")
        if (value := _load(line)) is not _NOT_JSON
    ]
    error = _error(values, row.answer) if tag else "no_block"
    return ApiBankVerdict(
        valid=not error, error=error, as_published=_right_as_published(values, row.answer)
    )


def api_bank_counts(records: Iterable[Mapping[str, Any]]) -> dict[str, LevelCounts]:
    """Category -> counts, levels in order and `OVERALL` last.

    Args:
        records: one for each row and sample, with "id", "category", "valid" and "as_published".
    """
    samples: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for record in records:
        verdicts = (record["valid"], record["as_published"])
        samples[record["category"], record["id"]].append(verdicts)
    counts = {
        category: _counts([s for (of, _), s in samples.items() if of == category])
        for category in sorted({category for category, _ in samples})
    }
    return {**counts, OVERALL: _counts(list(samples.values()))}


def _counts(rows: list[list[tuple[bool, bool]]]) -> LevelCounts:
    return LevelCounts(
        total=len(rows),
        correct=sum(sum(valid for valid, _ in samples) / len(samples) for samples in rows),
        published_correct=sum(any(published for _, published in samples) for samples in rows),
    )


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _error(values: list[Any], answer: ToolCall) -> str:
    calls = [
        value
        for value in values
        if isinstance(value, dict) and "name" in value and "parameters" in value
    ]
    named = [call for call in calls if call["name"] == answer.name]
    if any(call["parameters"] == answer.arguments for call in named):
        return ""
    if named:
        return "wrong_parameters"
    return "wrong_name" if calls else "no_call"


def _right_as_published(values: list[Any], answer: ToolCall) -> bool:
    for value in values:
        if isinstance(value, str):
            value = _load(value)
        if isinstance(value, dict):
            named = "name" in value and "parameters" in value
            right = (
                value["name"] == answer.name and value["parameters"] == answer.arguments
                if named
                else value == answer.arguments
            )
            if right:
                return True
        elif not isinstance(value, str | list) or ("name" in value and "parameters" in value):
            return False
    return False
