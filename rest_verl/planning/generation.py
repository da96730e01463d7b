"""GPU memory of the phases in which the rollout engine is awake, beside the trainer or alone."""

from rest_verl.planning.gpus import GIB
from rest_verl.planning.memory import COLLECTIVES, resident_trainer
from rest_verl.planning.parts import PhaseMemory
from rest_verl.planning.rollout import CONTEXT, Engine, graph_memory
from rest_verl.planning.settings import Settings
from rest_verl.planning.shapes import ModelShape


def _engine_parts(settings: Settings, engine: Engine) -> dict[str, float]:
    return {
        "engine_weights": engine.weights,
        "kv_cache": max(0.0, engine.kv_cache),
        "engine_work": engine.work + graph_memory(settings),
    }


def rollout_memory(settings: Settings, shape: ModelShape, engine: Engine) -> PhaseMemory:
    """Generation on a training GPU, beside what the trainer leaves there."""
    parameters, optimizer = resident_trainer(settings, shape)
    return PhaseMemory(
        moment="generation",
        parameters=parameters,
        optimizer=optimizer,
        overhead=2 * CONTEXT + COLLECTIVES,
        **_engine_parts(settings, engine),
    )


def standalone_memory(settings: Settings, engine: Engine) -> PhaseMemory:
    """Generation on a GPU of its own."""
    parts = _engine_parts(settings, engine)
    parts["engine_work"] += settings.bucket_megabytes / 1024  # new weights arrive while it runs
    return PhaseMemory(moment="generation", overhead=CONTEXT, **parts)


def weight_sync_memory(settings: Settings, shape: ModelShape, engine: Engine) -> PhaseMemory:
    """New weights into the engine on the same GPU, bucket by bucket; the cache is not there yet."""
    _, optimizer = resident_trainer(settings, shape)
    # FSDP2 stages offloaded tensors one by one; FSDP1 and LoRA bring the whole shard back.
    staged = settings.fsdp2 and not settings.lora_rank and not settings.keeps_parameters
    stored = shape.parameters * settings.master_bytes / settings.shards / GIB
    largest = shape.vocab_parameters * settings.master_bytes / GIB
    kept = 0.0 if settings.frees_cache else max(0.0, engine.kv_cache)
    return PhaseMemory(
        moment="transfer",
        parameters=0.0 if staged else stored,
        optimizer=optimizer,
        gathered=largest,
        engine_weights=engine.weights,
        kv_cache=kept,
        engine_work=settings.bucket_megabytes / 1024 + graph_memory(settings),
        overhead=2 * CONTEXT + COLLECTIVES,
    )
