"""Does the sampler still sample from the policy that is trained?"""

from collections.abc import Mapping
from typing import Any

import transfer_queue as tq
from verl import DataProto
from verl.utils.debug.metrics import calculate_debug_metrics

CORRELATION = "training/rollout_actor_probs_pearson_corr"
FRESH_CORRELATION = f"{CORRELATION}/fresh"
LEAST_CORRELATION = 0.9
"""Rounding alone leaves it above 0.99; a sampler that missed a weight update falls far below."""


def check_fresh_samples(batch: Any, metrics: dict[str, float], version: int) -> None:
    """`check_sampler` for a batch that earlier weights may have had a part in.

    A sample of earlier weights rightly disagrees with the trainer, whose old policy is the current
    one. The correlation of the fresh samples, if there are any, is added to `metrics` as
    FRESH_CORRELATION.

    Args:
        batch: verl's KVBatchMeta after the old log-probabilities.
        metrics: The step's metrics, of the whole batch.
        version: Number of the weights that are the old policy's.

    Raises:
        RuntimeError: As `check_sampler`.
    """
    fresh = [
        key
        for key, tag in zip(batch.keys, batch.tags, strict=True)
        if tag["min_global_steps"] == tag["max_global_steps"] == version
    ]
    if not fresh or CORRELATION not in metrics:
        return
    of_fresh = metrics
    if len(fresh) < len(batch.keys):
        data = tq.kv_batch_get(
            keys=fresh,
            partition_id=batch.partition_id,
            select_fields=["responses", "response_mask", "old_log_probs", "rollout_log_probs"],
        )
        of_fresh = calculate_debug_metrics(DataProto(batch=data.to_padded_tensor()))
    metrics[FRESH_CORRELATION] = of_fresh[CORRELATION]
    check_sampler(of_fresh)


def check_sampler(metrics: Mapping[str, float]) -> None:
    """Compares the sampler's token probabilities with the trainer's, as verl measured them.

    Args:
        metrics: A step's metrics. verl puts CORRELATION there if
            `actor_rollout_ref.rollout.calculate_log_probs` is on; it is NaN for a batch in which it
            is undefined, which is no disagreement.

    Raises:
        RuntimeError: The correlation is below LEAST_CORRELATION.
    """
    correlation = metrics.get(CORRELATION)
    if correlation is not None and correlation < LEAST_CORRELATION:
        raise RuntimeError(
            f"{CORRELATION} is {correlation:.4f} (below {LEAST_CORRELATION}): vLLM samples from "
            "other weights than those that are trained. On a CPU the usual cause is that vLLM "
            "packed its weights at load, so that verl's updates do not reach it; rest_verl's vLLM "
            "plugin prevents that. Run `rest-verl doctor`, and check that VLLM_PLUGINS is unset or "
            "lists rest_verl and that VERL_PLATFORM=cpu is exported to every process"
        )
