"""How a metric changed from a run's first steps to its last, and whether by more than chance.

Everything that shows a value before and after, table or remark, takes its windows from `ends`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from rest_verl.viewing.report.metrics import Record, series

LEAST_STEPS = 10
"""Below it, a window holds less than LEAST_EDGE steps."""
EDGE_SHARE = 0.2
"""Steps averaged at either end, as a share of the run: long enough to even out batches."""
LEAST_EDGE = 5
"""Steps averaged at either end of a run that has twice as many; of fewer the scatter, and so the
certainty, is not known."""
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
class Window:
    """The steps at one end of a curve that are shown as one value, their mean."""

    steps: Sequence[int]
    values: Sequence[float]
    """One a step."""

    @property
    def mean(self) -> float:
        # Divided first: a sum of huge values would overflow.
        return sum(value / len(self.values) for value in self.values)

    def shown(self, form: str) -> str:
        """The mean with its steps: `0.20 (steps 1–7)`."""
        return f"{form.format(self.mean)} ({span(self.steps)})"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A metric at both ends of a run."""

    first: float
    last: float
    error: float
    """Standard error of `last - first` from the steps' scatter."""
    seen: str
    """Both ends in words: `from 0.20 (steps 1–7) to 0.45 (steps 30–36)`."""

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
    first, last = ends(steps, values)
    assert last is not None
    deviations = stdev(first.values), stdev(last.values)
    return Change(
        first=first.mean,
        last=last.mean,
        error=math.hypot(*deviations) / math.sqrt(len(first.values)),
        seen=f"from {first.shown(form)} to {last.shown(form)}",
    )


def ends(steps: Sequence[int], values: Sequence[float]) -> tuple[Window, Window | None]:
    """First and last window of a curve; no step is in both, so that one step has no last.

    Args:
        steps: In rising order, one at least.
        values: One a step.
    """
    size = edge(len(steps))
    first = Window(steps=steps[: max(1, size)], values=values[: max(1, size)])
    return first, Window(steps=steps[-size:], values=values[-size:]) if size else None


def edge(num_steps: int) -> int:
    """How many steps count as the first, and as the last, of `num_steps`: at most half of them."""
    return min(num_steps // 2, max(LEAST_EDGE, math.ceil(EDGE_SHARE * num_steps)))


def span(steps: Sequence[int]) -> str:
    """Steps in rising order, in few words: `step 3`, `steps 3–9`, `4 of steps 0–15` with gaps."""
    if len(steps) == 1:
        return f"step {steps[0]}"
    words = f"steps {steps[0]}–{steps[-1]}"
    return words if steps[-1] - steps[0] + 1 == len(steps) else f"{len(steps)} of {words}"
