"""How sure the policy is of what steers a conversation, and how far sampler and trainer are apart.

All of the tokens as they were sampled, whatever rollout correction rejects of them later.
"""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torch import Tensor

from rest_verl.algorithm.control import control_statistics
from rest_verl.integration.labelling import Labels
from rest_verl.integration.rollout_metrics import MOST_TURNS

# Shape letters: B responses, T response tokens of the longest, N sampled tokens, K turns.

LOG_PROBS = ("old_log_probs", "rollout_log_probs")


def policy_metrics(labels: Labels, turn_BT: Tensor, data: TensorDict) -> dict[str, float]:
    """`rest/control/{probability,entropy}/<control>` and `rest/turn/log_prob_gap/<turn>`.

    Args:
        labels: Of the tokens as sampled.
        turn_BT: The turn, from 0, that each token lies in, or -1.
        data: Jagged `entropy` of the old policy, its `old_log_probs`, and, where verl was asked
            for them, the sampler's own `rollout_log_probs`; what is missing is left out.
    """
    columns = {
        name: data[name].to_padded_tensor(0.0) for name in ("entropy", *LOG_PROBS) if name in data
    }
    measures = {"entropy": columns["entropy"]} if "entropy" in columns else {}
    if "old_log_probs" in columns:
        measures["probability"] = columns["old_log_probs"].exp()
    metrics = control_statistics(labels.controls, measures)
    if all(name in columns for name in LOG_PROBS):
        is_sampled_BT = torch.from_numpy(labels.regions >= 0) & (turn_BT >= 0)
        gap_N = (columns["old_log_probs"] - columns["rollout_log_probs"])[is_sampled_BT].abs()
        turn_N = turn_BT[is_sampled_BT]
        counts_K = torch.bincount(turn_N)[:MOST_TURNS].tolist()
        sums_K = torch.bincount(turn_N, weights=gap_N.double())[:MOST_TURNS].tolist()
        metrics |= {
            f"rest/turn/log_prob_gap/{turn}": total / count
            for turn, (total, count) in enumerate(zip(sums_K, counts_K, strict=True), start=1)
            if count
        }
    return metrics
