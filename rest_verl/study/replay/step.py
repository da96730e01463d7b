"""A step's numbers, from its batch and the policy's passes, under the names of a run's log.

Shape letters: B responses, T response tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rest_verl.algorithm.advantage import rest_advantage
from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.loss import rest_policy_loss
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import token_weights
from rest_verl.integration.reward_metrics import reward_metrics
from rest_verl.study.recorded import Recorded
from rest_verl.study.replay.batch import Batch

CORRELATION = "training/rollout_actor_probs_pearson_corr"

_GUARD = 1e-8  # verl's, of a response without tokens


def _token_mean(loss_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return loss_BT[mask_BT].sum() / mask_BT.sum().clamp_min(1)


def _token_sum(loss_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return loss_BT[mask_BT].sum()


def _seq_mean_token_sum(loss_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return (loss_BT * mask_BT).sum() / len(mask_BT)


def _seq_mean_token_mean(loss_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return ((loss_BT * mask_BT).sum(-1) / (mask_BT.sum(-1) + _GUARD)).sum() / len(mask_BT)


AGGREGATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "seq-mean-token-mean": _seq_mean_token_mean,
    "token-mean": _token_mean,
    "token-sum": _token_sum,
    "seq-mean-token-sum": _seq_mean_token_sum,
}
"""By verl's names (`loss_agg_mode`), over one batch of all responses."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a step is worked out by."""

    config: ReSTConfig
    progress: Callable[[np.ndarray], Any]
    """From training steps to training progress."""
    memory: EntropyMemory | None
    norm_by_std: bool
    aggregation: str
    """A name of `AGGREGATIONS`."""


@dataclass(frozen=True)
class Step:
    """What a step comes to."""

    metrics: dict[str, float]
    rows: list[dict[str, Any]]
    """One a response."""


@torch.no_grad()
def replay(batch: Batch, log_prob_BT: Tensor, entropy_BT: Tensor, method: Method) -> Step:
    """Labels, weights, advantages and loss at the policy that the passes are of.

    Args:
        batch: The responses.
        log_prob_BT: Log-probabilities under the policy, float32, (B, T).
        entropy_BT: Its entropies (nats), float32, (B, T).
        method: How.

    Raises:
        ValueError: as `token_weights`.
    """
    mask_BT = batch.mask_BT
    steps_B = np.array([row.policy_step for row in batch.rows])
    weights_BT, stats = token_weights(
        batch.region_BT,
        entropy_BT,
        progress=method.progress(steps_B),
        step=steps_B,
        config=method.config,
        memory=method.memory,
    )
    scores_B = torch.tensor([row.score for row in batch.rows], dtype=torch.float32)
    groups = [row.group or row.name for row in batch.rows]
    advantages_BT, _ = rest_advantage(
        scores_B, mask_BT.float(), groups, norm_by_std=method.norm_by_std
    )
    aggregate = AGGREGATIONS[method.aggregation]

    def loss_of(rows: slice) -> float:
        loss, _ = rest_policy_loss(
            log_prob_BT[rows],
            log_prob_BT[rows],
            advantages_BT[rows],
            mask_BT[rows],
            weights=weights_BT[rows],
            aggregate=aggregate,
        )
        return loss.item()

    metrics = {
        **_rewards(batch.rows),
        **_spread("critic/score", scores_B),
        **_spread("critic/advantages", advantages_BT[mask_BT]),
        "actor/pg_loss": loss_of(slice(None)),
        "actor/entropy": aggregate(entropy_BT, mask_BT).item(),
        **stats,
        **_spread("response_length", batch.length_B.float()),
        **_spread("prompt_length", torch.tensor([float(len(p)) for p in batch.prompts])),
        **_agreement(batch, log_prob_BT),
    }
    rows = [
        {
            "name": row.name,
            "group": row.group,
            "score": row.score,
            "advantage": _first(advantages_BT[number][mask_BT[number]]),
            "loss": loss_of(slice(number, number + 1)),
            "tokens": int(mask_BT[number].sum()),
            "log_prob": _mean(log_prob_BT[number][mask_BT[number]]),
            "entropy": _mean(entropy_BT[number][mask_BT[number]]),
            "regions": _regions(batch.region_BT[number], weights_BT[number], entropy_BT[number]),
        }
        for number, row in enumerate(batch.rows)
    ]
    return Step(metrics, rows)


def _rewards(rows: Sequence[Recorded]) -> dict[str, float]:
    scores = [row.score for row in rows if row.score is not None]
    infos = [{"reward_extra_info": row.parts} for row in rows]
    return reward_metrics(scores, infos, [False] * len(rows))


def _spread(name: str, values: Tensor) -> dict[str, float]:
    """As verl has them."""
    if not values.numel():
        return {}
    return {
        f"{name}/mean": values.mean().item(),
        f"{name}/max": values.max().item(),
        f"{name}/min": values.min().item(),
    }


def _agreement(batch: Batch, log_prob_BT: Tensor) -> dict[str, float]:
    """verl's measures of sampler against trainer, where the sampler's log-probabilities are."""
    recorded = [row.sampler_log_prob for row in batch.rows]
    found = [one for one in recorded if one is not None]
    if len(found) < len(recorded) or not batch.mask_BT.any():
        return {}
    theirs = torch.cat([torch.from_numpy(one) for one in found])
    here_BT = torch.arange(batch.mask_BT.shape[1]) < batch.length_B[:, None]
    sampled = batch.mask_BT[here_BT]
    theirs, ours = theirs[sampled].exp(), log_prob_BT[here_BT][sampled].exp()
    difference = (theirs - ours).abs()
    return {
        "training/rollout_probs_diff_mean": difference.mean().item(),
        "training/rollout_probs_diff_max": difference.max().item(),
        CORRELATION: torch.corrcoef(torch.stack([ours, theirs]))[0, 1].item(),
    }


def _regions(region_T: Tensor, weight_T: Tensor, entropy_T: Tensor) -> dict[str, dict[str, float]]:
    """Of each region that the response has: its tokens, mean weight and mean entropy (nats)."""
    found = {}
    for region in Region:
        here_T = region_T == region
        if here_T.any():
            found[region.name.lower()] = {
                "tokens": int(here_T.sum()),
                "weight": weight_T[here_T].mean().item(),
                "entropy": entropy_T[here_T].mean().item(),
            }
    return found


def _first(values: Tensor) -> float | None:
    return values[0].item() if values.numel() else None


def _mean(values: Tensor) -> float | None:
    return values.mean().item() if values.numel() else None
