"""Which training step a sample belongs to, and how stale it is, from verl's tags."""

from typing import Any

import numpy as np


def sample_steps(tags: list[dict[str, Any]], current: int) -> np.ndarray:
    """The training step that each sample belongs to by the policy that sampled it, (B,).

    verl numbers the weights by the step that made them, and the weights of step s - 1 sample for
    step s; so it is `min_global_steps` + 1, and in synchronous training the current step. Where
    weights were exchanged during a rollout, the earliest count: no token is then weighted as if a
    later policy had sampled it than the one that did, and it is the staleness that verl calls the
    worst. The step at which the prompt was sent out may be earlier still, since a prompt can wait
    for the sampler while weights are exchanged. The reward's schedule reads that step, which is one
    for the whole group: rewards that are compared with each other are then on one scale. The two
    are equal unless a prompt waited.

    Args:
        tags: B tags of verl's samples.
        current: The current training step; no sample is of a later one.

    Raises:
        ValueError: A sample does not say which weights sampled it.
    """
    versions = [tag.get("min_global_steps") for tag in tags]
    if None in versions:
        raise ValueError(
            "a sample lacks min_global_steps, the number of the weights that sampled it: an agent "
            "loop must pass the extra_fields of the server's TokenOutput on in its own output"
        )
    return np.minimum(current, np.array(versions, dtype=np.int64) + 1)


def staleness_metrics(staleness: np.ndarray, tags: list[dict[str, Any]]) -> dict[str, float]:
    """`rest/staleness/{mean,max}`: steps between sampling policy and current one, real rows only.

    verl logs the same per step as `training/off_policy/trajectory_staleness_worst`.
    """
    real = staleness[[not tag.get("is_padding", False) for tag in tags]]
    if not len(real):
        return {}
    return {"rest/staleness/mean": float(real.mean()), "rest/staleness/max": float(real.max())}
