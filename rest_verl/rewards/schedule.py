"""The reward's bounds, fixed or moving with the step (docs/reward-rule.md, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from rest_verl.options.names import did_you_mean

SCHEDULES = ("none", "dynamic")


class Scale(NamedTuple):
    """The bounds of both parts at one step."""

    format_max: float
    format_min: float
    correctness_max: float
    correctness_min: float


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """The scale of the reward and how it moves; ``preset`` gives the named ones."""

    format_max: float = 1.0
    """Reward of the required form."""
    format_min: float = 0.0
    """Reward of any other form."""
    correctness_max: float = 3.0
    """Reward of fully right calls."""
    correctness_min: float = -3.0
    """Reward of calls with nothing right; at most 0, the reward of rightly making no call."""
    schedule: str = "none"
    """``none``: the scale is fixed. ``dynamic``: it moves from form to correctness (the released
    code's constants, so the bounds above stay at their defaults)."""
    horizon: int = 150
    """Steps in which ``dynamic`` reaches its end (released code: 150). verl's reward manager `rest`
    counts by the run's clock instead unless it is set there."""

    def __post_init__(self) -> None:
        for name, bound in self.fixed_scale._asdict().items():
            if type(bound) not in (int, float) or not math.isfinite(bound):
                raise ValueError(f"{name} must be a finite number, got {bound!r}")
        if not self.format_min < self.format_max:
            raise ValueError(
                f"need format_min < format_max, got {self.format_min}, {self.format_max}"
            )
        if not self.correctness_min <= 0 <= self.correctness_max or not any(self.fixed_scale[2:]):
            raise ValueError(
                "need correctness_min <= 0 <= correctness_max, not both 0, "
                f"got {self.correctness_min}, {self.correctness_max}"
            )
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, got {self.schedule!r}")
        if self.schedule == "dynamic" and self.fixed_scale != (1.0, 0.0, 3.0, -3.0):
            raise ValueError("schedule 'dynamic' has its own bounds: leave them at the defaults")
        if not (isinstance(self.horizon, int) and self.horizon > 0):
            raise ValueError(f"horizon must be a number of steps above 0, got {self.horizon!r}")

    @classmethod
    def preset(cls, name: str) -> RewardConfig:
        """``toolrl``: ToolRL's fixed scale. ``toolrl_scheduled``: the same with ``dynamic``."""
        if isinstance(name, str) and name in _PRESETS:
            return _PRESETS[name]
        hint = did_you_mean(str(name), _PRESETS)
        raise ValueError(f"unknown reward preset {name!r}; {hint}known: {', '.join(_PRESETS)}")

    @classmethod
    def of(cls, config: RewardConfig | str) -> RewardConfig:
        """The configuration itself, or the preset of that name; ``ValueError`` for any other."""
        if isinstance(config, cls):
            return config
        if isinstance(config, str):
            return cls.preset(config)
        raise ValueError(
            'config must be a preset\'s name, as in config="toolrl", or a RewardConfig, as '
            f"RewardConfig(correctness_max=2.0); got {config!r}"
        )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> RewardConfig:
        """A preset (key ``preset``, else ``toolrl``) with single fields changed by name."""
        changes = dict(options)
        base = cls.preset(changes.pop("preset", "toolrl"))
        known = [field.name for field in fields(cls)]
        if unknown := sorted(changes.keys() - set(known)):
            hint = did_you_mean(unknown[0], known)
            raise ValueError(
                f"unknown reward options {', '.join(unknown)}; {hint}"
                f"known: preset, {', '.join(known)}"
            )
        return replace(base, **changes)

    @property
    def fixed_scale(self) -> Scale:
        """The scale without a schedule, on which validation is always scored."""
        return Scale(self.format_max, self.format_min, self.correctness_max, self.correctness_min)

    def scale(self, step: float | None = None) -> Scale:
        """The scale at a training step (from 0), or the fixed one for None.

        With ``dynamic``, p = step / horizon: form between −2 + 2p (to −1 at most) and 2 − p (to 1
        at least), correctness within ±(2 + p) (to ±3 at most).
        """
        if step is None:
            return self.fixed_scale
        if not step >= 0:
            raise ValueError(f"step must not be negative, got {step}")
        if self.schedule == "none":
            return self.fixed_scale
        progress = step / self.horizon
        reach = min(2.0 + progress, 3.0)
        return Scale(max(2.0 - progress, 1.0), min(-2.0 + 2.0 * progress, -1.0), reach, -reach)


_PRESETS = {
    "toolrl": RewardConfig(),
    "toolrl_scheduled": RewardConfig(schedule="dynamic"),
}
