"""The run's clock: how many steps it will really do, and what is said about it at the start."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from rest_verl.algorithm.clock import Clock
from rest_verl.integration.run_state import step_of


class RunSteps(NamedTuple):
    """The steps that a run will do."""

    number: int
    source: str
    """The settings that it comes from."""


def run_steps(config: DictConfig, steps_per_epoch: int, total_training_steps: int) -> RunSteps:
    """By verl's rule: training stops at `total_training_steps` or after `total_epochs`."""
    epochs = config.trainer.total_epochs
    by_epochs = steps_per_epoch * epochs
    if by_epochs <= total_training_steps:
        return RunSteps(by_epochs, f"trainer.total_epochs={epochs} of {steps_per_epoch} steps")
    return RunSteps(total_training_steps, f"trainer.total_training_steps={total_training_steps}")


def run_clock(
    horizon: float | None, steps: RunSteps, checkpoint: Path | None, saved: Clock | None
) -> Clock:
    """The clock of this run.

    A horizon of the user's is taken as it is. The run's own steps go on from the clock of the
    checkpoint, if there is one, and never backwards.

    Args:
        horizon: `algorithm.rest.horizon`.
        steps: What the run will do.
        checkpoint: The `global_step_*` folder that it resumes from.
        saved: The clock in that.
    """
    if horizon is not None:
        return Clock(horizon=float(horizon))
    number = float(max(1, steps.number))
    if checkpoint is None or saved is None:
        return Clock(horizon=number)
    return saved.resumed(number, step_of(checkpoint))


def describe_clock(clock: Clock, horizon: float | None, steps: RunSteps) -> str:
    """Where progress is 1, from which setting, and a warning where the run ends before."""
    source = steps.source if horizon is None else f"algorithm.rest.horizon={horizon:g}"
    lines = [f"[rest] progress reaches 1 at step {clock.horizon:g} (from {source})"]
    if len(clock.anchors) > 1:
        step, reached = clock.anchors[-1]
        lines.append(
            f"[rest] resumed at step {step:g}: progress goes on from {reached:.3f}, not from "
            f"{step / clock.horizon:.3f} (set algorithm.rest.horizon for a clock of your own)"
        )
    end = float(clock.progress(steps.number))
    if end < 1:
        lines.append(
            f"[rest] warning: the run ends after {steps.number} steps ({steps.source}), at "
            f"progress {end:.2f}: lower algorithm.rest.horizon, or train longer"
        )
    return "\n".join(lines)
