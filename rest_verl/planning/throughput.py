"""Time of a step: operations for training, bandwidth for decoding, at stated efficiencies."""

from dataclasses import dataclass
from pathlib import Path

from rest_verl.planning.gpus import Gpu
from rest_verl.planning.rollout import Engine
from rest_verl.planning.settings import Settings
from rest_verl.planning.shapes import ModelShape

MFU = 0.35
"""Assumed share of the data sheet's operations that training and prefill reach."""
BANDWIDTH_SHARE = 0.6
"""Assumed share of the data sheet's bandwidth that decoding reaches."""
DECODE_OVERHEAD = 0.005
"""Assumed seconds of scheduling and sampling in each decoding step."""
LENGTH_SHARE = 0.5
"""Assumed mean length of prompts and responses, as a share of the longest allowed."""


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Seconds of a step's phases; reward, tools, validation and checkpoints are not in them."""

    length_share: float
    """Mean length of prompts and responses, as a share of the longest allowed."""
    rollout: float
    log_prob: float
    reference: float
    update: float
    overlapped: bool
    """Rollout and training run at the same time, on GPUs of their own."""
    tokens: float
    """Prompt and response tokens of a step."""
    update_flops: float
    """Operations of the update, recomputation included, over all GPUs."""

    @property
    def step(self) -> float:
        """Seconds of a step."""
        training = self.log_prob + self.reference + self.update
        return max(self.rollout, training) if self.overlapped else self.rollout + training


def forward_flops(shape: ModelShape, sequences: float, length: float) -> float:
    """Operations of a forward pass: two a parameter and token, and causal attention's S²."""
    attention = 2 * length**2 * shape.q_size * shape.layers
    return sequences * (2 * shape.matmul_parameters * length + attention)


def update_flops(settings: Settings, forward: float) -> float:
    """Operations of the update: backward is twice forward, and checkpointing adds a forward."""
    # Frozen weights need no gradient of their own: half of the backward pass.
    backward = 1 if settings.lora_rank else 2
    recomputed = 1 if settings.checkpointing else 0
    return forward * (1 + backward + recomputed) * settings.epochs_per_batch


def _decode_seconds(
    settings: Settings, shape: ModelShape, gpu: Gpu, engine: Engine, active: float, context: float
) -> float:
    """One decoding step of `active` sequences with `context` tokens each."""
    weights = shape.matmul_parameters * settings.rollout_bytes / settings.replica_gpus
    read = weights + active * context * engine.kv_bytes_per_token
    flops = 2 * shape.matmul_parameters * active / settings.replica_gpus
    by_bandwidth = read / (gpu.bandwidth * BANDWIDTH_SHARE)
    return max(by_bandwidth, flops / (gpu.flops * MFU)) + DECODE_OVERHEAD


def rollout_seconds(
    settings: Settings, shape: ModelShape, gpu: Gpu, engine: Engine, length_share: float
) -> float:
    """Seconds to generate a batch: prefill, decoding, and the wait for the longest response."""
    prompt = settings.prompt_length * length_share
    response = settings.response_length * length_share
    gpus = settings.standalone_gpus or settings.training_gpus
    replicas = max(1, gpus // settings.replica_gpus)
    sequences = settings.train_batch * settings.samples / replicas

    fitting = engine.kv_tokens / (prompt + response)
    active = max(1.0, min(fitting, settings.max_sequences, sequences))
    steps = max(response, sequences * response / active)
    context = prompt + response / 2
    seconds = steps * _decode_seconds(settings, shape, gpu, engine, active, context)
    alone = max(0.0, settings.response_length - steps)
    context = prompt + settings.response_length
    seconds += alone * _decode_seconds(settings, shape, gpu, engine, 1, context)

    prompts = settings.train_batch * (1 if settings.prefix_caching else settings.samples)
    return seconds + forward_flops(shape, prompts, prompt) / (gpus * gpu.flops * MFU)


def throughput(
    settings: Settings,
    shape: ModelShape,
    gpu: Gpu,
    engine: Engine,
    length_share: float = LENGTH_SHARE,
) -> Throughput:
    """The time of one step at a mean length; the engine must hold at least one sequence."""
    sequences = settings.train_batch * settings.samples
    length = settings.sequence_length * length_share
    forward = forward_flops(shape, sequences, length)
    update = update_flops(settings, forward)
    rate = settings.training_gpus * gpu.flops * MFU
    return Throughput(
        length_share=length_share,
        rollout=rollout_seconds(settings, shape, gpu, engine, length_share),
        log_prob=forward / rate,
        reference=forward / rate if settings.reference else 0.0,
        update=update / rate,
        overlapped=settings.standalone_gpus > 0,
        tokens=sequences * length,
        update_flops=update,
    )


def training_steps(settings: Settings) -> int | None:
    """Steps of the whole run; None where the training file cannot be read.

    Rows that `data.filter_overlong_prompts` would drop are counted.
    """
    if settings.total_steps is not None:
        return settings.total_steps
    rows = _rows(settings.train_files)
    if rows is None:
        return None
    if settings.train_max_samples > 0:
        rows = min(rows, settings.train_max_samples)
    return rows // settings.train_batch * settings.total_epochs


def _rows(files: tuple[str, ...]) -> int | None:
    paths = [Path(file).expanduser() for file in files]
    if not paths or not all(path.is_file() for path in paths):
        return None
    try:
        # Only here: it is slow to import, and absent files need no reader.
        from pyarrow import ArrowException
        from pyarrow.parquet import read_metadata
    except ImportError:
        return None
    try:
        return sum(read_metadata(path).num_rows for path in paths)
    except (ArrowException, OSError):
        return None
