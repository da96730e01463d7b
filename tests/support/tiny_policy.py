"""A policy of two layers and its tokenizer, for tests that go through verl's real engine."""

from pathlib import Path

import torch
from recorded_batch import TAGS
from toy_tokenizers import byte_level
from transformers import Qwen3Config, Qwen3ForCausalLM


def save_policy(folder: Path) -> None:
    """Writes a Qwen3 with random weights, always the same."""
    tokenizer = byte_level(TAGS)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.2,  # so that the policy is far from uniform
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
