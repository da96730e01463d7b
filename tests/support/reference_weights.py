"""Token weights by the method's text, one token at a time in plain Python: slow, and not our code.

Nothing here calls `rest_verl`'s weighting: factors are found by bisection, sums are `math.fsum`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

FORMAT, NAME, ARGS, THINK, TEXT = range(5)
GAMMAS = ("gamma_format", "gamma_name", "gamma_args", "gamma_think", "gamma_text")
Rows = Sequence[Sequence[float]]


def reference_weights(
    regions: Sequence[Sequence[int]], entropies: Rows, progress: float, step: float, config
) -> list[list[float]]:
    """Weights of every token, before they are shuffled; -1 in `regions` is a masked token."""
    base = _base_weights(regions, entropies, config)
    clock = step if config.clock == "step" else progress

    def row_at(row: int, moment: float) -> list[float]:
        return [
            0.0 if region < 0 else _moved(weight, region, moment, config)
            for region, weight in zip(regions[row], base[row], strict=True)
        ]

    result = []
    for row, labels in enumerate(regions):
        sampled = [region >= 0 for region in labels]
        weights = _normalised(row_at(row, clock), sampled, [None] * len(labels), config)
        if config.constant_name == "after":
            start = _normalised(row_at(row, 0.0), sampled, [None] * len(labels), config)
            held = [
                weight if region == NAME else None
                for region, weight in zip(labels, start, strict=True)
            ]
            weights = _normalised(row_at(row, clock), sampled, held, config)
        result.append(weights)
    return result


def _base_weights(regions, entropies, config) -> list[list[float]]:
    """Step 1 and 2: what one weight is shared by, its mean entropy, the rule, scale and bounds."""

    def cell_of(row: int, token: int):
        region = regions[row][token]
        return {"batch": region, "sequence": (row, region), "token": (row, token)}[config.scope]

    places = [
        (row, token)
        for row, labels in enumerate(regions)
        for token, region in enumerate(labels)
        if region >= 0
    ]
    members: dict = {}
    for place in places:
        members.setdefault(cell_of(*place), []).append(place)
    entropy = {
        cell: math.fsum(entropies[row][token] for row, token in tokens) / len(tokens)
        for cell, tokens in members.items()
    }
    count = {cell: len(tokens) for cell, tokens in members.items()}
    scaled = dict(count)
    if config.scale == "calibrated" and config.scope != "token":
        for cell, ((row, token), *_) in members.items():
            if getattr(config, GAMMAS[regions[row][token]]) is not None:
                scaled[cell] = 0
    weight = _bounded(_by_rule(entropy, count, config), scaled, config)
    base = [[0.0] * len(labels) for labels in regions]
    for row, token in places:
        gamma = getattr(config, GAMMAS[regions[row][token]])
        base[row][token] = weight[cell_of(row, token)] if gamma is None else gamma
    return base


def _by_rule(entropy: dict, count: dict, config) -> dict:
    if config.entropy_rule == "top":
        ordered = sorted(entropy.values(), reverse=True)
        least = ordered[: math.ceil(config.top_share * len(ordered) - 1e-9)][-1:]
        return {cell: float(value >= least[0]) for cell, value in entropy.items()}
    floored = {cell: max(value, config.entropy_floor) for cell, value in entropy.items()}
    if config.entropy_rule == "inverse":
        return {cell: 1 / value for cell, value in floored.items()}
    return {cell: 1 / (1 - math.exp(-value)) for cell, value in floored.items()}


def _bounded(weight: dict, count: dict, config) -> dict:
    def clipped(scale: float) -> dict:
        return {
            cell: min(max(scale * value, config.w_min), config.w_max) if value else 0.0
            for cell, value in weight.items()
        }

    def total(values: dict) -> float:
        return math.fsum(count[cell] * value for cell, value in values.items())

    num_tokens = sum(count.values())
    if not num_tokens or config.scale == "none":
        return clipped(1.0)
    if config.scale == "mean":
        return clipped(num_tokens / total(weight))
    return clipped(_root(lambda scale: total(clipped(scale)) - num_tokens))


def _moved(weight: float, region: int, moment: float, config) -> float:
    """Step 3, the curriculum."""
    cap_args = config.w_max if config.cap_args is None else config.cap_args
    cap_think = config.w_max if config.cap_think is None else config.cap_think
    if weight == 0 or region == NAME:
        return weight
    if region == FORMAT:
        return max(config.w_min, weight - config.alpha_format * moment)
    if region == ARGS:
        return min(cap_args, weight + config.alpha_args * moment)
    return min(cap_think, weight + config.alpha_think * moment)


def _normalised(weights, sampled, held, config) -> list[float]:
    """Step 4: mean 1 under the ceiling, around what is held."""
    counted = [
        weight > 0 or (config.normalise_over == "sampled" and is_sampled)
        for weight, is_sampled in zip(weights, sampled, strict=True)
    ]
    mass = sum(counted) - math.fsum(value for value in held if value is not None)
    free = [weight if value is None else 0.0 for weight, value in zip(weights, held, strict=True)]
    most = config.w_cap * sum(weight > 0 for weight in free)
    if mass < most:
        scale = _root(
            lambda scale: math.fsum(min(config.w_cap, scale * weight) for weight in free) - mass
        )
        reached = [min(config.w_cap, scale * weight) for weight in free]
    else:
        reached = [config.w_cap if weight > 0 else 0.0 for weight in free]
    return [found if value is None else value for found, value in zip(reached, held, strict=True)]


def _root(function: Callable[[float], float]) -> float:
    """Where a rising function is 0, to the last bits."""
    low, high = 0.0, 1.0
    while function(high) < 0:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return high
