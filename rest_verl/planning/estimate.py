"""Will this run fit, and how long will it take? An estimate from verl's configuration alone."""

from dataclasses import dataclass

from omegaconf import DictConfig

from rest_verl.planning.advice import first_changes
from rest_verl.planning.gpus import Gpu, chosen_gpu
from rest_verl.planning.memory import host_memory
from rest_verl.planning.parts import PhaseMemory
from rest_verl.planning.phases import Phases, problems, run_phases
from rest_verl.planning.rollout import Engine
from rest_verl.planning.settings import NotCovered, Settings, read_settings
from rest_verl.planning.shapes import ModelShape, model_shape
from rest_verl.planning.throughput import Throughput, throughput, training_steps


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run would need of each GPU, and its time. GiB and seconds."""

    gpu: Gpu
    fits: bool | None
    """None: unknown."""
    unknown: str = ""
    """Why there is no estimate."""
    settings: Settings | None = None
    shape: ModelShape | None = None
    phases: Phases | None = None
    engine: Engine | None = None
    host_gib: float = 0.0
    """Host memory over all nodes that offloading and the reference model take."""
    problems: tuple[str, ...] = ()
    """What does not fit."""
    changes: tuple[str, ...] = ()
    """Settings with which it would, by this estimate."""
    typical: Throughput | None = None
    """At LENGTH_SHARE of the longest prompts and responses."""
    longest: Throughput | None = None
    """With every sequence at its longest."""
    steps: int | None = None
    """Training steps of the run."""

    @property
    def peak(self) -> PhaseMemory | None:
        """The largest phase."""
        if self.phases is None:
            return None
        return max(self.phases.named.values(), key=lambda phase: phase.total)


def estimate(config: DictConfig) -> Estimate:
    """Estimates memory and time of a run on the GPU that REST_GPU names (default h100-80).

    Args:
        config: verl's composed `ppo_trainer` configuration.

    Returns:
        An estimate; `fits` is None, and `unknown` says why, where the model's shape is not known
        or the formulas do not cover the configuration (Megatron, a critic).

    Raises:
        ValueError: REST_GPU names an unknown GPU.
    """
    gpu = chosen_gpu()
    try:
        settings = read_settings(config)
    except NotCovered as error:
        return Estimate(gpu=gpu, fits=None, unknown=str(error))
    try:
        shape = model_shape(settings.model_path)
    except ValueError as error:
        return Estimate(gpu=gpu, fits=None, unknown=f"unknown model: {error}", settings=settings)
    phases, engine = run_phases(settings, shape, gpu)
    found = problems(settings, phases, engine, gpu)
    runs = engine.holds_one
    return Estimate(
        gpu=gpu,
        fits=not found,
        settings=settings,
        shape=shape,
        phases=phases,
        engine=engine,
        host_gib=host_memory(settings, shape),
        problems=found,
        changes=first_changes(settings, shape, gpu) if found else (),
        typical=throughput(settings, shape, gpu, engine) if runs else None,
        longest=throughput(settings, shape, gpu, engine, 1.0) if runs else None,
        steps=training_steps(settings),
    )
