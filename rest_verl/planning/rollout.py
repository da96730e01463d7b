"""The rollout engine's memory, and how many sequences it can hold at once."""

import math
from dataclasses import dataclass

from rest_verl.planning.gpus import GIB
from rest_verl.planning.settings import Settings
from rest_verl.planning.shapes import ModelShape

CONTEXT = 0.5
"""Assumed GiB of a process' CUDA context."""
ENGINE_BASE = 0.5
"""Assumed GiB that the engine takes inside its share: NCCL, attention workspaces."""
CUDA_GRAPHS = 1.0
"""Assumed GiB of captured CUDA graphs, outside the engine's share; they stay while it sleeps."""
SAMPLER_COPIES = 4
"""fp32 copies of a step's logits in sampling (logits, sorted, probabilities, log-probabilities)."""


def graph_memory(settings: Settings) -> float:
    """GiB of CUDA graphs."""
    return CUDA_GRAPHS if settings.cuda_graphs else 0.0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One GPU's part of a rollout engine."""

    share: float
    """GiB that gpu_memory_utilization gives it."""
    weights: float
    """GiB."""
    work: float
    """GiB of activations and sampling."""
    kv_cache: float
    """GiB left for keys and values: negative where the weights alone do not fit."""
    kv_bytes_per_token: float
    kv_tokens: int
    """Tokens that the engine (all its GPUs) can hold."""
    full_sequences: int
    """Sequences of full length it can hold at once; max_num_seqs at most."""

    @property
    def holds_one(self) -> bool:
        """Does one sequence of full length fit?"""
        return self.full_sequences >= 1


def engine(settings: Settings, shape: ModelShape, gpu_memory: float) -> Engine:
    """What vLLM does with its share: weights, a profiled forward pass, the rest for the cache."""
    tensor, pipeline = settings.tensor_parallel, settings.pipeline_parallel
    # A key/value head is not split: more ranks than heads hold copies.
    kv_heads = math.ceil(shape.kv_heads / tensor)
    per_layer = 2 * kv_heads * shape.head_dim * settings.kv_bytes
    kv_bytes_per_token = per_layer * math.ceil(shape.layers / pipeline)

    share = settings.utilization * gpu_memory
    adapters = shape.lora_parameters(settings.lora_rank) if settings.lora_rank else 0
    weights = (shape.parameters + adapters) * settings.rollout_bytes / settings.replica_gpus / GIB
    widest = 3 * shape.intermediate / tensor + 4 * shape.hidden
    forward = settings.max_batched_tokens * widest * settings.rollout_bytes
    sampling = SAMPLER_COPIES * 4 * settings.max_sequences * shape.vocab
    work = ENGINE_BASE + (forward + sampling) / GIB
    kv_cache = share - weights - work
    kv_tokens = max(0, int(kv_cache * GIB / kv_bytes_per_token))
    return Engine(
        share=share,
        weights=weights,
        work=work,
        kv_cache=kv_cache,
        kv_bytes_per_token=kv_bytes_per_token,
        kv_tokens=kv_tokens,
        full_sequences=min(settings.max_sequences, kv_tokens // settings.sequence_length),
    )
