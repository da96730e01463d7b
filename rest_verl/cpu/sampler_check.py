"""Does the sampler still sample from the policy that is trained?"""

from collections.abc import Mapping

CORRELATION = "training/rollout_actor_probs_pearson_corr"
LEAST_CORRELATION = 0.9
"""Rounding alone leaves it above 0.99; a sampler that missed a weight update falls far below."""


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
