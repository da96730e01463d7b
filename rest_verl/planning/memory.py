"""GPU memory of the trainer's phases: what is resident, and the worst moment on top of it.

A hybrid engine's phases take turns on the same GPUs (the engine sleeps while the actor trains), so
a run fits where the largest of them does; they are alternatives, not a sum.
"""

from dataclasses import dataclass

from rest_verl.planning.activations import layer_activations, micro_batch_tokens
from rest_verl.planning.gpus import GIB
from rest_verl.planning.head import FP32, inference_head, training_head
from rest_verl.planning.parts import PhaseMemory
from rest_verl.planning.rollout import CONTEXT, graph_memory
from rest_verl.planning.settings import MicroBatch, Settings
from rest_verl.planning.shapes import ModelShape

FRAGMENTATION = 0.05
"""Assumed share of what comes and goes that the allocator reserves beyond it."""
COLLECTIVES = 0.5
"""Assumed GiB of NCCL's buffers and cuBLAS' workspaces in the trainer."""
PREFETCHED_LAYERS = 2
"""FSDP gathers the next layer while one computes."""


def trained_parameters(settings: Settings, shape: ModelShape) -> int:
    """Parameters with a gradient and optimiser state."""
    return shape.lora_parameters(settings.lora_rank) if settings.lora_rank else shape.parameters


def stored_parameters(settings: Settings, shape: ModelShape) -> int:
    """Parameters of the actor, adapters included."""
    adapters = shape.lora_parameters(settings.lora_rank) if settings.lora_rank else 0
    return shape.parameters + adapters


def _root_gathered(settings: Settings, shape: ModelShape) -> int:
    """Parameters of the unit outside the layers that is whole on every GPU."""
    # verl's FSDP2 wraps an untied embedding and output layer each on its own.
    return shape.vocab_parameters if settings.fsdp2 else shape.root_parameters


@dataclass(frozen=True, kw_only=True)
class _Trainer:
    """Bytes that several phases share."""

    parameters: float
    gradients: float
    optimizer: float
    gathered: float


def _trainer(settings: Settings, shape: ModelShape) -> _Trainer:
    shard = settings.master_bytes / settings.shards
    trained = trained_parameters(settings, shape)
    layers = shape.layers if settings.gathers_all else min(PREFETCHED_LAYERS, shape.layers)
    gathered = _root_gathered(settings, shape) + layers * shape.layer_parameters
    on_gpu = 0 if settings.cpu_policy else 1
    return _Trainer(
        parameters=on_gpu * stored_parameters(settings, shape) * shard,
        gradients=on_gpu * trained * shard,
        optimizer=on_gpu * 2 * trained * shard,
        gathered=gathered * settings.compute_bytes,
    )


def _sleeping_engine(settings: Settings, gpu_memory: float) -> float:
    """GiB that the engine keeps on a training GPU while it does not generate."""
    if not settings.hybrid:
        return 0.0
    held = 0.0 if settings.frees_cache else settings.utilization * gpu_memory
    return CONTEXT + graph_memory(settings) + held


def _phase(
    settings: Settings,
    gpu_memory: float,
    moment: str,
    resident: dict[str, float],
    passing: dict[str, float],
) -> PhaseMemory:
    """A trainer's phase from its parts in bytes; what is passing fragments the allocator."""
    parts = {name: value / GIB for name, value in (resident | passing).items()}
    overhead = CONTEXT + COLLECTIVES + _sleeping_engine(settings, gpu_memory)
    overhead += FRAGMENTATION * sum(passing.values()) / GIB
    return PhaseMemory(moment=moment, overhead=overhead, **parts)


def update_memory(settings: Settings, shape: ModelShape, gpu_memory: float) -> PhaseMemory:
    """The actor's update, at the largest of four moments.

    They are the output layer's backward pass, a decoder layer's, the reduction of the vocabulary
    matrices' gradients, and the optimiser's step. verl brings offloaded parameters and optimiser
    state back for the whole update: offloading them does not lower this peak.
    """
    trainer = _trainer(settings, shape)
    compute = settings.compute_bytes
    tokens = micro_batch_tokens(settings, settings.update, settings.mini_batch)
    a_layer = layer_activations(shape, compute) * tokens
    # One layer's backward pass holds the gradients of the MLP's two factors and their product.
    in_flight = (3 * shape.intermediate + 2 * shape.hidden) * compute * tokens
    stream = compute * shape.hidden * tokens
    if settings.checkpointing:
        kept, layer = shape.layers * stream, a_layer + in_flight
    else:
        kept, layer = shape.layers * a_layer, in_flight
    if settings.activation_offload:
        kept = min(kept, PREFETCHED_LAYERS * kept / shape.layers)
    kept += (FP32 + 2 * compute) * shape.hidden * tokens  # the last norm
    logits = training_head(settings, tokens, shape.vocab)

    full = not settings.lora_rank
    vocab_gradient = shape.vocab_parameters * compute if full else 0
    # A unit's gradient and the fp32 copy that is reduced; FSDP1 first joins its pieces.
    reduced = (compute if settings.fsdp2 else 2 * compute) + FP32
    a_layer_reduced = (shape.layer_parameters if full else 0) * reduced
    root_reduced = (_root_gathered(settings, shape) if full else 0) * reduced
    deferred = 0.0
    if settings.defers_gradients:  # FSDP2 accumulates in the reduction's type
        deferred = trained_parameters(settings, shape) * (FP32 if settings.fsdp2 else compute)
    # FSDP1's flat parameters take AdamW's multi-tensor form, with a root of the second moment.
    step = 0.0 if settings.fsdp2 else trainer.optimizer / 2

    gathered = trainer.gathered + deferred
    moments: dict[str, dict[str, float]] = {
        "logits": {
            # The fused kernel holds the gradient's sum and a chunk's.
            "gathered": gathered + vocab_gradient * (2 if settings.fused_kernels else 1),
            "activations": kept,
            "logits": logits,
        },
        "layer": {
            "gathered": gathered + vocab_gradient + a_layer_reduced,
            "activations": kept + layer,
        },
        "vocabulary gradients": {"gathered": gathered + root_reduced, "activations": 2 * stream},
        "optimiser step": {"optimizer": step},
    }
    moment = max(moments, key=lambda name: sum(moments[name].values()))
    passing = dict(moments[moment])
    resident = {
        "parameters": trainer.parameters,
        "gradients": trainer.gradients,
        "optimizer": trainer.optimizer + passing.pop("optimizer", 0.0),
    }
    return _phase(settings, gpu_memory, moment, resident, passing)


def _inference_memory(
    settings: Settings,
    shape: ModelShape,
    gpu_memory: float,
    cut: MicroBatch,
    *,
    parameters: float,
    entropy: bool,
) -> PhaseMemory:
    trainer = _trainer(settings, shape)
    tokens = micro_batch_tokens(settings, cut, settings.train_batch)
    compute = settings.compute_bytes
    layer = (3 * shape.intermediate + 4 * shape.hidden) * compute * tokens
    head = inference_head(settings, tokens, shape.vocab, entropy=entropy)
    head += compute * shape.hidden * tokens
    passing = {"gathered": trainer.gathered}
    passing |= {"logits": head} if head > layer else {"activations": layer}
    resident = {
        "parameters": parameters,
        "optimizer": trainer.optimizer if settings.keeps_optimizer else 0.0,
    }
    moment = "logits" if head > layer else "layer"
    return _phase(settings, gpu_memory, moment, resident, passing)


def log_prob_memory(settings: Settings, shape: ModelShape, gpu_memory: float) -> PhaseMemory:
    """The old policy's log-probabilities and entropy (verl computes both)."""
    return _inference_memory(
        settings,
        shape,
        gpu_memory,
        settings.log_prob,
        parameters=_trainer(settings, shape).parameters,
        entropy=True,
    )


def reference_memory(
    settings: Settings, shape: ModelShape, gpu_memory: float
) -> PhaseMemory | None:
    """The reference model's log-probabilities; None without a KL term.

    verl's FSDP keeps the reference's parameters in host memory and gathers them layer by layer;
    with LoRA the reference is the actor without its adapter.
    """
    if settings.reference is None:
        return None
    keeps = settings.keeps_parameters or bool(settings.lora_rank)
    return _inference_memory(
        settings,
        shape,
        gpu_memory,
        settings.reference,
        parameters=_trainer(settings, shape).parameters if keeps else 0.0,
        entropy=False,
    )


def host_memory(settings: Settings, shape: ModelShape) -> float:
    """GiB of host memory, over all nodes, of what is offloaded, and of the reference model."""
    trained = trained_parameters(settings, shape)
    # One copy for each group of shards.
    copies = settings.training_gpus / settings.shards * settings.master_bytes
    held = 0.0
    if settings.param_offload or settings.cpu_policy:
        held += stored_parameters(settings, shape)
    if settings.optimizer_offload or settings.cpu_policy:
        held += 2 * trained
    if settings.cpu_policy:
        held += trained
    if settings.reference is not None and not settings.lora_rank:
        held += shape.parameters
    engines = 0
    if settings.lora_rank and settings.hybrid and settings.frees_cache:
        # A sleeping engine keeps its base weights: only the adapters are sent to it.
        engines = settings.training_gpus // settings.replica_gpus
    return (held * copies + engines * shape.parameters * settings.rollout_bytes) / GIB


def resident_trainer(settings: Settings, shape: ModelShape) -> tuple[float, float]:
    """GiB of parameters and of optimiser state on a training GPU while the engine generates."""
    trainer = _trainer(settings, shape)
    return (
        trainer.parameters / GIB if settings.keeps_parameters else 0.0,
        trainer.optimizer / GIB if settings.keeps_optimizer else 0.0,
    )
