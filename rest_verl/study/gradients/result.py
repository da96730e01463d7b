"""What was measured, with its figures, as one plain value: JSON, tables and pictures draw on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.regions import Region
from rest_verl.study.gradients.best_weights import BestWeights, best_weights
from rest_verl.study.gradients.figures import Figures, Quadratic
from rest_verl.study.gradients.intervals import Ratio
from rest_verl.study.gradients.measure import Measured
from rest_verl.study.gradients.weightings import Weighting

# Shape letters: C columns.

REGIONS = tuple(region.name.lower() for region in Region)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One weighting."""

    name: str
    progress: float | None
    label: str
    weights: list[float | None]
    """Mean over each region's tokens, in the order of `REGIONS`; None: absent."""
    figures: Figures
    predicted_variance: float | None
    """By Theorem 1 with equal Jacobians, over uniform's."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything that is reported."""

    rows: list[Row]
    """`uniform` first."""
    best: BestWeights
    token_share: list[float]
    entropy: list[float | None]
    score_norm: list[float | None]
    score_bound: list[float | None]
    signal_share: list[Ratio]
    """Of uniform's, by region; they add up to 1."""
    noise_share: list[Ratio]
    num_prompts: int
    num_responses: int
    num_without_gradient: int
    mean_reward: float
    batch_prompts: int
    sketch_size: int
    facts: dict[str, Any]
    """What the command was given: model, source, parameters, seed."""

    @property
    def sketch_error(self) -> float:
        """One standard deviation of a squared length, as a share of it: at most √(2 / D)."""
        return math.sqrt(2 / self.sketch_size)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        best = self.best
        return {
            **self.facts,
            "num_prompts": self.num_prompts,
            "num_responses": self.num_responses,
            "num_prompts_without_gradient": self.num_without_gradient,
            "mean_reward": self.mean_reward,
            "batch_prompts": self.batch_prompts,
            "sketch": {"size": self.sketch_size, "error": self.sketch_error},
            "regions": {
                region: {
                    "token_share": self.token_share[place],
                    "entropy": self.entropy[place],
                    "score_norm": self.score_norm[place],
                    "score_norm_bound": self.score_bound[place],
                    "signal_share": self.signal_share[place].as_dict(),
                    "noise_share": self.noise_share[place].as_dict(),
                }
                for place, region in enumerate(REGIONS)
            },
            "weightings": [
                {
                    "name": row.name,
                    "progress": row.progress,
                    "weights": dict(zip(REGIONS, row.weights, strict=True)),
                    "predicted_variance": row.predicted_variance,
                    **{name: ratio.as_dict() for name, ratio in vars(row.figures).items()},
                }
                for row in self.rows
            ],
            "best_weights": {
                "weights": dict(zip(REGIONS, best.weights, strict=True)),
                "halves": [dict(zip(REGIONS, half, strict=True)) for half in best.halves],
                "bounds": [best.low, best.high],
                "gain_on_other_prompts": best.gain.as_dict(),
            },
        }


def result_of(
    measured: Measured,
    found: Sequence[Weighting],
    *,
    batch_prompts: int,
    sketch_size: int,
    seed: int,
    facts: dict[str, Any],
) -> Result:
    """The figures of a finished measurement.

    Raises:
        ValueError: no prompt has a gradient.
    """
    if measured.num_without_gradient == measured.num_prompts:
        raise ValueError(
            f"the responses to each of the {measured.num_prompts} prompts have equal rewards, so "
            "there is no gradient to measure; take other prompts, more responses to each, or a "
            "policy that is sometimes right"
        )
    moments, theory = measured.moments, measured.theory
    one_hot_CC = np.eye(moments.num_columns)
    quadratic = Quadratic(moments.replicates(), one_hot_CC[0], batch_prompts)
    rows = [
        Row(
            name=one.name,
            progress=one.progress,
            label=one.label,
            weights=weights,
            figures=quadratic.figures(one_hot_CC[place]),
            predicted_variance=predicted,
        )
        for place, (one, weights, predicted) in enumerate(
            zip(found, theory.weights(), theory.predicted_variance(), strict=True)
        )
    ]
    shares = [quadratic.shares(column_C) for column_C in one_hot_CC[len(found) :]]
    bounds = ReSTConfig()
    return Result(
        rows=rows,
        best=best_weights(
            moments,
            np.array(theory.token_share()),
            batch_prompts=batch_prompts,
            low=bounds.w_min,
            high=bounds.w_max,
            seed=seed,
        ),
        token_share=theory.token_share(),
        entropy=theory.entropy(),
        score_norm=theory.score_norm(),
        score_bound=theory.bound(),
        signal_share=[signal for signal, _ in shares],
        noise_share=[noise for _, noise in shares],
        num_prompts=measured.num_prompts,
        num_responses=measured.num_responses,
        num_without_gradient=measured.num_without_gradient,
        mean_reward=measured.reward_sum / measured.num_responses,
        batch_prompts=batch_prompts,
        sketch_size=sketch_size,
        facts=facts,
    )
