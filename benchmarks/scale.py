"""How many devices can share a step before ResT's part of it, made in one process, is 1 %.

Measured here, on one thread: what `ReSTMixin._write_weights` does between its queue calls (padding,
the loss mask, `token_weights`, the column), and labelling, on a few rows, since it is linear in
them. The devices' part is an estimate: Qwen3-4B's operations for old log-probabilities and update,
at the speed that `rest_verl.planning` assumes for an H100. Sampling, which would make ResT's share
smaller, is not counted. Labels are made while the devices compute old log-probabilities, so they
add nothing as long as they are done before; `labels_hidden_up_to` says how long that is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from labelling import TextMaker
from training_step import SHAPES, Shape, column_maker, jagged, make_batch, train_tokenizer

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.algorithm.weighting import ReSTConfig, token_weights
from rest_verl.planning.gpus import GPUS
from rest_verl.planning.throughput import MFU

SIZES = ((2_048, 2_048), (2_048, 8_192), (16_384, 2_048), (16_384, 8_192))
LIMIT = 0.01
MODEL, GPU, LAYERS = "qwen3-4b", "h100-80", 36
LABELLED_ROWS = 64
FORWARDS = 5
"""Forward passes' worth of operations a step: old log-probabilities 1; the update 4, with the
backward pass twice a forward and one more recomputed."""


def seconds_of(work: Callable[[], Any], repeats: int = 3) -> float:
    """The least time of a few."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def measure_scale(sizes: tuple[tuple[int, int], ...] = SIZES) -> list[dict[str, Any]]:
    """One entry for each size of a batch: (rows, tokens of a response)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_measure(rows, tokens) for rows, tokens in sizes]
    finally:
        torch.set_num_threads(threads)


def _measure(rows: int, tokens: int) -> dict[str, Any]:
    weigh, label = _weigh_seconds(rows, tokens), _label_seconds(rows, tokens)
    forward = _forward_seconds(rows, tokens)
    return {
        "rows": rows,
        "tokens": tokens,
        "weigh_seconds": weigh,
        "label_seconds": label,
        "devices_at_limit": int(LIMIT / (1 - LIMIT) * FORWARDS * forward / weigh),
        "labels_hidden_up_to": int(forward / label),
    }


def _weigh_seconds(rows: int, tokens: int) -> float:
    """What is on the way of the step: all but the labels."""
    generator = np.random.default_rng(0)
    stretches = generator.integers(0, len(Region), (rows, tokens // 16), dtype=np.int8)
    sampled_BT = np.repeat(stretches, 16, axis=1)
    entropy = jagged(list(torch.rand(rows, tokens)))
    mask = jagged(list(torch.ones(rows, tokens, dtype=torch.int64)))
    config, to_column = ReSTConfig.preset("paper"), column_maker()

    def work() -> None:
        region_BT = sampled_BT.copy()
        region_BT[~mask.bool().to_padded_tensor(False).numpy()] = -1
        entropy_BT = entropy.to_padded_tensor(0.0)
        weights_BT, _ = token_weights(region_BT, entropy_BT, 0.5, config=config)
        to_column(weights_BT, mask)

    return seconds_of(work)


def _label_seconds(rows: int, tokens: int) -> float:
    maker = TextMaker(0)
    shape = Shape(**{**vars(SHAPES[MODEL]), "rows": LABELLED_ROWS, "response_length": tokens})
    tokenizer = train_tokenizer(maker, 8_000)
    batch = make_batch(maker, tokenizer, shape)
    labeler = RegionLabeler(tokenizer)
    ids_BT = jagged(batch.responses).to_padded_tensor(0)
    mask_BT = jagged(batch.masks).to_padded_tensor(0)
    # Lengths are even from a quarter of the most to the most: 5/8 of it in the mean.
    full = ids_BT.numel() / int(mask_BT.sum())
    return seconds_of(lambda: labeler.label_batch(ids_BT, mask_BT)) * rows / LABELLED_ROWS * full


def _forward_seconds(rows: int, tokens: int) -> float:
    """Device-seconds of one forward pass: two operations a weight and token, and attention's T²."""
    shape = SHAPES[MODEL]
    attention = 2 * shape.hidden_size * shape.head_dim * (shape.heads + shape.kv_heads)
    layer = attention + 3 * shape.hidden_size * shape.intermediate_size
    weights = LAYERS * layer + shape.hidden_size * shape.vocab_size
    length = tokens + shape.prompt_length
    square = 2 * length**2 * shape.heads * shape.head_dim * LAYERS
    return rows * (2 * weights * length + square) / (GPUS[GPU].flops * MFU)


def scale_table(entries: list[dict[str, Any]]) -> str:
    """For people."""
    lines = [
        f"Devices ({GPU}, {MODEL}, by rest_verl.planning's estimate) that can share a step before "
        f"ResT's part is {LIMIT:.0%}; one thread here:",
        f"  {'rows':>7}{'tokens':>8}{'weights, s':>12}{'labels, s':>11}{'devices':>9}"
        f"{'labels hidden up to':>21}",
    ]
    lines += [
        f"  {entry['rows']:>7,}{entry['tokens']:>8,}{entry['weigh_seconds']:>12.3f}"
        f"{entry['label_seconds']:>11.3f}{entry['devices_at_limit']:>9,}"
        f"{entry['labels_hidden_up_to']:>21,}"
        for entry in entries
    ]
    return "\n".join(lines)
