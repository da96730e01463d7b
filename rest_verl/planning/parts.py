"""What holds GPU memory in one phase of a step, part by part."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class PhaseMemory:
    """GiB on one GPU at a phase's worst moment, by what holds them."""

    moment: str = ""
    """Which moment of the phase it is."""
    parameters: float = 0.0
    """Stored (master) shard."""
    gradients: float = 0.0
    """Stored shard of the accumulated gradients."""
    optimizer: float = 0.0
    """AdamW's two moments, and the step's temporary."""
    gathered: float = 0.0
    """Whole layers and vocabulary matrices in the compute type, and their gradients in flight."""
    activations: float = 0.0
    """Saved for the backward pass, and one layer's own."""
    logits: float = 0.0
    """Logits, log-probabilities and entropy of the micro-batch."""
    engine_weights: float = 0.0
    kv_cache: float = 0.0
    engine_work: float = 0.0
    """The engine's activations, sampler and CUDA graphs; the weight transfer's buffers."""
    overhead: float = 0.0
    """CUDA contexts, communication buffers, fragmentation: assumed, not counted."""

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(getattr(self, name) for name in PARTS)

    @property
    def trainer_allocated(self) -> float:
        """What torch.cuda.max_memory_allocated() of the training process should show."""
        inside = ("parameters", "gradients", "optimizer", "gathered", "activations", "logits")
        return sum(getattr(self, name) for name in inside)


PARTS = tuple(field.name for field in fields(PhaseMemory) if field.name != "moment")
