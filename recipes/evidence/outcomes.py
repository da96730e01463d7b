"""What a cell is judged by: the declared outcomes, and the side effects beside them.

Shape letters: N held-out rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid

from recipes.evidence.cells import Cell

WINDOW = 5
"""Steps of the moving average of the training reward, and of the end of a run."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A number of a cell; more is better."""

    name: str
    per_row: Callable[[Cell], np.ndarray | None]
    """(N,) by row, or (1,) of one that is no mean over rows; None where the cell has none."""
    is_share: bool = True
    """Whether it lies in [0, 1] and is shown in per cent."""


def area_under_curve(cell: Cell) -> np.ndarray:
    """(N,) trapezoids of exact match over steps, divided by the steps: a mean over training."""
    steps = [evaluation.step for evaluation in cell.evaluations]
    exact_EN = np.stack([evaluation.exact_N for evaluation in cell.evaluations])
    return trapezoid(exact_EN, steps, axis=0) / steps[-1]


def final_reward(cell: Cell) -> np.ndarray:
    """(1,) mean reward of the held-out rows after the last step."""
    return np.array([cell.evaluations[-1].reward])


AREA = Outcome(name="area under the curve", per_row=area_under_curve)
"""The first outcome, as declared."""
EXACT = Outcome(name="final exact match", per_row=lambda cell: cell.evaluations[-1].exact_N)
BFCL = Outcome(name="final BFCL accuracy", per_row=lambda cell: cell.evaluations[-1].bfcl_N)
REWARD = Outcome(name="final held-out reward", per_row=final_reward, is_share=False)
OUTCOMES = (AREA, EXACT, BFCL, REWARD)


def training_reward(cell: Cell) -> list[float]:
    """Moving average over `WINDOW` steps; the first is that of step `WINDOW`, or of the last."""
    rewards = np.array([step["reward"] for step in cell.steps], dtype=float)
    width = min(WINDOW, len(rewards))
    return np.convolve(rewards, np.full(width, 1 / width), mode="valid").tolist()


def steps_until(cell: Cell, target: float) -> float:
    """The first step whose moving average reaches `target`; infinity if none does."""
    averages = training_reward(cell)
    first = len(cell.steps) - len(averages) + 1
    # Averages of equal rewards differ in rounding.
    slack = 1e-9 * max(1.0, abs(target))
    reached = (step for step, value in enumerate(averages, first) if value >= target - slack)
    return next(reached, math.inf)


SIDE_EFFECTS: dict[str, Callable[[Cell], float | None]] = {
    "answer tokens": lambda cell: end_mean(cell.logged("response_length")),
    "gradient norm": lambda cell: end_mean(cell.logged("grad_norm")),
    "control probability": lambda cell: _exp(end_mean(cell.logged("control_log_prob"))),
    "control entropy": lambda cell: end_mean(cell.logged("control_entropy")),
    "entropy of format": lambda cell: end_mean(cell.logged("entropy/format")),
    "of names": lambda cell: end_mean(cell.logged("entropy/name")),
    "of arguments": lambda cell: end_mean(cell.logged("entropy/args")),
    "of thoughts": lambda cell: end_mean(cell.logged("entropy/think")),
}
"""What a weighting does besides, over the last `WINDOW` steps; entropies in nats. The probability
is the geometric mean over control tokens."""


def end_mean(values: Sequence[float | None]) -> float | None:
    """Mean of the last `WINDOW` steps that have a value; None if none of them does."""
    known = [value for value in values[-WINDOW:] if value is not None]
    return float(np.mean(known)) if known else None


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)
