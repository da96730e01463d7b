"""Supervised training of the tiny model on the warm-start tasks, in plain torch.

Stopped early on purpose: most answers have the format by then and some the right name, so that
ResT has something to win and a signal to win it from.
"""

import random
import re
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from recipes.tiny_cpu.data import Task

NUM_STEPS = 320
BATCH_SIZE = 16
LEARNING_RATE = 2e-3
RAMP_STEPS = 10
PROMPT_WEIGHT = 0.2  # of a prompt token's loss; reading prompts helps copying from them
RENAME_SHARE = 0.3


def warm_start(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, tasks: list[Task], seed: int
) -> None:
    """Trains `model` in place for NUM_STEPS batches of `tasks`; the same seed, the same model."""
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.02
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / RAMP_STEPS, max(0.1, 1 - step / NUM_STEPS))
    )
    batches = _batches(tokenizer, tasks, rng)
    model.train()
    progress = tqdm(range(NUM_STEPS), "warm start", unit="batch", disable=None)
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


def _batches(
    tokenizer: PreTrainedTokenizerFast, tasks: list[Task], rng: random.Random
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless epochs of right-padded (ids, loss weights), rows of like length together.

    Right padding needs no attention mask: a causal model's real tokens never see it.
    """
    words = sorted({w for task in tasks for w in re.findall(r"[A-Za-z]{3,}", _tools(task))})
    while True:
        rows = []
        for task in tasks:
            messages, answer = task.messages, task.answer
            if rng.random() < RENAME_SHARE:
                messages, answer = _renamed(task, words, rng)
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
            answer_ids = [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]
            rows.append((prompt["input_ids"], answer_ids))
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        batches = [rows[i : i + BATCH_SIZE] for i in range(0, len(rows), BATCH_SIZE)]
        rng.shuffle(batches)
        for batch in batches:
            length = max(len(prompt) + len(answer) for prompt, answer in batch)
            ids = torch.full((len(batch), length), tokenizer.pad_token_id)
            weight = torch.zeros(len(batch), length)
            for i, (prompt, answer) in enumerate(batch):
                ids[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
                weight[i, : len(prompt)] = PROMPT_WEIGHT
                weight[i, len(prompt) : len(prompt) + len(answer)] = 1.0
            yield ids, weight


def _tools(task: Task) -> str:
    return task.messages[0]["content"]


def _renamed(task: Task, words: list[str], rng: random.Random) -> tuple[list[dict[str, str]], str]:
    """The task with invented tool names in a new order: names to be copied, not remembered."""
    names = [function["name"] for function in task.row.functions]
    invented = {name: "_".join(rng.choices(words, k=rng.randint(1, 3))) for name in names}
    head, *signatures = _tools(task).split("\n")
    signatures = [
        invented[name] + signature.removeprefix(name)
        for name, signature in zip(names, signatures, strict=True)
    ]
    rng.shuffle(signatures)
    answer = task.answer
    for name, new_name in invented.items():
        answer = answer.replace(f'"{name}"', f'"{new_name}"')
    system = {"role": "system", "content": "\n".join([head, *signatures])}
    return [system, *task.messages[1:]], answer
