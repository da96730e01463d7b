"""Four terms for how an answer is written: metrics, evaluation, report and view all use these.

They look at the writing alone. Whether an answer has the format that its prompt asks for, and
whether its calls are right, the reward says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rest_verl.syntax.base import Reading

_IN_PAIRS = re.compile("(?:Tt|Cc|Rr)*")
_LEFT_OPEN = re.compile("T(?!t)|C(?!c)|R(?!r)")


class Terms(NamedTuple):
    """What is true of one answer, under the names of the metrics."""

    tags_valid: bool
    """Tags stand in pairs: each that opens is closed, and none closes what is not open."""
    calls_parse: bool
    """Every call that is made or begun can be read; so it is of an answer without calls."""
    unclosed: bool
    """A tag opens that nothing closes."""
    cut_off: bool | None
    """The length limit ended it, and not the model; None: not known."""

    @property
    def faults(self) -> tuple[str, ...]:
        """The terms that speak against the answer, in the order of `FAULTS`."""
        return tuple(term for term in FAULTS if getattr(self, term) is (term not in GOOD))

    def as_dict(self) -> dict[str, float]:
        """As plain floats, for loggers; what is not known is left out."""
        known = self._asdict().items()
        return {term: float(holds) for term, holds in known if holds is not None}


GOOD = ("tags_valid", "calls_parse")
"""Terms that hold of a well-written answer; the others hold of none."""
LABELS = {
    "tags_valid": "tags valid",
    "calls_parse": "calls parse",
    "unclosed": "unclosed",
    "cut_off": "cut off at the limit",
}
"""What people read, by term."""
FAULTS = {
    "tags_valid": "tags not valid",
    "calls_parse": "calls do not parse",
    "unclosed": "unclosed",
    "cut_off": "cut off at the limit",
}
"""The same of an answer that has a fault."""


def terms_of(readings: Sequence[Reading], cut_off: bool | None = None) -> Terms:
    """The terms of one answer.

    Args:
        readings: its messages in order, as `read_message` gives them: one, or those of a
            conversation.
        cut_off: whether the length limit ended the last of them.
    """
    return Terms(
        tags_valid=all(_IN_PAIRS.fullmatch(reading.structure) for reading in readings),
        calls_parse=all(reading.whole_calls is not None for reading in readings),
        unclosed=any(_LEFT_OPEN.search(reading.structure) for reading in readings),
        cut_off=cut_off,
    )


def logged_terms(values: Mapping[str, Any]) -> Terms | None:
    """The terms among the numbers that a run logged of an answer; None where it logged none."""
    found = {term: _truth(values.get(term)) for term in LABELS}
    if None in (found["tags_valid"], found["calls_parse"], found["unclosed"]):
        return None
    return Terms(**found)  # type: ignore[arg-type] # None of these three


def count_terms(answers: Iterable[Terms]) -> dict[str, int]:
    """Of how many answers each term holds; a term that is known of none is left out."""
    counts: Counter[str] = Counter()
    for answer in answers:
        counts.update(
            {term: bool(holds) for term, holds in answer._asdict().items() if holds is not None}
        )
    return {term: counts[term] for term in LABELS if term in counts}


def _truth(value: Any) -> bool | None:
    return bool(value) if isinstance(value, bool | int | float) else None
