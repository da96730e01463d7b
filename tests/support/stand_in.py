"""A stand-in for vLLM: answers that depend on prompt and seed alone, done in any order."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from templates import Model, get_model

from rest_verl.evaluation.generation import Sampled

Answer = Callable[[str, int], str]
"""(prompt as text, seed) -> the model's next message."""


class StandIn:
    """An `Engine` of a tokenizer's model."""

    def __init__(
        self, model: Model, answer: Answer, *, max_length: int = 1 << 20, delay: float = 0.0
    ) -> None:
        self.tokenizer = model.tokenizer
        self.answer = answer
        self.max_length = max_length
        self.delay = delay
        self.prompts: list[list[int]] = []
        self.sampled: list[list[int]] = []
        self.seeds: list[int] = []

    async def sample(self, token_ids: list[int], *, max_tokens: int, seed: int) -> Sampled:
        await asyncio.sleep(random.random() * self.delay)
        text = self.answer(self.tokenizer.decode(token_ids), seed)
        ids = [*self.tokenizer.encode(text, add_special_tokens=False), self.tokenizer.eos_token_id]
        sampled = Sampled(ids[:max_tokens], len(ids) <= max_tokens)
        self.prompts.append(token_ids)
        self.sampled.append(sampled.token_ids)
        self.seeds.append(seed)
        return sampled


def starting(engine: StandIn) -> Any:
    """What takes the place of `vllm_engine`."""

    @asynccontextmanager
    async def start(*_: Any, **__: Any) -> AsyncIterator[StandIn]:
        yield engine

    return start


def save_model(folder: Path, model: Model | None = None) -> Path:
    """A folder that looks like a Hugging Face model, but for its weights."""
    model = model or get_model("qwen3")
    model.tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": model.model_type}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def call_text(name: str, **arguments: Any) -> str:
    """A message with one call."""
    call = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>"
