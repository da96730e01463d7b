"""A tiny policy that is right about every other time: its groups have a gradient to measure."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from recorded_batch import TAGS
from toy_tokenizers import byte_level
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}: {% endif %}"
)


def answer(days: int, thought: str = "a") -> str:
    return (
        f'<think> {thought} </think>\n<tool_call>\n{{"name": "f", "parameters": '
        f'{{"days": {days}}}}}\n</tool_call>'
    )


def tokenizer() -> PreTrainedTokenizerFast:
    made = byte_level(TAGS)
    made.chat_template = TEMPLATE
    return made


def new_model(num_ids: int, seed: int = 0) -> Qwen3ForCausalLM:
    """A Qwen3 of some thousand parameters."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=num_ids,
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=12,
        max_position_embeddings=160,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    return Qwen3ForCausalLM(config).eval()


def save_policy(folder: Path, num_steps: int = 150) -> None:
    """Trains one on answers that are right or wrong by chance, and saves it."""
    made = tokenizer()
    model = new_model(len(made))
    end = made.eos_token
    texts = [
        f"Days in {place}?: {answer(days, thought)}{end}"
        for place in ("Oslo", "Rome")
        for days in (1, 2)
        for thought in ("a", "go")
    ]
    batch = made(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(num_steps):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.generation_config.eos_token_id = made.eos_token_id
    model.save_pretrained(folder)
    made.save_pretrained(folder)


def write_rows(path: Path, num_rows: int = 16) -> None:
    """Rows of verl's, whose right answer is 1."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Days in {('Oslo', 'Rome')[row % 2]}?"}],
            "reward_model": {"style": "rule", "ground_truth": answer(1)},
            "extra_info": {"id": f"row_{row}", "syntax": "toolrl"},
        }
        for row in range(num_rows)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_dump(path: Path, num_groups: int = 12, group_size: int = 4) -> None:
    """Rollouts as verl's JSON lines hold them, with rewards."""
    lines = [
        {
            "input": f"Days in place {group}?: ",
            "output": answer(sample % 3, "ab"[group % 2]),
            "score": float(sample == group % group_size),
            "uid": f"g{group}_{sample}_0",
            "step": 3,
        }
        for group in range(num_groups)
        for sample in range(group_size)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
