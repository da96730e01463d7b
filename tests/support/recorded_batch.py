"""A recorded batch of tool-call responses: two prompts, four responses each, one of them padding.

Texts, ids, masks and regions are real; log-probabilities and entropies are drawn once from a fixed
seed, around values that a policy has in each region, so that every clip and clamp is met.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from toy_tokenizers import byte_level

from rest_verl.algorithm.advantage import rest_advantage
from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import ReSTConfig, token_weights

# Shape letters: B responses, T response tokens.

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>")
PROMPTS = ["What is the weather in Zürich?", "Book a table for two, then tell me."]
# Each response: what the policy sampled, and (marked False) what a tool returned.
RESPONSES = [
    [
        (True, "<think>I need the weather.</think>\n<tool_call>\n"),
        (True, '{"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}\n'),
        (True, "</tool_call><|im_end|>"),
    ],
    [
        (True, '<think>Two calls.</think><tool_call>{"name": "f", "parameters": {"x": [1, 2]}}\n'),
        (True, '{"name": "get_weather", "arguments": {}}</tool_call><|im_end|>'),
        (False, '{"temperature": 21}'),
        (True, "<response>It is 21 degrees.</response><|im_end|>"),
    ],
    [(True, "The weather is fine, I guess.<|im_end|>")],  # no structure at all
    [(True, "<think>I should call the tool. Its name is")],  # truncated
    [
        (True, '<tool_call>{"name": "book", "arguments": {"people": 2, "at": "19:00"}}'),
        (True, "</tool_call><|im_end|>"),
        (False, "booked"),
        (True, "<response>Done: a table for two.</response><|im_end|>"),
    ],
    [(True, '<think>Call.</think><tool_call>{"name": "book", "arguments": {"peo')],  # cut in a call
    [(True, "<response>Which day?</response><|im_end|>")],
    [(False, "<pad>")],  # verl's padding row
]
REWARDS = [3.5, 2.0, -2.0, -3.0, 4.0, -1.0, 0.5, 0.0]
ENTROPY = {-1: 0.7, 0: 0.05, 1: 0.4, 2: 0.6, 3: 1.5, 4: 1.1}  # nats, about what each region has


@dataclass(frozen=True, kw_only=True)
class RecordedBatch:
    """Rows of unequal length: each field holds B tensors, (T,) but for the prompts."""

    prompts: list[Tensor]
    responses: list[Tensor]
    masks: list[Tensor]
    regions: list[Tensor]
    entropies: list[Tensor]
    old_log_probs: list[Tensor]
    log_probs: list[Tensor]
    """The policy's after some updates: ratios lie on both sides of every clip."""
    ref_log_probs: list[Tensor]
    advantages: list[Tensor]

    def weights(self, preset: str) -> list[Tensor]:
        """Token weights of a preset in the middle of training, float32."""
        region_BT = torch.nn.utils.rnn.pad_sequence(
            self.regions, batch_first=True, padding_value=-1
        )
        entropy_BT = torch.nn.utils.rnn.pad_sequence(self.entropies, batch_first=True)
        config = ReSTConfig.preset(preset)
        weights_BT, _ = token_weights(region_BT, entropy_BT, 0.4, config=config, step=60)
        return [row[: len(mask)] for row, mask in zip(weights_BT, self.masks, strict=True)]


def recorded_batch() -> RecordedBatch:
    """The batch, the same at every call; log-probabilities, entropies and advantages in float64."""
    tokenizer = byte_level(TAGS)
    labeler = RegionLabeler(tokenizer)
    generator = torch.Generator().manual_seed(1)

    def noise(like: Tensor, scale: float) -> Tensor:
        return scale * torch.randn(len(like), generator=generator, dtype=torch.float64)

    rows: dict[str, list[Tensor]] = {name: [] for name in RecordedBatch.__annotations__}
    for i, parts in enumerate(RESPONSES):
        encoded = [(sampled, tokenizer.encode(text)) for sampled, text in parts]
        ids = [id_ for _, part in encoded for id_ in part]
        mask = torch.tensor([sampled for sampled, part in encoded for _ in part])
        region = torch.as_tensor(labeler.label(np.array(ids), mask.numpy()))
        base = torch.tensor([ENTROPY[label] for label in region.tolist()], dtype=torch.float64)
        entropy = base * noise(base, 0.3).exp()
        old = -entropy * noise(base, 0.5).exp()
        rows["prompts"].append(torch.tensor(tokenizer.encode(PROMPTS[i // 4])))
        rows["responses"].append(torch.tensor(ids))
        rows["masks"].append(mask)
        rows["regions"].append(region)
        rows["entropies"].append(entropy)
        rows["old_log_probs"].append(old)
        # a fifth of the tokens moves far: beyond both clips, and beyond the dual clip
        far = torch.rand(len(ids), generator=generator) < 0.2
        rows["log_probs"].append((old + noise(old, 0.2) + far * noise(old, 3.0)).clamp(max=-1e-3))
        rows["ref_log_probs"].append(old + noise(old, 0.1))
    groups = [i // 4 for i in range(len(RESPONSES))]
    advantages, _ = rest_advantage(
        torch.tensor(REWARDS, dtype=torch.float64), torch.ones(len(groups), 1), groups
    )
    rows["advantages"] = [
        advantage * mask for advantage, mask in zip(advantages, rows["masks"], strict=True)
    ]
    return RecordedBatch(**rows)
