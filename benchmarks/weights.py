"""What each preset makes of region entropies: on a recorded run, and on four profiles.

    python benchmarks/weights.py [--docs docs/method.md]

Replays the region entropies and token shares of a run (`recorded_run.json`) through every preset:
how many base weights stand at a bound, how far weights move from one step to the next, in which
order the regions end. And weights over progress on four profiles of entropies. Prints the tables;
with --docs it puts them between the marks of that page. Needs no GPU and no verl; takes seconds.
Presets without regions (`token`, `top_entropy`) cannot be replayed from region entropies; the
weights of `shuffled` are those of `paper`, on other tokens.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import into_page, write_json
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.presets import PRESETS
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.scaling import base_weights
from rest_verl.algorithm.weighting import EntropyMemory, region_weights
from rest_verl.files.atomic import write_atomically

# Shape letters: R regions, S steps.

RECORDED = Path(__file__).with_name("recorded_run.json")
NAMES = [region.name.lower() for region in Region]
TOKENS = 100_000
"""Of the batch that shares are taken of."""

# Entropies (nats) and token shares of FORMAT, NAME, ARGS, THINK, TEXT.
PROFILES = {
    "free thoughts": ((0.03, 0.3, 0.3, 0.6, 0.6), (0.1, 0.05, 0.1, 0.7, 0.05)),
    "early: all uncertain": ((0.3, 0.8, 0.9, 1.2, 1.5), (0.1, 0.05, 0.15, 0.6, 0.1)),
    "late: calls are certain": ((0.005, 0.02, 0.05, 0.4, 0.3), (0.1, 0.05, 0.1, 0.7, 0.05)),
    "fixed thoughts (the tiny recipe)": (
        (0.02, 0.35, 0.4, 0.01, 0.05),
        (0.3, 0.17, 0.3, 0.2, 0.03),
    ),
}
MOMENTS = (0.0, 0.5, 1.0)
PAPER, CALIBRATED = ReSTConfig.preset("paper"), ReSTConfig.preset("calibrated")
VARIANTS = {
    **{name: ReSTConfig.preset(name) for name in PRESETS},
    "paper, constant_name=after": replace(PAPER, constant_name="after"),
    "paper, entropy_ema=0.9": replace(PAPER, entropy_ema=0.9),
    "calibrated, constant_name=before": replace(CALIBRATED, constant_name="before"),
    "calibrated, entropy_ema=0.9": replace(CALIBRATED, entropy_ema=0.9),
}


class Step(NamedTuple):
    """One batch of a run as a single row: sums by region."""

    number: int
    progress: float
    entropy_1R: Tensor
    count_1R: Tensor


def recorded_steps(path: Path = RECORDED) -> list[Step]:
    """The steps of a recorded run; a region that a batch lacks has no tokens."""
    steps = []
    for record in json.loads(path.read_text(encoding="utf-8"))["steps"]:
        entropies = [record["entropy"].get(name, 0.0) for name in NAMES]
        shares = [record["share"][name] for name in NAMES]
        steps.append(_step(record["step"], record["progress"], entropies, shares))
    return steps


def _step(number: int, progress: float, entropies: Any, shares: Any) -> Step:
    count_1R = torch.tensor([shares], dtype=torch.float64) * TOKENS
    entropy_1R = torch.tensor([entropies], dtype=torch.float64) * count_1R
    return Step(number, progress, entropy_1R, count_1R)


def replay(steps: list[Step], config: ReSTConfig) -> dict[str, Any]:
    """What the weights of a run would have been under `config`."""
    memory = EntropyMemory(share=config.entropy_ema)
    weights = []
    for step in steps:
        clock = step.number if config.clock == "step" else step.progress
        weights.append(region_weights(step.entropy_1R, step.count_1R, clock, config, memory)[0])
    weights_SR = torch.stack(weights)
    present_SR = torch.cat([step.count_1R for step in steps]) > 0
    trains_SR = present_SR & (weights_SR > 0)
    both_SR = trains_SR[1:] & trains_SR[:-1]
    change_SR = weights_SR.diff(dim=0).abs().masked_fill(~both_SR, torch.nan)
    lowest = weights_SR.masked_fill(~trains_SR, torch.inf).argmin(1)
    last = sorted(Region, key=lambda region: -float(weights_SR[-1, region]))
    return {
        "share_at_a_bound": share_at_a_bound(steps, config),
        "mean_change": dict(zip(NAMES, change_SR.nanmean(0).tolist(), strict=True)),
        "name_is_lowest": int((lowest == Region.NAME).sum()),
        "args_below_think": int((weights_SR[:, Region.ARGS] < weights_SR[:, Region.THINK]).sum()),
        "order_at_the_end": [region.name for region in last if weights_SR[-1, region] > 0],
    }


def share_at_a_bound(steps: list[Step], config: ReSTConfig) -> float | None:
    """Of the base weights of the regions that each step has; None where no entropy makes them."""
    if not config.needs_entropy:
        return None
    memory = EntropyMemory(share=config.entropy_ema)
    at_bound, number = 0, 0
    for step in steps:
        mean_R = (step.entropy_1R / step.count_1R.clamp_min(1))[0]
        if config.entropy_ema:
            mean_R = memory.update(mean_R, step.count_1R[0])
        base_R = base_weights(mean_R, step.count_1R[0], config)
        present_R = step.count_1R[0] > 0
        at_bound += int((((base_R == config.w_min) | (base_R == config.w_max)) & present_R).sum())
        number += int(present_R.sum())
    return at_bound / number


def profile_rows() -> Iterator[tuple[str, str, list[Tensor]]]:
    """(profile, preset, weights by region at each moment)."""
    for profile, (entropies, shares) in PROFILES.items():
        for preset in ("paper", "calibrated"):
            config = ReSTConfig.preset(preset)
            step = _step(0, 0.0, entropies, shares)
            yield (
                profile,
                preset,
                [
                    region_weights(step.entropy_1R, step.count_1R, moment, config)[0]
                    for moment in MOMENTS
                ],
            )


def tables(replayed: Mapping[str, Mapping[str, Any]], num_steps: int) -> str:
    """Both tables as Markdown."""
    lines = [
        f"Replayed on the {num_steps} steps of a tiny run (`benchmarks/recorded_run.json`):",
        "",
        "| preset | base weights at a bound | mean change from step to step: FORMAT, NAME, ARGS, "
        "THINK | steps in which NAME is lowest | ARGS below THINK | order at the end |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for name, row in replayed.items():
        share = "–" if row["share_at_a_bound"] is None else f"{row['share_at_a_bound']:.0%}"
        change = ", ".join(
            "–" if math.isnan(moved) else f"{moved:.3f}"
            for moved in (row["mean_change"][part] for part in NAMES[:4])
        )
        lines.append(
            f"| `{name}` | {share} | {change} | {row['name_is_lowest']} | "
            f"{row['args_below_think']} | {' > '.join(row['order_at_the_end'])} |"
        )
    shown = ", ".join(f"{moment:g}" for moment in MOMENTS)
    lines += [
        "",
        f"Weights at progress {shown} for four profiles of region entropies (nats):",
        "",
        "| profile: FORMAT / NAME / ARGS / THINK / TEXT, share of THINK | preset | FORMAT | NAME | "
        "ARGS | THINK | TEXT |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for profile, preset, moments in profile_rows():
        entropies, shares = PROFILES[profile]
        values = " / ".join(f"{entropy:g}" for entropy in entropies)
        cells = " | ".join(
            ", ".join(f"{float(weights[region]):.2f}" for weights in moments) for region in Region
        )
        what = f"{profile}: {values}, {shares[Region.THINK]:.0%}"
        lines.append(f"| {what} | `{preset}` | {cells} |")
    return "\n".join(lines) + "\n"


def measure() -> tuple[dict[str, Any], str]:
    """The results of every variant that can be replayed, and the tables of them."""
    steps = recorded_steps()
    replayed = {
        name: replay(steps, config)
        for name, config in VARIANTS.items()
        if config.scope != "token" and not config.shuffle
    }
    return replayed, tables(replayed, len(steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--docs", type=Path, help="page to put the tables into")
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/benchmarks/weights.json"), help="JSON file"
    )
    options = parser.parse_args()
    replayed, text = measure()
    print(text)
    if options.docs is not None:
        page = options.docs.read_text(encoding="utf-8")
        write_atomically(options.docs, into_page(text, page, "weights.py"))
    write_json(options.output, {"replayed": replayed})
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
