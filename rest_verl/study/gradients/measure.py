"""The measurement: groups stream by in training batches and leave moments and counts.

A batch's entropies decide its weights, as in training, so its groups are weighted together; then
each is measured by itself and forgotten.

Shape letters: P prompts, B responses of a batch, T response tokens, G responses per group,
K weightings, C columns (the K weightings, then each region by itself).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from rest_verl.algorithm.sums import NUM_REGIONS
from rest_verl.study.gradients.backward import GroupGradients
from rest_verl.study.gradients.groups import Group, padded
from rest_verl.study.gradients.moments import Moments
from rest_verl.study.gradients.theory import Theory
from rest_verl.study.gradients.weightings import Weighting, stacked_weights


@dataclass(kw_only=True)
class Measured:
    """What a sample of prompts leaves behind; its size does not depend on theirs."""

    moments: Moments
    theory: Theory
    num_prompts: int = 0
    num_responses: int = 0
    num_without_gradient: int = 0
    """Prompts whose responses all have the same reward: zero gradient, and part of the mean."""
    reward_sum: float = 0.0


def batch_sizes(num_prompts: int, batch_prompts: int) -> list[int]:
    """Training batches of nearly equal size, none above `batch_prompts`."""
    num_batches = -(-num_prompts // batch_prompts)
    return [len(part) for part in np.array_split(np.arange(num_prompts), num_batches)]


def measure(
    groups: Iterator[Group],
    gradients: GroupGradients,
    found: Sequence[Weighting],
    *,
    num_prompts: int,
    batch_prompts: int,
    total_steps: int,
    sketch_size: int,
) -> Iterator[Measured]:
    """Measures group by group; yields the same growing result after each, for a progress bar.

    Args:
        groups: `num_prompts` of them.
        gradients: Of the policy.
        found: The weightings, `uniform` first.
        num_prompts: P, at least `LEAST_PROMPTS`.
        batch_prompts: Prompts whose entropies and weights are worked out together.
        total_steps: What progress 1 is in steps.
        sketch_size: Numbers of a sketch.

    Raises:
        ValueError: too few prompts, or what a group's source raises.
    """
    by_region = [one.by_region for one in found]
    measured = Measured(
        moments=Moments(num_prompts, len(found) + NUM_REGIONS, sketch_size),
        theory=Theory(len(found)),
    )
    for size in batch_sizes(num_prompts, batch_prompts):
        batch = list(islice(groups, size))
        responses = [response for group in batch for response in group.responses]
        region_BT = padded([response.region for response in responses], -1)
        entropy_BT = padded([response.entropy for response in responses], 0.0)
        weights_KBT = stacked_weights(found, region_BT, entropy_BT, total_steps)
        group_sizes = [len(group.responses) for group in batch]
        measured.theory.add(
            region_BT,
            entropy_BT,
            padded([response.score_norm for response in responses], 0.0),
            torch.cat([group.advantages() for group in batch]),
            weights_KBT,
            torch.tensor(group_sizes).repeat_interleave(torch.tensor(group_sizes)),
        )
        for group, weights_KGT in zip(batch, weights_KBT.split(group_sizes, 1), strict=True):
            measured.moments.add(gradients(group, weights_KGT, by_region))
            measured.num_prompts += 1
            measured.num_responses += len(group.responses)
            measured.num_without_gradient += not group.has_gradient
            measured.reward_sum += sum(response.reward for response in group.responses)
            yield measured
