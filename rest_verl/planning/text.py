"""An estimate as a few lines of plain text."""

from rest_verl.planning.activations import micro_batch_tokens
from rest_verl.planning.estimate import Estimate
from rest_verl.planning.parts import PARTS
from rest_verl.planning.throughput import (
    BANDWIDTH_SHARE,
    DECODE_OVERHEAD,
    LENGTH_SHARE,
    MFU,
    Throughput,
)

LABELS = {
    "parameters": "parameters",
    "gradients": "gradients",
    "optimizer": "optimiser state",
    "gathered": "gathered, reducing",
    "activations": "activations",
    "logits": "logits, entropy",
    "engine_weights": "engine weights",
    "kv_cache": "KV cache",
    "engine_work": "engine's work",
    "overhead": "overhead (assumed)",
    "total": "total",
}


def _table(estimate: Estimate) -> list[str]:
    assert estimate.phases is not None
    phases = estimate.phases.named
    widths = {name: max(8, len(name) + 2) for name in phases}
    lines = [f"{'GiB on a GPU':<19}" + "".join(f"{name:>{widths[name]}}" for name in phases)]
    for part in [*PARTS, "total"]:
        values = {name: getattr(phase, part) for name, phase in phases.items()}
        if any(value >= 0.05 for value in values.values()):
            cells = (
                f"{value:>{widths[name]}.1f}" if value >= 0.05 else " " * widths[name]
                for name, value in values.items()
            )
            lines.append(f"{LABELS[part]:<19}" + "".join(cells).rstrip())
    return lines


def _hours(time: Throughput, steps: int) -> str:
    return f"{time.step * steps / 3600:.1f} h"


def _time(estimate: Estimate) -> list[str]:
    typical, longest = estimate.typical, estimate.longest
    if typical is None or longest is None:
        return []
    parts = f"rollout {typical.rollout:.0f}, old log-probs {typical.log_prob:.0f}, "
    if typical.reference:
        parts += f"reference {typical.reference:.0f}, "
    parts += f"update {typical.update:.0f}"
    run = (
        "run: unknown (trainer.total_training_steps is not set, data.train_files not readable here)"
        if estimate.steps is None
        else f"run: {estimate.steps:,} steps, about {_hours(typical, estimate.steps)}, or "
        f"{_hours(longest, estimate.steps)} with all at their longest (rewards, tools, validation "
        "and checkpoints apart)"
    )
    return [
        f"step: about {typical.step:.0f} s ({parts}) at {LENGTH_SHARE:.0%} of the longest prompts "
        f"and responses; {longest.step:.0f} s with all at their longest",
        run,
        f"assumed: {MFU:.0%} of peak operations, {BANDWIDTH_SHARE:.0%} of bandwidth, "
        f"{DECODE_OVERHEAD * 1000:.0f} ms a decoding step besides",
    ]


def _verdict(estimate: Estimate) -> str:
    settings, peak = estimate.settings, estimate.peak
    assert settings is not None
    assert peak is not None
    pool = f" + {settings.standalone_gpus} for rollout" if settings.standalone_gpus else ""
    where = f"on {settings.training_gpus}{pool} × {estimate.gpu.name}"
    if estimate.fits:
        spare = estimate.gpu.memory - peak.total
        return f"Fits {where}, with {spare:.1f} GiB to spare."
    mend = (
        f"Change first, then it fits by this estimate: {' '.join(estimate.changes)}"
        if estimate.changes
        else "No smaller micro-batch, offload, tensor parallelism or gpu_memory_utilization is "
        "enough: take more or larger GPUs, a smaller model, or LoRA (model.lora_rank)."
    )
    return f"Does not fit {where}. {mend}"


def describe(estimate: Estimate) -> str:
    """The estimate in at most 25 lines; the last says if the run fits, else what to change."""
    settings, shape, engine = estimate.settings, estimate.shape, estimate.engine
    head = f"Estimate for {estimate.gpu.name} ({estimate.gpu.memory:.1f} GiB; REST_GPU chooses)"
    if settings is None or shape is None or engine is None:
        return f"{head}\nNo estimate: {estimate.unknown}."
    assert estimate.phases is not None
    tokens = micro_batch_tokens(settings, settings.update, settings.mini_batch)
    lines = [
        f"{head}: {shape.parameters / 1e9:.2f} B parameters, "
        f"training on {settings.training_gpus} in shards of 1/{settings.shards}"
        + (f", rollout on {settings.standalone_gpus} more" if settings.standalone_gpus else ""),
        *_table(estimate),
        f"update: at most {tokens:,.0f} tokens a GPU and micro-batch; its worst moment: "
        f"{estimate.phases.update.moment}",
        f"KV cache: {engine.kv_tokens:,} tokens an engine ({settings.replica_gpus} GPU), "
        f"{engine.full_sequences} sequences of {settings.sequence_length:,} at once",
    ]
    if settings.left_out:
        lines.append(f"not in it: {'; '.join(settings.left_out)}")
    if estimate.host_gib >= 0.05:
        lines.append(f"host memory for what is offloaded: {estimate.host_gib:.0f} GiB in all")
    if estimate.problems:
        lines.append(f"too much: {'; '.join(estimate.problems)}")
    return "\n".join([*lines, *_time(estimate), _verdict(estimate)])
