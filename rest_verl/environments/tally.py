"""What is counted in a rollout, as the numbers that go with its reward."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

from rest_verl.environments.observations import ERROR_KINDS

Limit = Literal["steps", "turns", "response_length", "prompt_too_long"]
LIMITS: tuple[Limit, ...] = get_args(Limit)


@dataclass
class Tally:
    """Counts of one rollout."""

    turns: int = 0
    """User messages that the model was given."""
    steps: int = 0
    """Assistant messages."""
    contexts: int = 0
    """Times that observations or a user message were added after the prompt."""
    calls: int = 0
    """Calls that were run or refused one by one; not those of a malformed message."""
    observations_cut: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Error observations by kind."""
    limit: Limit | None = None
    """What ended the rollout before its time."""

    def reward_info(
        self,
        *,
        score: float = 0.0,
        official: float = 0.0,
        dense: float = 0.0,
        turns_right: float = 0.0,
    ) -> dict[str, float]:
        """The numbers of verl's `reward_extra_info`: the same keys for every rollout."""
        return {
            "score": float(score),
            "official": float(official),
            "dense": float(dense),
            "turns": float(self.turns),
            "turns_right": float(turns_right),
            "steps": float(self.steps),
            "calls": float(self.calls),
            "observations_cut": float(self.observations_cut),
            **{f"errors/{kind}": float(self.errors[kind]) for kind in ERROR_KINDS},
            **{f"limit/{limit}": float(self.limit == limit) for limit in LIMITS},
        }
