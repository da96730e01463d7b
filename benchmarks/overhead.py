"""ResT's own share of a training step: padding, labelling, weighing and the column of weights.

    python benchmarks/overhead.py --run outputs/tiny_cpu_rest     # of a run that has been
    python benchmarks/overhead.py                                 # measured here

With --run, from the times that verl logged at every step of a run: `timing_s/rest_weights`, the
calls of the transfer queue included, of `timing_s/step`. Without, a training step is made here, on
a GPU if there is one: a Qwen3 model of random weights computes old log-probabilities and entropies,
ResT makes its weights on the CPU, as in the trainer, and the actor is updated with
`rest_policy_loss` and AdamW. That needs no verl. Sampling and rewards, which would make the share
smaller, are not in that step; nor is the transfer queue, of which only a run can tell. The first
step is left out everywhere.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from common import write_json
from labelling import TextMaker
from scale import measure_scale, scale_table
from training_step import (
    REST_PHASES,
    SHAPES,
    Shape,
    Step,
    make_batch,
    train_tokenizer,
)

from rest_verl.algorithm.regions import Region, RegionLabeler

SEED = 0
LIMIT = 0.01
LARGEST_TOKENIZER = 8_000  # more ids than the made-up words need
PREFIX = "timing_s/"


def measure(shape: Shape, device: torch.device, steps: int) -> dict[str, Any]:
    """`steps` training steps after a first one that does not count."""
    torch.manual_seed(SEED)
    maker = TextMaker(SEED)
    tokenizer = train_tokenizer(maker, min(shape.vocab_size, LARGEST_TOKENIZER))
    step = Step(shape, RegionLabeler(tokenizer), device)
    seconds: list[dict[str, float]] = []
    outcome: dict[str, float] = {}
    for number in range(steps + 1):
        taken, outcome = step.run(make_batch(maker, tokenizer, shape), progress=number / steps)
        seconds.append(taken)
        for region in (Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK):
            assert outcome[f"rest/token_share/{region.name.lower()}"] > 0
    rest = [sum(taken[name] for name in REST_PHASES) for taken in seconds[1:]]
    whole = [sum(taken.values()) for taken in seconds[1:]]
    is_cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if is_cuda else platform.processor() or "cpu",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "shape": asdict(shape),
        "parameters": sum(p.numel() for p in step.model.parameters()),
        "peak_gpu_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if is_cuda else None,
        "phase_seconds_median": medians(seconds[1:]),
        **shares(rest, whole),
        "devices_at_limit": devices_at_limit(rest, whole),
        "last_step": outcome,
    }


def read_run(path: Path) -> dict[str, Any]:
    """Shares of a run, from its folder or metrics file (flat lines or verl's file logger's)."""
    from rest_verl.viewing.report.metrics import read_metrics  # its package needs matplotlib

    if path.is_dir():
        names = ("metrics.jsonl", "verl_metrics.jsonl")
        path = next((path / name for name in names if (path / name).is_file()), path / names[0])
    try:
        records = read_metrics(path)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    part, whole = PREFIX + "rest_weights", PREFIX + "step"
    steps = [record for record in records if part in record and whole in record][1:]
    if not steps:
        raise SystemExit(
            f"{path} has no {part} after its first step: give the metrics of a run with "
            "+rest=<preset> and at least two steps"
        )
    timed = set.intersection(*(set(step) for step in steps)) - {whole}
    phases = [name for name in steps[0] if name in timed and name.startswith(PREFIX)]
    seconds = [{name.removeprefix(PREFIX): step[name] for name in phases} for step in steps]
    return {
        "run": str(path),
        "phase_seconds_median": medians(seconds),
        **shares([step[part] for step in steps], [step[whole] for step in steps]),
    }


def medians(seconds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(taken[name] for taken in seconds) for name in seconds[0]}


def shares(rest: list[float], whole: list[float]) -> dict[str, Any]:
    """ResT's share of each step, its median and its worst."""
    share = [part / step for part, step in zip(rest, whole, strict=True)]
    return {
        "steps": len(share),
        "step_seconds": whole,
        "rest_seconds": rest,
        "share": share,
        "share_median": statistics.median(share),
        "share_worst": max(share),
    }


def devices_at_limit(rest: list[float], whole: list[float]) -> int:
    """Devices that can share the model's work before ResT's, which is in one process, is LIMIT."""
    others = statistics.median(step - part for part, step in zip(rest, whole, strict=True))
    return int(LIMIT / (1 - LIMIT) * others / statistics.median(rest))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, help="folder or metrics file of a run to read instead")
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/benchmarks/overhead.json"), help="JSON file"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is one")
    parser.add_argument(
        "--model-shape", choices=tuple(SHAPES), help="default: qwen3-4b on a GPU, else tiny"
    )
    parser.add_argument("--steps", type=int, default=5, help="steps that count")
    for name in ("layers", "rows", "micro-rows", "prompt-length", "response-length"):
        parser.add_argument(f"--{name}", type=int, help="default: the shape's")
    options = parser.parse_args()
    for name in ("steps", "layers", "rows", "micro_rows", "prompt_length"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if options.response_length is not None and options.response_length < 64:
        parser.error("--response-length must be at least 64, or no call fits")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU here")
    return options


def main() -> None:
    options = parse_arguments()
    if options.run is not None:
        result = read_run(options.run)
        print(f"{result['run']}: {result['steps']} steps after the first")
    else:
        device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        shape = SHAPES[options.model_shape or ("qwen3-4b" if device.type == "cuda" else "tiny")]
        sizes = ("layers", "rows", "micro_rows", "prompt_length", "response_length")
        given = {name: getattr(options, name) for name in sizes}
        shape = replace(shape, **{name: size for name, size in given.items() if size is not None})
        result = measure(shape, device, options.steps)
        print_setting(result)
        result["scale"] = measure_scale()
    write_json(options.output, result)

    step_seconds = statistics.median(result["step_seconds"])
    print("\nmedian seconds")
    for name, value in result["phase_seconds_median"].items():
        print(f"  {name:<22}{value:12.5f}{value / step_seconds:9.3%}")
    print(f"  {'the whole step':<22}{step_seconds:12.5f}")
    verdict = "below" if result["share_worst"] < LIMIT else "not below"
    print(
        f"\nResT's own share of the step: median {result['share_median']:.3%}, "
        f"worst {result['share_worst']:.3%}; {verdict} {LIMIT:.0%}"
    )
    if "devices_at_limit" in result:
        print(
            "With the labels, which the trainer makes while the devices compute: on n devices with "
            f"as many rows\neach, the share is about n times that, below {LIMIT:.0%} up to "
            f"n = {result['devices_at_limit']:,}."
        )
    if "scale" in result:
        print("\n" + scale_table(result["scale"]))
    print(f"\nwritten to {options.output}")


def print_setting(result: dict[str, Any]) -> None:
    shape, last = result["shape"], result["last_step"]
    memory = result["peak_gpu_memory_gib"]
    print(
        f"{result['device']}, torch {result['torch']}, {result['threads']} threads; "
        f"{result['parameters'] / 1e6:,.1f} M parameters in {shape['layers']} layers"
        + ("" if memory is None else f"; peak GPU memory {memory:.1f} GiB")
        + f"\n{shape['rows']} responses of up to {shape['response_length']:,} tokens "
        f"({last['tokens']:,} in all) after {shape['prompt_length']}; "
        f"{result['steps']} steps after the first; no sampling in them"
        f"\nlast step: row means of the weights {last['row_mean_weight_least']:.6f} to "
        f"{last['row_mean_weight_most']:.6f}, loss {last['loss']:.4f}, "
        f"gradient norm {last['grad_norm']:.4f}"
    )


if __name__ == "__main__":
    main()
