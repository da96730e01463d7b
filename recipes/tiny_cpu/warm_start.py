"""Supervised training of a small model on example conversations, in plain torch.

Stopped early on purpose: most answers have the format by then and some the right name, so that
ResT has something to win and a signal to win it from.
"""

import random
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from recipes.tiny_cpu.model import TURN_END, TURN_START

LEARNING_RATE = 2e-3  # for a model from scratch
RAMP_STEPS = 10
READ_WEIGHT = 0.2  # of the loss of a token that others wrote; reading them helps copying from them

Conversation = list[dict[str, str]]
"""Chat messages, `{"role", "content"}` each; those of the assistant are learned."""


def warm_start(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    epoch: Callable[[random.Random], list[Conversation]],
    *,
    num_steps: int,
    batch_size: int,
    seed: int,
    learning_rate: float = LEARNING_RATE,
) -> None:
    """Trains `model` in place for `num_steps` batches; the same seed, the same model.

    Args:
        tokenizer: its chat template marks turns as that of `recipes.tiny_cpu.model` does.
        epoch: gives the conversations of one epoch, a new list each time.
    """
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.02
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / RAMP_STEPS, max(0.1, 1 - step / num_steps))
    )
    batches = _batches(tokenizer, epoch, batch_size, rng)
    model.train()
    progress = tqdm(range(num_steps), "warm start", unit="batch", disable=None)
    for _ in progress:
        ids_BS, weight_BS = next(batches)
        logits = model(input_ids=ids_BS).logits[:, :-1]
        loss_N = functional.cross_entropy(
            logits.flatten(0, 1), ids_BS[:, 1:].flatten(), reduction="none"
        )
        weight_N = weight_BS[:, 1:].flatten()
        loss = (loss_N * weight_N).sum() / weight_N.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.2f}")


def encode(
    tokenizer: PreTrainedTokenizerBase, conversation: Conversation
) -> tuple[list[int], list[float]]:
    """The ids that the chat template gives, and each one's loss weight."""
    ids: list[int] = []
    weights: list[float] = []

    def add(text: str, weight: float) -> None:
        new = tokenizer(text)["input_ids"]
        ids.extend(new)
        weights.extend([weight] * len(new))

    # Turn marks are single ids and end at a line, so parts encode as the whole does.
    for message in conversation:
        add(f"{TURN_START}{message['role']}\n", READ_WEIGHT)
        own = message["role"] == "assistant"
        add(message["content"] + TURN_END, 1.0 if own else READ_WEIGHT)
        add("\n", READ_WEIGHT)
    return ids, weights


def _batches(
    tokenizer: PreTrainedTokenizerBase,
    epoch: Callable[[random.Random], list[Conversation]],
    batch_size: int,
    rng: random.Random,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless epochs of right-padded (ids, loss weights), rows of like length together.

    Right padding needs no attention mask: a causal model's real tokens never see it.
    """
    while True:
        rows = sorted((encode(tokenizer, c) for c in epoch(rng)), key=lambda row: len(row[0]))
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        rng.shuffle(batches)
        for batch in batches:
            length = max(len(ids) for ids, _ in batch)
            ids_BS = torch.full((len(batch), length), tokenizer.pad_token_id)
            weight_BS = torch.zeros(len(batch), length)
            for i, (ids, weights) in enumerate(batch):
                ids_BS[i, : len(ids)] = torch.tensor(ids)
                weight_BS[i, : len(ids)] = torch.tensor(weights)
            yield ids_BS, weight_BS
