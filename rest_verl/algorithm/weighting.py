"""Token weights: each token takes the weight of its region, low entropy weighing more.

Weights depend on a token only through its row and region, so they are worked out in (B, R) tables
and looked up; the only (B, T) work is one sum by region and one look-up. Sums are in float64: the
order of the rows and the padding do not show in the float32 result.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rest_verl.algorithm.curriculum import scheduled_weights
from rest_verl.algorithm.presets import ReSTConfig
from rest_verl.algorithm.regions import Region

__all__ = ["PerRow", "ReSTConfig", "token_weights"]

# Shape letters: B responses, T response tokens, R regions.

PerRow = float | Tensor | np.ndarray
"""One number for all rows, or one for each, (B,)."""

NUM_REGIONS = len(Region)
# Only keeps sums of nothing from becoming 0 / 0. In float64 it is below what a float32 weight can
# show, so a row of ones stays a row of ones (the released code has the same constant).
_DELTA = 1e-8


@torch.no_grad()
def token_weights(
    regions: Tensor | np.ndarray,
    entropy: Tensor | np.ndarray | None = None,
    progress: PerRow | None = None,
    *,
    config: ReSTConfig,
    step: PerRow | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Per-token weights of the policy loss, and what to log about them (method, section 3).

    Args:
        regions: `Region` of each token, integers, (B, T); -1 where the response mask is 0.
        entropy: The old policy's entropy (nats), (B, T); read at labelled tokens only. May be None
            where `config.needs_entropy` is false.
        progress: step / total steps, in [0, 1]; one number, or (B,) where policies of several steps
            sampled the rows. May be None where `config` has no curriculum or counts in steps.
        config: The preset or configuration.
        step: Training step, not negative; one number or (B,); needed where `config.clock` is
            `step`.

    Returns:
        Weights, float32, (B, T), of mean 1 over each row's labelled tokens, 0 elsewhere; a row in
        which every labelled token weighs 0 stays 0. And a flat dict of floats:
        `rest/entropy/<region>` (mean, nats) and `rest/weight/<region>` (mean), left out for a
        region without tokens, since absent is not zero; `rest/token_share/<region>` and
        `rest/weight_share/<region>` (fractions of the batch); `rest/zero_weight_share` (fraction of
        labelled tokens that weigh 0); `rest/progress` (mean over rows with labelled tokens).

    Raises:
        ValueError: Shapes differ, a label is no region, an entropy at a labelled token is not
            finite, or what `config` needs is missing or out of range.
    """
    region_BT, entropy_BT = _checked(regions, entropy, config)
    progress, step = _per_row("progress", progress, region_BT), _per_row("step", step, region_BT)
    clock = _clock(progress, step, config)
    bin_BT = region_BT.long() + 1  # bin 0 takes the masked tokens, whatever their entropy holds
    count_BR = _sum_by_region(region_BT.new_ones((), dtype=torch.float64).expand_as(bin_BT), bin_BT)
    entropy_BR = None if entropy_BT is None else _entropy_sums(entropy_BT, bin_BT)

    if config.scope == "token":
        assert entropy_BT is not None
        weights_BT = _token_scope(entropy_BT, bin_BT, count_BR, config)
    else:
        table_BR = _region_table(entropy_BR, count_BR, clock, config)
        table_BR = table_BR / (_row_mean(table_BR * count_BR, count_BR) + _DELTA)
        weights_BT = F.pad(table_BR, (1, 0)).float().gather(1, bin_BT)

    stats = _stats(weights_BT, bin_BT, count_BR.sum(0), entropy_BR)
    if progress is not None:
        stats.update(_progress_stat(progress, count_BR))
    return weights_BT, stats


def _region_table(
    entropy_BR: Tensor | None, count_BR: Tensor, clock: float | Tensor, config: ReSTConfig
) -> Tensor:
    """Region weights before normalisation, (B, R), or (1, R) where all rows share them.

    `clock` is one number or (B, 1).
    """
    base_BR = count_BR.new_ones(1, NUM_REGIONS)
    if entropy_BR is not None and config.needs_entropy:
        per_row = config.scope == "sequence"
        sum_BR = entropy_BR if per_row else entropy_BR.sum(0, keepdim=True)
        tokens_BR = count_BR if per_row else count_BR.sum(0, keepdim=True)
        # an absent region has no entropy: its entry is finite, weighs nothing and is never read
        base_BR = _entropy_weight(sum_BR / tokens_BR.clamp_min(1), config)
        base_BR = _scaled_and_clipped(base_BR, (base_BR * tokens_BR).sum(), tokens_BR.sum(), config)
    for region in Region:
        gamma = getattr(config, f"gamma_{region.name.lower()}")
        if gamma is not None:
            base_BR[:, region] = gamma
    return scheduled_weights(
        base_BR,
        clock,
        w_min=config.w_min,
        w_max=config.w_max,
        alpha_format=config.alpha_format,
        alpha_args=config.alpha_args,
        alpha_think=config.alpha_think,
        cap_args=config.cap_args,
        cap_think=config.cap_think,
    )


def _token_scope(
    entropy_BT: Tensor, bin_BT: Tensor, count_BR: Tensor, config: ReSTConfig
) -> Tensor:
    """Theorem 2's rule at each token by itself; regions serve only to keep sums exact."""
    weights_BT = _entropy_weight(entropy_BT.double(), config)
    total = _sum_by_region(weights_BT, bin_BT).sum()
    weights_BT = _scaled_and_clipped(weights_BT, total, count_BR.sum(), config)
    mean_B1 = _row_mean(_sum_by_region(weights_BT, bin_BT), count_BR)
    return torch.where(bin_BT > 0, weights_BT / (mean_B1 + _DELTA), 0.0).float()


def _entropy_weight(entropy: Tensor, config: ReSTConfig) -> Tensor:
    """g(H) of the method: weight of an entropy (nats), before scaling."""
    floored = entropy.clamp_min(config.entropy_floor)
    if config.entropy_rule == "inverse":
        return 1 / floored
    return -1 / torch.expm1(-floored)


def _scaled_and_clipped(
    weights: Tensor, total: Tensor, num_tokens: Tensor, config: ReSTConfig
) -> Tensor:
    """Weights whose mean over the batch's tokens is 1 before they are clipped."""
    return (weights * (num_tokens / total.clamp_min(_DELTA))).clamp(config.w_min, config.w_max)


def _sum_by_region(values_BT: Tensor, bin_BT: Tensor) -> Tensor:
    """Sums over each row's tokens of each region, float64, (B, R)."""
    bins_BR = values_BT.new_zeros((len(values_BT), NUM_REGIONS + 1), dtype=torch.float64)
    return bins_BR.scatter_add_(1, bin_BT, values_BT.double())[:, 1:]


def _row_mean(sum_BR: Tensor, count_BR: Tensor) -> Tensor:
    """Mean over each row's labelled tokens, (B, 1); 0 for a row without any."""
    return sum_BR.sum(1, keepdim=True) / count_BR.sum(1, keepdim=True).clamp_min(1)


def _stats(
    weights_BT: Tensor, bin_BT: Tensor, count_R: Tensor, entropy_BR: Tensor | None
) -> dict[str, float]:
    weight_R = _sum_by_region(weights_BT, bin_BT).sum(0)
    num_tokens, weight_total = count_R.sum().clamp_min(1), weight_R.sum().clamp_min(_DELTA)
    num_zero = ((weights_BT == 0) & (bin_BT > 0)).sum()
    stats = {"rest/zero_weight_share": float(num_zero / num_tokens)}
    columns = {
        "token_share": count_R / num_tokens,
        "weight_share": weight_R / weight_total,
        "weight": weight_R / count_R,
    }
    if entropy_BR is not None:
        columns["entropy"] = entropy_BR.sum(0) / count_R
    present_R = (count_R > 0).tolist()
    for name, value_R in columns.items():
        for region, value in zip(Region, value_R.tolist(), strict=True):
            if present_R[region] or name.endswith("_share"):
                stats[f"rest/{name}/{region.name.lower()}"] = value
    return stats


def _checked(
    regions: Tensor | np.ndarray, entropy: Tensor | np.ndarray | None, config: ReSTConfig
) -> tuple[Tensor, Tensor | None]:
    """Both inputs as tensors on one device, of the same (B, T) shape."""
    entropy_BT = None if entropy is None else torch.as_tensor(entropy)
    region_BT = torch.as_tensor(regions, device=None if entropy_BT is None else entropy_BT.device)
    if region_BT.ndim != 2 or region_BT.is_floating_point():
        raise ValueError(
            f"regions must be integers of shape (B, T), got {region_BT.dtype} of shape "
            f"{tuple(region_BT.shape)}"
        )
    if region_BT.numel() and not -1 <= region_BT.min() <= region_BT.max() < NUM_REGIONS:
        raise ValueError(
            f"regions must lie in -1 (masked) to {NUM_REGIONS - 1}, got "
            f"{int(region_BT.min())} to {int(region_BT.max())}"
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


def _entropy_sums(entropy_BT: Tensor, bin_BT: Tensor) -> Tensor:
    sum_BR = _sum_by_region(entropy_BT, bin_BT)
    if not sum_BR.isfinite().all():
        row, token = ((bin_BT > 0) & ~entropy_BT.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"entropy of row {row}, token {token} is {float(entropy_BT[row, token])}: the old "
            "policy's logits are broken there; mask the token or find the cause"
        )
    return sum_BR


def _per_row(name: str, value: PerRow | None, region_BT: Tensor) -> float | Tensor | None:
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


def _clock(
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


def _progress_stat(progress: float | Tensor, count_BR: Tensor) -> dict[str, float]:
    """Mean progress over the rows with labelled tokens: verl's padding rows have none."""
    if isinstance(progress, Tensor):
        rows = progress[count_BR.sum(1) > 0]
        if not len(rows):
            return {}
        # Around the first, so that the mean of equal numbers is that number.
        progress = float(rows[0] + (rows - rows[0]).mean())
    return {"rest/progress": progress}
