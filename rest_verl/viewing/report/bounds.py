"""Says where region weights stand at their bounds, from the logged entropies and shares."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.scaling import base_weights
from rest_verl.viewing.palette import REGION_NAMES
from rest_verl.viewing.report.change import LEAST_STEPS, Remark, edge, span
from rest_verl.viewing.report.metrics import Record

AT_BOUND_STEPS = 0.8
"""Of the last steps; less often than that, a bound is touched in passing."""


def weights_at_bounds(
    records: Sequence[Record], options: Mapping[str, Any] | None = None
) -> list[Remark]:
    """Regions whose weight, before the curriculum, is w_min or w_max on most of the last steps.

    Logged weights are normalised by row, so this redoes the batch's scaling from the logged
    entropies and token shares (docs/method.md, section 3.2).

    Args:
        records: The run's steps.
        options: Its `algorithm.rest`, or the preset alone; None: the preset `paper` is assumed.
    """
    try:
        config = ReSTConfig.from_options(options or {})
    except ValueError:
        return []
    if config.scope != "batch" or not config.needs_entropy or not _has_spread(records):
        return []
    steps: list[int] = []
    bounds: list[dict[str, str]] = []
    for record in records:
        parts = {
            region: (record[f"rest/entropy/{region}"], record[f"rest/token_share/{region}"])
            for region in REGION_NAMES
            if f"rest/entropy/{region}" in record and f"rest/token_share/{region}" in record
        }
        if parts:
            steps.append(int(record["step"]))
            bounds.append(_bounds_touched(parts, config))
    if len(bounds) < LEAST_STEPS:
        return []
    size = edge(len(bounds))
    last = bounds[-size:]
    touched = {
        where: [
            region.upper()
            for region in REGION_NAMES
            if sum(bound.get(region) == where for bound in last) >= AT_BOUND_STEPS * len(last)
        ]
        for where in ("w_max", "w_min")
    }
    regions = touched["w_max"] + touched["w_min"]
    if len(regions) < 2:  # one region at a bound is what a bound is for
        return []
    where_text = "; ".join(
        f"{', '.join(names)} at {where}" for where, names in touched.items() if names
    )
    assumed = "" if options else ", taking the preset paper's bounds"
    return [
        Remark(
            title="Weights at their bounds",
            seen=f"Before the curriculum, in {span(steps[-size:])}: {where_text}"
            f"{assumed}. Entropies within one bound no longer make a difference.",
            look_at="Region entropies: where they differ by more than the bounds allow, widen "
            "algorithm.rest.w_min and w_max, or set algorithm.rest.scale=calibrated, which lets "
            "the bounds cost less.",
        )
    ]


def _has_spread(records: Sequence[Record]) -> bool:
    """Whether weights differ at all: with plain GRPO they are 1."""
    return any(
        abs(record[name] - 1) > 1e-3
        for record in records
        for region in REGION_NAMES
        if (name := f"rest/weight/{region}") in record
    )


def _bounds_touched(parts: dict[str, tuple[float, float]], config: ReSTConfig) -> dict[str, str]:
    """Region to the bound that its weight is clipped to, from (entropy, token share) by region."""
    entropy, share = torch.tensor(list(parts.values()), dtype=torch.float64).T
    weights = base_weights(entropy, share, config).tolist()
    bounds = {config.w_min: "w_min", config.w_max: "w_max"}
    return {
        region: bounds[weight]
        for region, weight in zip(parts, weights, strict=True)
        if weight in bounds and getattr(config, f"gamma_{region}") is None
    }
