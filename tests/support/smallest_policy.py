"""The smallest policy that a cell of the study can train, and a task of two steps."""

from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from recipes.evidence.desk import make_requests
from recipes.tiny_cpu.model import train_tokenizer

SETTINGS = {
    "rewards": ["toolrl", "toolrl_scheduled"],
    "arms": ["uniform", "paper"],
    "seeds": [0, 1],
    "steps": 2,
    "evaluate_every": 2,
    "held_out": 4,
    "prompts_per_step": 2,
    "responses_per_prompt": 2,
    "mini_batches": 1,
    "temperature": 1.0,
    "learning_rate": 1e-3,
}


def save_model(folder: Path) -> None:
    requests = make_requests(20, "test")
    tokenizer = train_tokenizer(request.answer for request in requests)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
