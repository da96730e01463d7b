"""Samples with vLLM's engine: many requests at a time, each with a seed of its own.

The engine batches whatever is in flight, so rows of all categories and the steps of all
conversations share it; several GPUs are vLLM's own tensor and data parallelism.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from rest_verl.integration.cores import free_cores, num_cores
from rest_verl.integration.engine_lifetime import own_engines

IN_FLIGHT = 1024
"""Rows under way at a time: more than vLLM runs at once, so that its batches are full."""

Job = TypeVar("Job")

_ENVIRONMENT = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would inherit locks of this one's threads
    "VLLM_LOGGING_LEVEL": "WARNING",  # the progress bar stays readable
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How answers are sampled. Raises `ValueError` for a value out of range."""

    samples: int = 1
    """Answers for each row."""
    temperature: float = 0.0
    """0: the likeliest token always (BFCL's own setting is 0.001)."""
    seed: int = 0
    """Decides, with row, sample and step, the seed of each request."""
    max_tokens: int = 4096
    """Tokens of one assistant message (BFCL's limit for local models)."""
    max_model_len: int | None = None
    """Tokens of a conversation; None: as many as the model takes."""
    tensor_parallel_size: int = 1
    """GPUs that share each layer."""
    data_parallel_size: int = 1
    """Copies of the model that share the rows."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the chat template, such as `enable_thinking`."""

    def __post_init__(self) -> None:
        counts = ("samples", "max_tokens", "tensor_parallel_size", "data_parallel_size")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.max_model_len is not None and self.max_model_len < 1:
            raise ValueError(f"max_model_len must be above 0, got {self.max_model_len}")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be 0 or above, got {self.temperature}")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"{self.samples} samples at temperature 0 would all be the same; raise the "
                "temperature or take one sample"
            )


class Sampled(NamedTuple):
    """One assistant message as sampled."""

    token_ids: list[int]
    """With the token that ended it."""
    is_ended: bool
    """False if it was cut off."""


class Engine(Protocol):
    """What samples."""

    max_length: int
    """Tokens of prompt and answer together."""

    async def sample(self, token_ids: list[int], *, max_tokens: int, seed: int) -> Sampled:
        """The answer to a prompt, of at most `max_tokens`."""


def request_seed(seed: int, row_id: str, sample: int, step: int) -> int:
    """A seed that depends on nothing but these, so that it is the same after an interruption."""
    digest = hashlib.sha256(f"{seed}/{row_id}/{sample}/{step}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


@contextlib.asynccontextmanager
async def vllm_engine(
    model: Path, options: GenerationOptions, *, on_cpu: bool, end_ids: Iterable[int]
) -> AsyncIterator[Engine]:
    """vLLM with the model of a Hugging Face folder, in processes of its own.

    Args:
        on_cpu: run in float32, without compiling; else in the model's own dtype.
        end_ids: tokens that end a message, beside those that the model's own files name.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if on_cpu and free_cores() == num_cores():
        # vLLM leaves a core to its scheduler, and on a machine with two it samples on one alone.
        os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
    own_engines()
    from vllm import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    settings: dict[str, Any] = {
        "model": str(model),
        "seed": options.seed,
        "tensor_parallel_size": options.tensor_parallel_size,
        "data_parallel_size": options.data_parallel_size,
        "disable_log_stats": True,
    }
    if on_cpu:
        # bfloat16 and compiling cost more than they save; the share is of the machine's memory.
        settings |= {"dtype": "float32", "enforce_eager": True, "gpu_memory_utilization": 0.3}
        if options.temperature > 0:
            # After a part of a prompt vLLM turns the request's generator back, which a CPU's cannot
            # do: the engine would end. So prompts are taken whole.
            settings["enable_chunked_prefill"] = False
    if options.max_model_len is not None:
        settings["max_model_len"] = options.max_model_len
    llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**settings))
    try:
        yield _VllmEngine(llm, options.temperature, sorted(end_ids))
    finally:
        llm.shutdown()


class _VllmEngine:
    def __init__(self, llm: Any, temperature: float, end_ids: list[int]) -> None:
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        self._llm = llm
        self._numbers = itertools.count()
        self.max_length: int = llm.model_config.max_model_len
        self._make_params = SamplingParams
        self._common: dict[str, Any] = {
            "temperature": temperature,
            "stop_token_ids": end_ids,
            "detokenize": False,
            "output_kind": RequestOutputKind.FINAL_ONLY,
        }

    async def sample(self, token_ids: list[int], *, max_tokens: int, seed: int) -> Sampled:
        params = self._make_params(max_tokens=max_tokens, seed=seed, **self._common)
        prompt = {"prompt_token_ids": token_ids}
        request_id = str(next(self._numbers))
        (answer,) = [
            output.outputs[0] async for output in self._llm.generate(prompt, params, request_id)
        ]
        return Sampled(list(answer.token_ids), answer.finish_reason == "stop")


async def run_all(
    jobs: Iterable[Job], run: Callable[[Job], Awaitable[None]], in_flight: int = IN_FLIGHT
) -> None:
    """Runs the jobs, at most `in_flight` at a time; the first error ends them all."""
    remaining = iter(jobs)

    async def work() -> None:
        for job in remaining:  # shared: each job goes to one worker
            await run(job)

    workers = [asyncio.ensure_future(work()) for _ in range(in_flight)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
