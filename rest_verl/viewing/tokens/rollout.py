"""One response with what its source knows about it, and how verl's fields of it are read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rest_verl.syntax import Terms


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One response with what its source knows about it; what it does not know is None.

    Either `text` is given or `token_ids` are; arrays are aligned with `token_ids`.
    """

    name: str
    """What to call it: a file's name, or verl's key of the rollout."""
    text: str | None = None
    prompt: str | None = None
    token_ids: np.ndarray | None = None
    """Sampled ids, observations among them, (T,)."""
    prompt_ids: np.ndarray | None = None
    response_mask: np.ndarray | None = None
    """Non-zero where the policy sampled the token, (T,)."""
    entropy: np.ndarray | None = None
    """The old policy's entropy (nats), (T,)."""
    advantage: np.ndarray | None = None
    """The advantage of each token, (T,)."""
    score: float | None = None
    terms: Terms | None = None
    """How it is written, as the run logged it."""
    ground_truth: str | None = None
    syntax: str = ""
    """The syntax that its prompt asks for; "": the model's own, or the source does not tell."""
    group: str | None = None
    """Rollouts of one prompt share it."""
    session: str | None = None
    """Outputs of one conversation share it."""
    step: int | None = None
    """The training step that it was sampled at."""


def rollout_key(key: str) -> tuple[str, str]:
    """Group and session of verl's key `{uid}_{session}_{output}`."""
    session = key.rsplit("_", 1)[0]
    return session.rsplit("_", 1)[0], session


def finite(value: Any) -> float | None:
    """`value` if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def as_text(value: Any) -> str | None:
    """A ground truth as it stands, or as indented JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
