"""Rollouts for the token view's tests, of every kind of fault and hostile to whoever shows them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from toy_tokenizers import byte_level

from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.view import TokenView, build_view

GOOD = (
    "<think> look it up </think>\n<tool_call>\n"
    '{"name": "f", "arguments": {"city": "Zürich"}}\n</tool_call>'
)
HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>&lt;<!--"
    "\x1b]0;title\x07\x1b[31mred\u202eright to left\x00\r\u200b\ufeff"
)
TOKENIZER = byte_level()


def entropy_of(_: Sequence[np.ndarray], token_ids: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Stands in for a model: entropies that depend on the ids."""
    return [(0.1 + row % 7 / 4).astype(np.float32) for row in token_ids]


def rollout(text: str, name: str = "a_0_0", **about: Any) -> Rollout:
    group, session, _ = name.split("_")
    return Rollout(name=name, text=text, group=group, session=session, **about)


SAMPLES = (
    rollout(GOOD, "a_0_0", prompt="Weather?", score=4.0, step=7),
    rollout("<think> and so on", "a_1_0", prompt="Weather?", score=-3.0),
    rollout("<tool_call>\n{}\n</tool_call>", "b_0_0", prompt="Else?", score=1.0),
    rollout(HOSTILE, "b_1_0", prompt=HOSTILE, ground_truth=HOSTILE, score=-1.0),
)


def view_of(preset: str = "paper", progress: float = 0.3) -> TokenView:
    config = ReSTConfig.preset(preset)
    return build_view(
        SAMPLES, TOKENIZER, config, entropy_of=entropy_of, progress=progress, total_steps=105
    )


def padded(view: TokenView, flat: np.ndarray | None, fill: int) -> np.ndarray | None:
    """A view's flat column as (B, T)."""
    if flat is None:
        return None
    lengths = np.diff(view.offset)
    column = np.full((len(lengths), lengths.max()), fill, dtype=flat.dtype)
    for row, length in enumerate(lengths):
        column[row, :length] = flat[slice(*view.offset[row : row + 2])]
    return column


def page_payload(page: str) -> dict[str, Any]:
    """The data block of a page, as its script reads it."""
    block = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert block
    return json.loads(block[1])


def unpacked(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


def save_tiny_model(folder: Path) -> Path:
    """A random causal model with `TOKENIZER`, as transformers saves it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder
