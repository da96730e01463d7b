"""The reward's parts in the log; verl logs none of them."""

from typing import Any

import numpy as np


def reward_metrics(
    scores: list[float], extra_fields: list[dict[str, Any]], is_padding: list[bool]
) -> dict[str, float]:
    """`reward/<part>/mean` over the real rows, for the score and every numeric part of the reward.

    Args:
        scores: B rewards.
        extra_fields: B dicts of verl's agent loop (or none); the parts are in "reward_extra_info".
        is_padding: B marks of synthetic rows, which are left out.
    """
    rows = [i for i, padding in enumerate(is_padding) if not padding]
    if not rows:
        return {}
    metrics = {"reward/total/mean": float(np.mean([scores[i] for i in rows]))}
    infos = [extra_fields[i].get("reward_extra_info") or {} for i in rows] if extra_fields else []
    for part in sorted({key for info in infos for key in info} - {"score"}):
        values = [info[part] for info in infos if isinstance(info.get(part), int | float)]
        if values:
            metrics[f"reward/{part}/mean"] = float(np.mean(values))
    return metrics
