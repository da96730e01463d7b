"""Log-probabilities and entropies of given responses under a causal language model, in plain torch.

Shape letters: B responses, T response tokens, S prompt + response tokens, K kept positions,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def response_log_probs(
    model: Any, prompts: Sequence[Sequence[int]], token_ids_BT: Tensor, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """What the policy thought of each response token.

    Args:
        model: A causal language model of transformers.
        prompts: B prompts, at least one token each.
        token_ids_BT: Responses, right-padded with any id; what stands at padding means nothing.
        temperature: Divides the logits, as sampling did.

    Returns:
        Log-probabilities, with gradient, and entropies (nats), without; float32, (B, T).
    """
    device = model.device
    num_tokens = token_ids_BT.shape[1]
    length_B = torch.tensor([len(prompt) for prompt in prompts], device=device)
    # Responses follow their prompts at once and padding comes last, where a causal model's real
    # tokens never see it: no attention mask, and the fast kernels that go without one.
    ids_BS = torch.zeros(
        len(prompts), int(length_B.max()) + num_tokens, dtype=torch.long, device=device
    )
    for row, prompt in enumerate(prompts):
        ids_BS[row, : len(prompt)] = torch.as_tensor(prompt, device=device)
        ids_BS[row, len(prompt) : len(prompt) + num_tokens] = token_ids_BT[row]

    first = int(length_B.min()) - 1  # a token's prediction stands at the one before it
    kept = ids_BS.shape[1] - first
    logits_BKV = model(input_ids=ids_BS, use_cache=False, logits_to_keep=kept).logits
    place_BT = (length_B - 1 - first)[:, None] + torch.arange(num_tokens, device=device)
    logits_BTV = logits_BKV.take_along_dim(place_BT[..., None], dim=1).float() / temperature
    return chosen_log_prob(logits_BTV, token_ids_BT.to(device)), entropy(logits_BTV)


def chosen_log_prob(logits: Tensor, token_ids: Tensor) -> Tensor:
    """Log-probability of each id: (…, V) and (…) -> (…)."""
    return logits.take_along_dim(token_ids[..., None], dim=-1)[..., 0] - logits.logsumexp(-1)


@torch.no_grad()
def entropy(logits: Tensor) -> Tensor:
    """Entropy (nats) of the distributions that logits (…, V) stand for, (…)."""
    return logits.logsumexp(-1) - (logits.softmax(-1) * logits).sum(-1)
