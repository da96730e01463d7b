"""Speed of region labelling, against tokenising the decoded text again for every span.

    python benchmarks/labelling.py [--output outputs/benchmarks/labelling.json]

The opponent behaves as the released code does (docs/from-toolrl.md): it decodes the row, then
tokenises the whole text once for each span (the tags and content of the think, the tags of the
block, the first call's name and arguments: seven times) and looks the span's tokens up in the
offsets. Text, tokenizer and rows are made here from a fixed seed; no file is read.

Shape letters: B responses, T response tokens (padded).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import statistics
import time
from bisect import bisect_left
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import write_json
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rest_verl.algorithm.regions import Region, RegionLabeler

SEED = 0
VOCAB_SIZE = 8_000
NUM_WORDS = 6_000
BATCH_TOKENS = 256 * 2_048
LENGTHS = (256, 1_024, 4_096, 16_384)
COMPARED_LENGTH = 2_048
OPPONENT_ROWS = 16  # timed once a repeat; about as long as the calls of label_batch
CALLS = 10


class TextMaker:
    """Writes responses of made-up words: a think, then calls in one block."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        syllables = [
            c + v for c in "bcdfghklmnprstvwz" for v in ("a", "e", "i", "o", "u", "en", "ar")
        ]
        self._words = [
            "".join(self._random.choices(syllables, k=self._random.randint(1, 4)))
            for _ in range(NUM_WORDS)
        ]
        # Words are about as unevenly used as in real text.
        self._frequency = [1 / (rank + 10) for rank in range(NUM_WORDS)]

    def words(self, count: int) -> list[str]:
        return self._random.choices(self._words, self._frequency, k=count)

    def prose(self, num_words: int) -> str:
        words = self.words(num_words)
        for index in range(11, num_words, 12):
            words[index] += self._random.choice([".", ",", "?", ".\n\n", ' ("x" < 5).'])
        return " ".join(words)

    def call(self) -> str:
        arguments: dict[str, Any] = {word: " ".join(self.words(2)) for word in self.words(2)}
        arguments |= {word: self._random.randrange(1000) for word in self.words(1)}
        arguments |= {word: self.words(3) for word in self.words(1)}
        return json.dumps({"name": "_".join(self.words(2)), "arguments": arguments})

    def response(self, num_words: int, num_calls: int) -> str:
        calls = "\n".join(self.call() for _ in range(num_calls))
        return f"<think>{self.prose(num_words)}</think>\n<tool_call>\n{calls}\n</tool_call>"


def train_tokenizer(maker: TextMaker) -> PreTrainedTokenizerFast:
    """Byte-level BPE that spells the tags in several tokens, as most vocabularies do."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator((maker.response(400, 3) for _ in range(400)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")


def make_batch(
    maker: TextMaker, tokenizer: PreTrainedTokenizerFast, num_rows: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask, int64 (B, T): about 7/10 think, 3 calls per 2,048 tokens, the rest padding."""
    num_calls = max(1, round(3 * length / COMPARED_LENGTH))
    ids_BT = np.full((num_rows, length), tokenizer.eos_token_id)
    mask_BT = np.zeros_like(ids_BT)
    for row in range(num_rows):
        prose = tokenizer(maker.prose(length))["input_ids"][: int(0.68 * length)]
        text = f"<think>{tokenizer.decode(prose)}</think>\n<tool_call>\n"
        text += "\n".join(maker.call() for _ in range(num_calls)) + "\n</tool_call>"
        ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id][:length]
        ids_BT[row, : len(ids)] = ids
        mask_BT[row, : len(ids)] = 1
    return ids_BT, mask_BT


def label_by_tokenising_again(tokenizer: PreTrainedTokenizerFast, ids: np.ndarray) -> list[float]:
    """The opponent: weights of one row, a pass of the tokenizer over the whole text per span."""
    text: str = tokenizer.decode(ids)  # type: ignore[assignment]
    weights = [0.0] * len(ids)
    spans: list[tuple[int, int]] = []
    if think := re.search(r"<think>(.*?)</think>", text, re.DOTALL):
        spans += [(think.start(), think.start(1)), (think.end(1), think.end()), think.span(1)]
    if block := re.search(r"<tool_call>(.*?)</tool_call>", text, re.DOTALL):
        spans += [(block.start(), block.start(1)), (block.end(1), block.end())]
        if name := re.compile(r'"name"\s*:\s*"([^"]+)"').search(text, *block.span(1)):
            spans.append(name.span(1))
        if key := re.compile(r'"(?:arguments|parameters)"\s*:\s*').search(text, *block.span(1)):
            _, length = json.JSONDecoder().raw_decode(text[key.end() :])
            spans.append((key.end(), key.end() + length))
    for start, end in spans:
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
        first = bisect_left(offsets, start, key=lambda pair: pair[0])
        last = bisect_left(offsets, end, key=lambda pair: pair[1])
        weights[first:last] = [1.0] * (last - first)
    return weights


def seconds(function: Any, *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def compare(
    maker: TextMaker, tokenizer: PreTrainedTokenizerFast, labeler: RegionLabeler, repeats: int
) -> dict[str, float]:
    """Time per row of both, taken in turns, at 2,048 padded tokens with three calls."""
    num_rows = BATCH_TOKENS // COMPARED_LENGTH
    ids_BT, mask_BT = make_batch(maker, tokenizer, num_rows, COMPARED_LENGTH)
    regions_BT = labeler.label_batch(ids_BT, mask_BT)
    for region in (Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK):
        assert (regions_BT == region).any(axis=1).all(), f"a row without {region.name}"
    sampled = [ids[mask > 0] for ids, mask in zip(ids_BT, mask_BT, strict=True)]

    def ours() -> None:
        for _ in range(CALLS):
            labeler.label_batch(ids_BT, mask_BT)

    def opponent() -> None:
        for ids in sampled[:OPPONENT_ROWS]:
            label_by_tokenising_again(tokenizer, ids)

    ours_ms, opponent_ms = [], []
    for _ in range(repeats):
        ours_ms.append(1e3 * seconds(ours) / (CALLS * num_rows))
        opponent_ms.append(1e3 * seconds(opponent) / OPPONENT_ROWS)
    ratios = [theirs / ours for ours, theirs in zip(ours_ms, opponent_ms, strict=True)]
    return {
        "rows": num_rows,
        "tokens_padded": COMPARED_LENGTH,
        "tokens_sampled_mean": float(mask_BT.sum(1).mean()),
        "tokens_in_calls_mean": float((np.isin(regions_BT, (0, 1, 2))).sum(1).mean()),
        "label_batch_ms_per_row": statistics.median(ours_ms),
        "label_batch_ms_per_row_best": min(ours_ms),
        "opponent_ms_per_row": statistics.median(opponent_ms),
        "ratio": statistics.median(ratios),
        "ratio_lowest": min(ratios),
    }


def linearity(
    maker: TextMaker, tokenizer: PreTrainedTokenizerFast, labeler: RegionLabeler, repeats: int
) -> list[dict[str, float]]:
    """Time per row and token over row lengths; each batch has the same number of tokens."""
    rows = []
    for length in LENGTHS:
        num_rows = BATCH_TOKENS // length
        batch = make_batch(maker, tokenizer, num_rows, length)
        taken = statistics.median(seconds(labeler.label_batch, *batch) for _ in range(repeats))
        rows.append(
            {
                "tokens_padded": length,
                "label_batch_ms_per_row": 1e3 * taken / num_rows,
                "label_batch_ns_per_token": 1e9 * taken / (num_rows * length),
            }
        )
    return rows


def measure_token_weights(num_rows: int, length: int, repeats: int) -> dict[str, float]:
    """Time and peak memory of `token_weights`; to be run in a process of its own (Linux)."""
    import torch

    from rest_verl.algorithm.weighting import ReSTConfig, token_weights

    generator = torch.Generator().manual_seed(SEED)
    shape = (num_rows, length)
    regions = torch.randint(-1, len(Region), shape, generator=generator, dtype=torch.int8)
    entropy = torch.rand(shape, generator=generator)
    config = ReSTConfig.preset("paper")
    token_weights(regions[:2, :8], entropy[:2, :8], progress=0.3, config=config)  # warm-up

    def memory(field: str) -> int:
        status = Path("/proc/self/status").read_text()
        found = re.search(rf"{field}:\s*(\d+) kB", status)
        assert found is not None
        return 1024 * int(found[1])

    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to the present
    before = memory("VmRSS")
    weights, _ = token_weights(regions, entropy, progress=0.3, config=config)
    peak = memory("VmHWM") - before
    size = weights.numel() * weights.element_size()
    taken = [
        seconds(lambda: token_weights(regions, entropy, progress=0.3, config=config))
        for _ in range(repeats)
    ]
    return {
        "rows": num_rows,
        "tokens_padded": length,
        "threads": torch.get_num_threads(),
        "seconds": statistics.median(taken),
        "peak_with_result_in_float32_BT": peak / size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/benchmarks/labelling.json"), help="JSON file"
    )
    parser.add_argument("--repeats", type=int, default=9, help="timings per figure (the median)")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")

    maker = TextMaker(SEED)
    tokenizer = train_tokenizer(maker)
    start = time.perf_counter()
    labeler = RegionLabeler(tokenizer)
    result: dict[str, Any] = {
        "vocabulary": len(tokenizer),
        "labeler_set_up_seconds": time.perf_counter() - start,
        "comparison": compare(maker, tokenizer, labeler, options.repeats),
        "linearity": linearity(maker, tokenizer, labeler, options.repeats),
    }
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        job = executor.submit(measure_token_weights, 2_048, 2_048, options.repeats)
        result["token_weights"] = job.result()
    write_json(options.output, result)

    row = result["comparison"]
    print(
        f"{row['tokens_padded']:,} padded tokens, {row['tokens_sampled_mean']:.0f} sampled, "
        f"3 calls, {row['rows']} rows\n"
        f"  label_batch            {row['label_batch_ms_per_row']:10.4f} ms a row\n"
        f"  tokenising again       {row['opponent_ms_per_row']:10.2f} ms a row\n"
        f"  ratio                  {row['ratio']:10.0f} (lowest {row['ratio_lowest']:.0f})\n"
    )
    print("tokens a row    ms a row    ns a token")
    for row in result["linearity"]:
        print(
            f"{row['tokens_padded']:12,}{row['label_batch_ms_per_row']:12.4f}"
            f"{row['label_batch_ns_per_token']:14.1f}"
        )
    row = result["token_weights"]
    print(
        f"\ntoken_weights, {row['rows']:,} x {row['tokens_padded']:,}, {row['threads']} threads: "
        f"{row['seconds']:.3f} s; peak memory {row['peak_with_result_in_float32_BT']:.1f} x "
        f"(B, T) float32, the result included\n\nwritten to {options.output}"
    )


if __name__ == "__main__":
    main()
