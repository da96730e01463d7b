"""Which settings to change first where a run does not fit, tried against the same estimate."""

import math
from collections.abc import Iterator
from dataclasses import replace

from rest_verl.planning.gpus import GIB, Gpu
from rest_verl.planning.phases import run_phases
from rest_verl.planning.settings import MicroBatch, Settings
from rest_verl.planning.shapes import ModelShape

MODEL, ACTOR = "actor_rollout_ref.model", "actor_rollout_ref.actor"
ROLLOUT, REFERENCE = "actor_rollout_ref.rollout", "actor_rollout_ref.ref"

UTILIZATIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Change = tuple[dict[str, object], Settings]
"""What to set in verl's configuration, and the settings after it."""


def _excess(settings: Settings, shape: ModelShape, gpu: Gpu) -> float:
    """GiB by which the phases do not fit, summed; 0 where all fits."""
    phases, engine = run_phases(settings, shape, gpu)
    excess = sum(max(0.0, phase.total - gpu.memory) for phase in phases.named.values())
    if not engine.holds_one:
        lacking = settings.sequence_length * engine.kv_bytes_per_token / GIB
        excess += lacking - min(lacking / 2, engine.kv_cache)
    return excess


def _halved(cut: MicroBatch, settings: Settings) -> MicroBatch:
    """Half of it, as long as the longest sequence still fits; itself where it is that small."""
    least = math.ceil(settings.sequence_length / settings.sequence_parallel)
    tokens = min(cut.tokens, max(least, cut.tokens // 2))
    return replace(cut, tokens=tokens, rows=min(cut.rows, max(1, cut.rows // 2)))


def _smaller_micro_batch(settings: Settings) -> Change:
    smaller = replace(
        settings,
        update=_halved(settings.update, settings),
        log_prob=_halved(settings.log_prob, settings),
        reference=settings.reference and _halved(settings.reference, settings),
    )
    if smaller.update.dynamic:  # by verl's defaults the other budgets follow this one
        return {f"{ACTOR}.ppo_max_token_len_per_gpu": smaller.update.tokens}, smaller
    named = {
        f"{ACTOR}.ppo_micro_batch_size_per_gpu": smaller.update,
        f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": smaller.log_prob,
        f"{REFERENCE}.log_prob_micro_batch_size_per_gpu": smaller.reference,
    }
    return {name: cut.rows for name, cut in named.items() if cut is not None}, smaller


def _candidates(settings: Settings) -> Iterator[Change]:
    """Single changes; of equal ones the first is preferred."""
    fsdp = f"{ACTOR}.fsdp_config"
    if settings.lora_rank:  # the base is frozen: it needs no fp32 copy
        yield {f"{fsdp}.model_dtype": "bf16"}, replace(settings, master_bytes=2)
    yield {f"{MODEL}.use_fused_kernels": True}, replace(settings, fused_kernels=True)
    yield {f"{fsdp}.optimizer_offload": True}, replace(settings, optimizer_offload=True)
    yield {f"{fsdp}.param_offload": True}, replace(settings, param_offload=True)
    yield {f"{MODEL}.enable_gradient_checkpointing": True}, replace(settings, checkpointing=True)
    yield _smaller_micro_batch(settings)
    for share in sorted(UTILIZATIONS, key=lambda share: abs(share - settings.utilization)):
        yield {f"{ROLLOUT}.gpu_memory_utilization": share}, replace(settings, utilization=share)
    gpus = settings.standalone_gpus or settings.training_gpus
    wider = settings.tensor_parallel * 2
    if gpus % (wider * settings.pipeline_parallel) == 0:
        name = f"{ROLLOUT}.tensor_model_parallel_size"
        yield {name: wider}, replace(settings, tensor_parallel=wider)


def _search(settings: Settings, shape: ModelShape, gpu: Gpu) -> dict[str, object] | None:
    """Changes until the run fits, at each round the one that helps most; None where none helps."""
    chosen: dict[str, object] = {}
    excess = _excess(settings, shape, gpu)
    while excess > 0:
        tried = [
            (_excess(changed, shape, gpu), i, change, changed)
            for i, (change, changed) in enumerate(_candidates(settings))
        ]
        best, _, change, settings = min(tried, key=lambda item: item[:2])
        if best >= excess:
            return None
        excess = best
        chosen |= change
    return chosen


def first_changes(settings: Settings, shape: ModelShape, gpu: Gpu) -> tuple[str, ...]:
    """Overrides with which the run fits, the most helpful first; empty where none were found.

    Parameters and optimiser state in host memory for good (FSDP2's offload_policy) slow the update
    most, so they come in only where nothing else is enough.
    """
    found = _search(settings, shape, gpu)
    if found is None:
        found = _search(replace(settings, fsdp2=True, cpu_policy=True), shape, gpu)
        if found is None:
            return ()
        host = {f"{ACTOR}.strategy": "fsdp2", f"{ACTOR}.fsdp_config.offload_policy": True}
        found = host | found
    return tuple(f"{name}={value}" for name, value in found.items())
