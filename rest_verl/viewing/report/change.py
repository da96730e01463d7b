"""How a metric changed from a run's first steps to its last, and whether by more than chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from rest_verl.viewing.report.metrics import Record, series

LEAST_STEPS = 10
"""Below it, first and last steps overlap."""
EDGE_SHARE = 0.2
"""Steps averaged at either end, as a share of the run: long enough to even out batches."""
LEAST_EDGE = 5
"""Of fewer steps the scatter, and so the certainty, is not known."""
CERTAIN_AT = 2.0
"""Standard errors that a change has to exceed: by chance, one in twenty does."""
_SANE = 1e100  # beyond it sums overflow, and no metric means anything


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One thing worth a look."""

    title: str
    seen: str
    """What the curves show: numbers and steps."""
    look_at: str
    """What to look at or to try."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A metric at both ends of a run."""

    first: float
    last: float
    error: float
    """Standard error of `last - first` from the steps' scatter."""
    seen: str
    """Both ends in words: `from 0.20 (steps 1-7) to 0.45 (steps 30-36)`."""

    @property
    def rises(self) -> bool:
        return self.last - self.first > CERTAIN_AT * self.error

    @property
    def falls(self) -> bool:
        return self.first - self.last > CERTAIN_AT * self.error


def change(records: Sequence[Record], names: Sequence[str], form: str = "{:.2f}") -> Change | None:
    """First against last steps of the first of `names`; None for fewer than LEAST_STEPS values."""
    steps, values = series(records, names)
    if len(steps) < LEAST_STEPS or max(map(abs, values)) > _SANE:
        return None
    size = edge(len(steps))
    first, last = values[:size], values[-size:]
    spans = _span(steps[:size]), _span(steps[-size:])
    return Change(
        first=fmean(first),
        last=fmean(last),
        error=math.hypot(_deviation(first), _deviation(last)) / math.sqrt(size),
        seen=f"from {form.format(fmean(first))} ({spans[0]}) to {form.format(fmean(last))} "
        f"({spans[1]})",
    )


def edge(num_steps: int) -> int:
    """How many steps count as the first, and as the last, of `num_steps`."""
    return max(LEAST_EDGE, math.ceil(EDGE_SHARE * num_steps))


def _span(steps: Sequence[int]) -> str:
    """`"steps 3-9"` for the first and last of `steps`."""
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]}-{steps[-1]}"


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
