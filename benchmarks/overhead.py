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

Shape letters: B responses, b responses of a micro-batch, T response tokens (padded), V vocabulary.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import write_json
from labelling import TextMaker
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from rest_verl.algorithm.loss import rest_policy_loss
from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.algorithm.weighting import ReSTConfig, token_weights
from rest_verl.tool_calls import CALL_CLOSE, CALL_OPEN, THINK_CLOSE, THINK_OPEN

SEED = 0
LIMIT = 0.01
LARGEST_TOKENIZER = 8_000  # more ids than the made-up words need
TOKENS_A_CALL = 700  # of a response: three calls in 2,048 tokens
REST_PHASES = ("pad", "label", "weigh", "column")
OTHER_PHASES = ("old_log_prob", "update_actor", "optimizer")
PREFIX = "timing_s/"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a Qwen3 model with tied embeddings, and the batch that one device gets."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rows: int
    micro_rows: int
    prompt_length: int
    response_length: int


SHAPES = {
    "tiny": Shape(  # model and batch of recipes/tiny_cpu
        vocab_size=1_024,
        hidden_size=192,
        intermediate_size=512,
        layers=4,
        heads=4,
        kv_heads=4,
        head_dim=64,
        rows=128,
        micro_rows=32,
        prompt_length=160,
        response_length=80,
    ),
    "qwen3-4b": Shape(
        vocab_size=151_936,
        hidden_size=2_560,
        intermediate_size=9_728,
        layers=4,  # of 36: with AdamW's state those take 64 GB
        heads=32,
        kv_heads=8,
        head_dim=128,
        rows=128,
        micro_rows=2,
        prompt_length=512,
        response_length=2_048,
    ),
}


class Stopwatch:
    """Seconds by phase, the device's queue empty at both ends."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = dict.fromkeys((*REST_PHASES, *OTHER_PHASES), 0.0)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._synchronize()
        start = time.perf_counter()
        yield
        self._synchronize()
        self.seconds[name] += time.perf_counter() - start

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Responses, sorted by length, as verl's queue holds them, jagged, and what else a step takes.

    prompts: (B, prompt length); responses, masks: B tensors of each row's length; advantages: (B,).
    """

    prompts: Tensor
    responses: list[Tensor]
    masks: list[Tensor]
    advantages: Tensor


def train_tokenizer(maker: TextMaker, vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which, as in Qwen3's, each tag is a token of its own."""
    tags = (THINK_OPEN, THINK_CLOSE, CALL_OPEN, CALL_CLOSE)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(tags),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator((maker.response(400, 3) for _ in range(400)), trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in tags])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")


def make_batch(maker: TextMaker, tokenizer: PreTrainedTokenizerFast, shape: Shape) -> Batch:
    """Answers of think and tool calls; lengths even from a quarter of the most to the most.

    An answer longer than its row is cut short, as sampling would.
    """
    responses = []
    longest = shape.response_length
    for length in np.linspace(longest / 4, longest, shape.rows).round().astype(int):
        calls = "\n".join(maker.call() for _ in range(max(1, round(length / TOKENS_A_CALL))))
        end = tokenizer(f"{THINK_CLOSE}\n{CALL_OPEN}\n{calls}\n{CALL_CLOSE}")["input_ids"]
        end.append(tokenizer.eos_token_id)
        think = tokenizer(THINK_OPEN + maker.prose(length))["input_ids"]
        ids = (think[: max(2, length - len(end))] + end)[:length]
        responses.append(torch.tensor(ids))
    prompts = torch.randint(len(tokenizer), (shape.rows, shape.prompt_length))
    masks = [torch.ones_like(ids) for ids in responses]
    return Batch(
        prompts=prompts, responses=responses, masks=masks, advantages=torch.randn(shape.rows)
    )


def jagged(rows: list[Tensor]) -> Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def column_maker() -> Callable[[Tensor, Tensor], Tensor]:
    """verl's function that makes padded values a jagged column, or its like without verl."""
    try:
        from verl.workers.utils.padding import response_to_nested
    except ImportError:
        return lambda values_BT, nested_mask: jagged(
            [row[: len(mask)] for row, mask in zip(values_BT, nested_mask.unbind(), strict=True)]
        )
    return response_to_nested


class Step:
    """A training step of one device, timed by phase."""

    def __init__(self, shape: Shape, labeler: RegionLabeler, device: torch.device) -> None:
        self.shape, self.labeler, self.device = shape, labeler, device
        self.config = ReSTConfig.preset("paper")
        self.to_column = column_maker()
        with torch.device(device):  # float32, as verl keeps the parameters that it trains
            self.model = Qwen3ForCausalLM(
                Qwen3Config(
                    vocab_size=shape.vocab_size,
                    hidden_size=shape.hidden_size,
                    intermediate_size=shape.intermediate_size,
                    num_hidden_layers=shape.layers,
                    num_attention_heads=shape.heads,
                    num_key_value_heads=shape.kv_heads,
                    head_dim=shape.head_dim,
                    max_position_embeddings=shape.prompt_length + shape.response_length,
                    tie_word_embeddings=True,
                )
            )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6)

    def run(self, batch: Batch, progress: float) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds of each phase, and what the step computed."""
        watch = Stopwatch(self.device)
        old: list[Tensor] = []
        entropy: list[Tensor] = []
        with watch.phase("old_log_prob"), torch.no_grad():
            for rows in self._micro_batches():
                log_prob_bT, logits_bTV = self._log_prob(batch, rows)
                old.append(log_prob_bT)
                for row_T, ids in zip(_entropy(logits_bTV), batch.responses[rows], strict=True):
                    entropy.append(row_T[: len(ids)].cpu())
                del logits_bTV

        nested_ids, nested_mask = jagged(batch.responses), jagged(batch.masks)
        nested_entropy = jagged(entropy)
        # From here to the column: what `ReSTMixin._write_weights` does between its queue calls.
        with watch.phase("pad"):
            ids_BT, mask_BT = nested_ids.to_padded_tensor(0), nested_mask.to_padded_tensor(0)
            entropy_BT = nested_entropy.to_padded_tensor(0.0)
        with watch.phase("label"):
            regions_BT = self.labeler.label_batch(ids_BT, mask_BT)
        with watch.phase("weigh"):
            weights_BT, stats = token_weights(
                regions_BT, entropy_BT, progress=progress, config=self.config
            )
        with watch.phase("column"):
            column = self.to_column(weights_BT, nested_mask)
            weights_BT = column.to_padded_tensor(0.0).to(self.device)  # the actor's end of it

        loss_sum = 0.0
        with watch.phase("update_actor"):
            for rows, old_bT in zip(self._micro_batches(), old, strict=True):
                log_prob_bT, _ = self._log_prob(batch, rows)
                length = log_prob_bT.shape[1]
                mask_bT = mask_BT[rows, :length].to(self.device)
                loss, _ = rest_policy_loss(
                    log_prob_bT,
                    old_bT,
                    batch.advantages[rows, None].expand(-1, length).to(self.device),
                    mask_bT,
                    weights=weights_BT[rows, :length],
                )
                loss = loss * (len(mask_bT) / self.shape.rows)
                loss.backward()
                loss_sum += loss.item()
        with watch.phase("optimizer"):
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()

        row_mean_B = weights_BT.sum(1).cpu() / mask_BT.sum(1)
        outcome = {
            "tokens": int(mask_BT.sum()),
            "row_mean_weight_least": float(row_mean_B.min()),
            "row_mean_weight_most": float(row_mean_B.max()),
            "loss": loss_sum,
            "grad_norm": float(norm),
        }
        return watch.seconds, {**outcome, **stats}

    def _micro_batches(self) -> list[slice]:
        size = self.shape.micro_rows
        return [slice(start, start + size) for start in range(0, self.shape.rows, size)]

    def _log_prob(self, batch: Batch, rows: slice) -> tuple[Tensor, Tensor]:
        """Log-probabilities of a micro-batch's responses, (b, T), and their logits, (b, T, V)."""
        # Padding to the right of causal attention changes nothing before it: no mask is needed.
        ids_bT = torch.nn.utils.rnn.pad_sequence(batch.responses[rows], batch_first=True)
        inputs = torch.cat([batch.prompts[rows], ids_bT], 1).to(self.device)
        bfloat16 = torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda")
        with bfloat16:
            output = self.model(inputs, use_cache=False, logits_to_keep=ids_bT.shape[1] + 1)
        logits_bTV = output.logits[:, :-1].float()
        chosen_bT = logits_bTV.gather(-1, ids_bT.to(self.device)[..., None]).squeeze(-1)
        return chosen_bT - logits_bTV.logsumexp(-1), logits_bTV


def _entropy(logits_bTV: Tensor) -> Tensor:
    """Nats, (b, T)."""
    mean_logit_bT = (logits_bTV.softmax(-1) * logits_bTV).sum(-1)
    return logits_bTV.logsumexp(-1) - mean_logit_bT


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
    from rest_verl.viewing.metrics import read_metrics  # its package needs matplotlib

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
            f"The trainer weighs the rows of all devices in one process: on n devices with as many "
            f"rows each,\nthe share is about n times that, below {LIMIT:.0%} up to "
            f"n = {result['devices_at_limit']:,}."
        )
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
