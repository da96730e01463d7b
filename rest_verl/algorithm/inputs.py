"""Checks what `token_weights` is given and brings it into one form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.ragged import refuse_ragged
from rest_verl.algorithm.sums import NUM_REGIONS

# Shape letters: B responses, T response tokens.

PerRow = float | Tensor | np.ndarray
"""One number for all rows, or one for each, (B,)."""


def checked_batch(
    regions: Tensor | np.ndarray, entropy: Tensor | np.ndarray | None, config: ReSTConfig
) -> tuple[Tensor, Tensor | None]:
    """Both inputs as tensors on one device, of the same (B, T) shape."""
    refuse_ragged("regions", regions)
    refuse_ragged("entropy", entropy)
    entropy_BT = None if entropy is None else torch.as_tensor(entropy)
    region_BT = torch.as_tensor(regions, device=None if entropy_BT is None else entropy_BT.device)
    if region_BT.ndim != 2 or region_BT.is_floating_point():
        raise ValueError(
            f"regions must be integers of shape (B, T), as label_batch gives them, got "
            f"{region_BT.dtype} of shape {tuple(region_BT.shape)}"
        )
    if region_BT.numel():
        least, most = map(int, region_BT.aminmax())
        if not -1 <= least <= most < NUM_REGIONS:
            raise ValueError(
                f"regions must lie in -1 (masked) to {NUM_REGIONS - 1}, got {least} to {most}"
            )
    if entropy_BT is None and config.needs_entropy:
        raise ValueError(
            "this configuration makes weights from entropy: pass the old policy's entropy "
            "(nats), (B, T), or take a preset that needs none (uniform, official)"
        )
    if entropy_BT is not None and entropy_BT.shape != region_BT.shape:
        raise ValueError(
            f"entropy {tuple(entropy_BT.shape)} and regions {tuple(region_BT.shape)} must have "
            "the same shape"
        )
    return region_BT, entropy_BT


def checked_turns(
    turns: Tensor | np.ndarray | None, region_BT: Tensor, config: ReSTConfig
) -> Tensor | None:
    """The turn of each token on the regions' device; None where a response is normalised whole."""
    if turns is None or config.weights_per == "response":
        return None
    turn_BT = torch.as_tensor(turns, device=region_BT.device)
    if turn_BT.shape != region_BT.shape or turn_BT.is_floating_point():
        raise ValueError(
            f"turns must be integers of the regions' shape {tuple(region_BT.shape)}, got "
            f"{turn_BT.dtype} of shape {tuple(turn_BT.shape)}"
        )
    if ((region_BT >= 0) & (turn_BT < 0)).any():
        raise ValueError("turns lacks a turn (-1) where regions has a label")
    return turn_BT


def per_row(name: str, value: PerRow | None, region_BT: Tensor) -> float | Tensor | None:
    """A number as a float, one number a row as (B, 1) float64."""
    if value is None or np.ndim(value) == 0:
        return None if value is None else float(value)
    value_B = torch.as_tensor(value, dtype=torch.float64, device=region_BT.device)
    if value_B.shape != region_BT.shape[:1]:
        raise ValueError(
            f"{name} must be one number or one for each of the {len(region_BT)} rows, got shape "
            f"{tuple(value_B.shape)}"
        )
    return value_B[:, None]


def clock_of(
    progress: float | Tensor | None, step: float | Tensor | None, config: ReSTConfig
) -> float | Tensor:
    """What the curriculum multiplies, after its check."""
    for value in _values(progress):
        if not 0 <= value <= 1:
            raise ValueError(f"progress must lie in [0, 1] (step / total steps), got {value:g}")
    for value in _values(step):
        if not value >= 0:
            raise ValueError(f"step must not be negative, got {value:g}")
    clock = step if config.clock == "step" else progress
    if clock is None:
        if config.has_curriculum:
            raise ValueError(f"this configuration has a curriculum: pass {config.clock}")
        return 0.0
    return clock


def _values(clock: float | Tensor | None) -> list[float]:
    if clock is None:
        return []
    return clock.flatten().tolist() if isinstance(clock, Tensor) else [clock]
