"""A decoding loop for groups of responses, for studies that fit into one process.

Each prompt is read once for its whole group, rows that have ended leave the batch, and what ResT
needs of the old policy (log-probabilities, entropies) falls out of the sampling itself.

Shape letters: P prompts, G responses per group, B = P·G responses, T response tokens, S prompt
tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from rest_verl.study.policy import chosen_log_prob, entropy

_KEEP_SHARE = 0.75  # of the rows; where fewer are left, ended ones leave the batch


@dataclass(frozen=True)
class Responses:
    """B sampled responses, those of one prompt next to each other, right-padded to the longest."""

    token_ids: Tensor
    """(B, T), the end of turn included where it was sampled."""
    mask: Tensor
    """bool, (B, T); True where a token was sampled."""
    log_prob: Tensor
    """Under the policy that sampled, at its temperature, float32, (B, T)."""
    entropy: Tensor
    """Of that policy's predictions (nats), float32, (B, T)."""

    def ids(self) -> list[list[int]]:
        """The sampled ids of each response."""
        pairs = zip(self.token_ids.tolist(), self.mask.sum(-1).tolist(), strict=True)
        return [row[:length] for row, length in pairs]


@torch.no_grad()
def sample_responses(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    num_samples: int,
    max_tokens: int,
    temperature: float,
    end_ids: Collection[int],
    pad_id: int,
    generator: torch.Generator | None = None,
) -> Responses:
    """Samples `num_samples` responses to each prompt, all of them side by side.

    Args:
        model: A causal language model of transformers.
        prompts: P prompts as ids, at least one token each.
        num_samples: Responses per prompt, G.
        max_tokens: A response is cut off after this many.
        temperature: Divides the logits; 0: the likeliest token, with log-probabilities and
            entropies at temperature 1.
        end_ids: Ids that end a response.
        pad_id: Fills what stands before short prompts and after short responses.
        generator: On the model's device; the same state, the same responses.
    """
    device = model.device
    cache, mask_BS, logits_BV = _read_prompts(model, prompts, num_samples, pad_id)
    num_rows = len(prompts) * num_samples
    ids_BT = torch.full((num_rows, max_tokens), pad_id, device=device)
    log_prob_BT = torch.zeros(num_rows, max_tokens, device=device)
    entropy_BT = torch.zeros(num_rows, max_tokens, device=device)
    length_B = torch.zeros(num_rows, dtype=torch.long, device=device)
    ends = torch.tensor(sorted(end_ids), device=device)
    row_A = torch.arange(num_rows, device=device)  # A: the rows still in the batch
    is_open_A = torch.ones(num_rows, dtype=torch.bool, device=device)

    for step in range(max_tokens):
        logits_AV = logits_BV.float() / (temperature or 1.0)
        id_A = (
            torch.multinomial(logits_AV.softmax(-1), 1, generator=generator)[:, 0]
            if temperature
            else logits_AV.argmax(-1)
        )
        open_rows = row_A[is_open_A]
        ids_BT[open_rows, step] = id_A[is_open_A]
        log_prob_BT[open_rows, step] = chosen_log_prob(logits_AV, id_A)[is_open_A]
        entropy_BT[open_rows, step] = entropy(logits_AV)[is_open_A]
        length_B[open_rows] += 1
        is_open_A &= ~torch.isin(id_A, ends)
        num_open = int(is_open_A.sum())
        if not num_open or step == max_tokens - 1:
            break
        if num_open < _KEEP_SHARE * len(row_A):
            kept = is_open_A.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            row_A, id_A, mask_BS = row_A[kept], id_A[kept], mask_BS[kept]
            is_open_A = is_open_A[kept]
        mask_BS = torch.cat([mask_BS, mask_BS.new_ones(len(mask_BS), 1)], dim=-1)
        logits_BV = _next_logits(model, cache, id_A[:, None], mask_BS)

    longest = int(length_B.max())
    mask_BT = torch.arange(longest, device=device) < length_B[:, None]
    return Responses(
        ids_BT[:, :longest], mask_BT, log_prob_BT[:, :longest], entropy_BT[:, :longest]
    )


def _read_prompts(
    model: Any, prompts: Sequence[Sequence[int]], num_samples: int, pad_id: int
) -> tuple[DynamicCache, Tensor, Tensor]:
    """Cache, attention mask (B, S) and next logits (B, V) after the left-padded prompts."""
    longest = max(map(len, prompts))
    ids_PS = torch.tensor([[pad_id] * (longest - len(p)) + list(p) for p in prompts])
    mask_PS = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    cache = DynamicCache(config=model.config)
    mask_PS = mask_PS.to(model.device)
    logits_PV = _next_logits(model, cache, ids_PS.to(model.device), mask_PS)
    cache.batch_repeat_interleave(num_samples)
    return (
        cache,
        mask_PS.repeat_interleave(num_samples, 0),
        logits_PV.repeat_interleave(num_samples, 0),
    )


def _next_logits(model: Any, cache: DynamicCache, ids: Tensor, mask_BS: Tensor) -> Tensor:
    """Logits after the last of `ids`, which the cache takes in."""
    position_BS = (mask_BS.cumsum(-1) - 1).clamp_min(0)[:, -ids.shape[1] :]
    output = model(
        input_ids=ids,
        attention_mask=mask_BS,
        position_ids=position_BS,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1]
