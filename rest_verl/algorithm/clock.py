"""Training progress: one clock for the curriculum of the weights and the schedule of the reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Progress by training step: from 0 to 1 in `horizon` steps, then 1.

    A run that is resumed to be longer than it was has a later horizon, and step / horizon would
    fall. Such a clock goes on from the progress that was reached, evenly to 1 at the new horizon:
    `anchors` are the points where it did.
    """

    horizon: float
    """The step at which progress is 1, above 0."""
    anchors: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    """(step, progress) where the clock began to count towards another horizon, rising, all before
    the horizon."""

    def progress(self, steps: Any) -> np.ndarray:
        """Progress in [0, 1] at each step (from 0), float64, of the shape of `steps`."""
        steps = np.asarray(steps, dtype=np.float64)
        if len(self.anchors) == 1:
            return np.minimum(1.0, steps / self.horizon)  # the very bits of step / horizon
        at, reached = zip(*self.anchors, (self.horizon, 1.0), strict=True)
        return np.minimum(1.0, np.interp(steps, at, reached))  # interp can round beyond its ends

    def resumed(self, horizon: float, step: float) -> Clock:
        """The clock of a run that goes on after `step` with another horizon, never backwards."""
        same_anchors = Clock(
            horizon=horizon, anchors=tuple(anchor for anchor in self.anchors if anchor[0] < horizon)
        )
        reached = float(self.progress(step))
        if float(same_anchors.progress(step)) >= reached:
            return same_anchors
        corners = (*self.anchors, (float(self.horizon), 1.0))
        earlier = tuple(corner for corner in corners if corner[0] < step)
        return Clock(horizon=horizon, anchors=(*earlier, (float(step), reached)))

    def state(self) -> dict[str, Any]:
        """What a checkpoint, and the reward's workers, get; JSON holds it to the last bit."""
        return {"horizon": self.horizon, "anchors": [list(anchor) for anchor in self.anchors]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Clock:
        """The clock of `state()`.

        Raises:
            ValueError: it is none.
        """
        match state:
            case {"horizon": float() | int() as horizon, "anchors": [*points]} if horizon > 0:
                if points and all(
                    isinstance(point, Sequence) and len(point) == 2 for point in points
                ):
                    return cls(
                        horizon=float(horizon),
                        anchors=tuple((float(step), float(reached)) for step, reached in points),
                    )
        raise ValueError(f"no state of a training clock: {dict(state)}")
