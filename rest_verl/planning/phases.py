"""All phases of a run together, and what of them does not fit."""

from dataclasses import dataclass

from rest_verl.planning.generation import rollout_memory, standalone_memory, weight_sync_memory
from rest_verl.planning.gpus import Gpu
from rest_verl.planning.memory import log_prob_memory, reference_memory, update_memory
from rest_verl.planning.parts import PhaseMemory
from rest_verl.planning.rollout import Engine, engine
from rest_verl.planning.settings import Settings
from rest_verl.planning.shapes import ModelShape


@dataclass(frozen=True, kw_only=True)
class Phases:
    """Memory of one GPU in each phase; None where the run has no such phase."""

    update: PhaseMemory
    log_prob: PhaseMemory
    reference: PhaseMemory | None
    weight_sync: PhaseMemory | None
    rollout: PhaseMemory | None
    """Generation on the training GPUs (hybrid engine)."""
    standalone: PhaseMemory | None
    """Generation on GPUs of its own (separate_async)."""

    @property
    def named(self) -> dict[str, PhaseMemory]:
        """The phases that the run has, by name."""
        every = {
            "update": self.update,
            "log-prob": self.log_prob,
            "reference": self.reference,
            "sync": self.weight_sync,
            "rollout": self.rollout,
            "own pool": self.standalone,
        }
        return {name: phase for name, phase in every.items() if phase is not None}


def run_phases(settings: Settings, shape: ModelShape, gpu: Gpu) -> tuple[Phases, Engine]:
    """The run's phases and its rollout engine."""
    an_engine = engine(settings, shape, gpu.memory)
    hybrid = settings.hybrid
    phases = Phases(
        update=update_memory(settings, shape, gpu.memory),
        log_prob=log_prob_memory(settings, shape, gpu.memory),
        reference=reference_memory(settings, shape, gpu.memory),
        weight_sync=weight_sync_memory(settings, shape, an_engine) if hybrid else None,
        rollout=rollout_memory(settings, shape, an_engine) if hybrid else None,
        standalone=standalone_memory(settings, an_engine) if settings.standalone_gpus else None,
    )
    return phases, an_engine


def problems(settings: Settings, phases: Phases, an_engine: Engine, gpu: Gpu) -> tuple[str, ...]:
    """What does not fit, in words; empty where all does."""
    found = [
        f"{name} needs {phase.total:.1f} of {gpu.memory:.1f} GiB"
        for name, phase in phases.named.items()
        if phase.total > gpu.memory
    ]
    if not an_engine.holds_one:
        found.append(
            f"the KV cache of {max(0.0, an_engine.kv_cache):.1f} GiB holds {an_engine.kv_tokens:,} "
            f"tokens, fewer than one sequence of {settings.sequence_length:,}"
        )
    return tuple(found)
