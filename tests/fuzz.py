"""Runs generated responses, valid, damaged and random, through labels and rewards.

`python tests/fuzz.py [--count 1000000] [--seed 0]` uses every core, in a fixed order of cases: a
seed and a batch number give the same cases on any machine. Ends with 1 at the first response that
raises, takes too long or breaks an invariant, and prints it with the command that repeats it.

Shape letters: B responses of a batch, T tokens (padded).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from random import Random
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the processes fill the cores

import numpy as np
from support.toy_tokenizers import byte_level, sentencepiece
from tqdm import tqdm

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.rewards import RewardConfig, tool_call_reward

BATCH = 256
MAX_TOKENS = 400  # of a row, but for the rare long ones
LONG_BATCHES = 50  # one batch in so many has rows of any length
CASE_SECONDS = 10  # for one response; ordinary ones take well below a millisecond
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>")
NAMES = ("get_weather", "search_flights", "Convert.currency", "größe_ändern", "lookup_user_by_id")
KEYS = ("city", "name", "arguments", "parameters", "n", "größe", "a b", 'q"', "<think>")
WORDS = (
    "the",
    "tool",
    "needs",
    "city",
    "Zürich",
    "is",
    "“quoted”",
    "{x}",
    "42",
    "漢字",
    "😀",
    "\n",
)
HOSTILE = (
    *TAGS,
    *(tag[:-1] for tag in TAGS),
    *'{}[]",:\\\n\0\x1b\u2028\u202e\ud800\udfff',
    *('\\"', "\\u", "\\ud800", "\r\n", "NaN", "-Infinity", "1e999", "-0", "1" * 400, "'", "``"),
    *('{"name": ', '"arguments": {', '"parameters": ', '"name": "f", "name": "g"', "null", "[[{{"),
    *("<|im_end|>", "<|endoftext|>", "<pad>", "</s>", "<s>", "<0x0A>", "▁", "<", "</", "<tool_"),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One response and what it is scored against."""

    kind: str
    """`valid` (scored against itself), `damaged`, or `random`."""
    text: str
    ground_truth: str
    step: int | None
    preset: str


# Responses


def json_value(rng: Random, depth: int) -> Any:
    choice = rng.randrange(9 if depth else 6)
    if choice < 2:
        return rng.choice(WORDS[:9]) + str(rng.randrange(100))
    if choice < 4:
        return rng.randrange(-1000, 1000)
    if choice == 4:
        return rng.random() * 10 ** rng.randrange(-5, 20)
    if choice == 5:
        return rng.choice((True, False))
    if choice < 8:
        return [json_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): json_value(rng, depth - 1) for _ in range(rng.randrange(3))}


def valid_response(rng: Random) -> tuple[str, str]:
    """A response and the ground truth that it answers exactly."""
    toolrl, exact = rng.random() < 0.5, rng.random() < 0.5
    depth = 2 if exact and toolrl else 0
    calls = [
        (
            rng.choice(NAMES),
            {rng.choice(KEYS): json_value(rng, depth) for _ in range(rng.randrange(5))},
        )
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
    ]
    key = "parameters" if toolrl else "arguments"
    ascii_only = rng.random() < 0.3
    lines = [
        json.dumps({"name": name, key: values}, ensure_ascii=ascii_only) for name, values in calls
    ]
    think = " ".join(rng.choices(WORDS, k=rng.randrange(1, 25)))
    if toolrl:
        block = "<tool_call>\n" + "\n".join(lines) + "\n</tool_call>"
        text = f"<think> {think} </think>\n{block}"
        if exact:
            return text, block
    else:
        text = "\n".join(f"<tool_call>\n{line}\n</tool_call>" for line in lines)
        if rng.random() < 0.7:
            text = f"<think>\n{think}\n</think>\n\n{text}"
    truth = {
        "format": "toolrl" if toolrl else "chat_template",
        "expect": "calls",
        "calls": [
            {"name": name, "parameters": {k: [value, "other"] for k, value in values.items()}}
            for name, values in calls
        ],
    }
    return text, json.dumps(truth)


def damaged(rng: Random, text: str, other: str) -> str:
    """`text` after one to five accidents, mostly one or two."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 5))):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + int(rng.expovariate(0.05)))
        accident = rng.randrange(9)
        if accident == 0:
            text = text[:start] + text[end:]
        elif accident == 1:
            text = text[:end] + text[start:]
        elif accident == 2:
            third = min(len(text), end + int(rng.expovariate(0.05)))
            text = text[:start] + text[end:third] + text[start:end] + text[third:]
        elif accident == 3 and rng.random() < 0.3:
            text = text[:start]
        elif accident == 4 and rng.random() < 0.3:
            text = text[:start] + other[rng.randrange(len(other)) :]
        elif accident == 5 and rng.random() < 0.1:
            text = text[:start] + rng.choice(("[", "{", '{"a":', "<think>")) * rng.randrange(500)
        elif accident == 6:
            text = text[:start] + chr(rng.randrange(0x110000)) + text[start:]
        else:
            text = text[:start] + rng.choice(HOSTILE) + text[start:]
    return text


def random_text(rng: Random, long: bool) -> str:
    length = rng.randrange(20_000 if long else 60)
    if rng.random() < 0.5:
        return "".join(rng.choices(HOSTILE, k=length))
    return rng.randbytes(2 * length).decode("utf-16-le", errors="surrogatepass")


def cases_of(rng: Random, size: int, long: bool) -> list[Case]:
    cases = []
    other, other_truth = valid_response(rng)
    for _ in range(size):
        text, truth = valid_response(rng)
        kind = rng.choices(("valid", "damaged", "random"), (20, 70, 10))[0]
        if kind == "damaged":
            text, other = damaged(rng, text, other), text
            truth = rng.choice((truth, other_truth, *FIXED_TRUTHS))
        elif kind == "random":
            text = random_text(rng, long)
        other_truth = truth
        cases.append(
            Case(
                kind=kind,
                text=text,
                ground_truth=truth,
                step=rng.choice((None, 0, rng.randrange(300))),
                preset=rng.choice(("toolrl", "toolrl_scheduled")),
            )
        )
    return cases


FIXED_TRUTHS = (
    "<think> so </think>\n<response> No tool fits. </response>",
    '{"format": "toolrl", "expect": "no_call", "calls": []}',
    '{"format": "chat_template", "expect": "no_call", "calls": []}',
    '{"format": "chat_template", "expect": "any_call", "calls": []}',
)


# Token ids


class Sampler:
    """A tokenizer of one kind and its labeler: texts to ids, some of which no tokenizer gives."""

    def __init__(self, tokenizer: Any) -> None:
        self.backend = tokenizer.backend_tokenizer
        self.labeler = RegionLabeler(tokenizer)
        self.num_ids = len(tokenizer)

    def rows(self, rng: Random, cases: list[Case], long: bool) -> list[list[int]]:
        # A lone surrogate is no text to a tokenizer; the reward still sees it.
        texts = [case.text.encode("utf-8", "replace").decode() for case in cases]
        rows = [
            code.ids for code in self.backend.encode_batch_fast(texts, add_special_tokens=False)
        ]
        for row, case in zip(rows, cases, strict=True):
            if not long:
                del row[MAX_TOKENS:]
            if case.kind == "random" and rng.random() < 0.5:
                row[:] = rng.choices(range(self.num_ids), k=len(row))
            if case.kind != "valid" and row and rng.random() < 0.2:
                strange = (-1, -100, self.num_ids, 2**31, 2**63 - 1, -(2**63))
                row[rng.randrange(len(row))] = rng.choice((*strange, rng.randrange(self.num_ids)))
        return rows


def padded(rng: Random, cases: list[Case], rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask, (B, T); a part of the rows has masked stretches, as tool output."""
    ids_BT = np.full((len(rows), max(map(len, rows))), rng.choice((0, 2, -100)), dtype=np.int64)
    mask_BT = np.zeros(ids_BT.shape, dtype=np.int64)
    for ids_T, mask_T, case, row in zip(ids_BT, mask_BT, cases, rows, strict=True):
        ids_T[: len(row)] = row
        mask_T[: len(row)] = 1
        if case.kind != "valid" and row and rng.random() < 0.3:
            start = rng.randrange(len(row))
            mask_T[start : start + rng.randrange(40)] = 0
    return ids_BT, mask_BT


# Invariants


def check_labels(
    labeler: RegionLabeler, cases: list[Case], ids_BT: np.ndarray, mask_BT: np.ndarray
) -> None:
    regions_BT = labeler.label_batch(ids_BT, mask_BT)
    assert regions_BT.shape == ids_BT.shape
    assert regions_BT.dtype == np.int8
    assert ((regions_BT == -1) == (mask_BT == 0)).all(), "-1 exactly where the mask is 0"
    assert regions_BT.max(initial=-1) <= max(Region)
    assert regions_BT.min(initial=0) >= -1
    named_B = (regions_BT == Region.NAME).any(axis=1)
    cut_B = mask_BT.sum(axis=1) == MAX_TOKENS
    for case, named, cut in zip(cases, named_B, cut_B, strict=True):
        assert named or cut or case.kind != "valid", "a valid call has a name"


def check_reward(case: Case) -> None:
    config = RewardConfig.preset(case.preset)
    scale = config.scale(case.step)
    result = tool_call_reward(case.text, case.ground_truth, case.step, config)
    assert result.format in (scale.format_min, scale.format_max)
    assert scale.correctness_min <= result.correctness <= scale.correctness_max
    assert result.score == result.format + result.correctness
    assert result.name_match or not result.exact_match
    assert result.num_calls >= 0
    if case.kind == "valid":
        best = scale.format_max + scale.correctness_max
        assert result.score == best, f"own ground truth: {result.score} instead of {best}"


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


# Running

_samplers: list[Sampler] = []


def set_up() -> None:
    """Makes this process's tokenizers: tags as text, tags as single tokens, SentencePiece."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    kinds = (byte_level(vocab_size=600), byte_level(added=TAGS), sentencepiece())
    _samplers[:] = map(Sampler, kinds)


def run_batch(seed: int, batch: int, size: int) -> str | None:
    """Runs one batch; gives a description of its first failure."""
    rng = Random(f"{seed}/{batch}")
    long = batch % LONG_BATCHES == LONG_BATCHES - 1
    sampler = _samplers[batch % len(_samplers)]
    cases = cases_of(rng, size, long)
    ids_BT, mask_BT = padded(rng, cases, sampler.rows(rng, cases, long))
    try:
        with time_limit(CASE_SECONDS * 6):
            check_labels(sampler.labeler, cases, ids_BT, mask_BT)
            for case in cases:
                check_reward(case)
        return None
    except Exception:
        whole = traceback.format_exc()
    for row, case in enumerate(cases):
        ids, mask = ids_BT[row : row + 1], mask_BT[row : row + 1]
        try:
            with time_limit(CASE_SECONDS):
                check_labels(sampler.labeler, [case], ids, mask)
                check_reward(case)
        except Exception:
            shown = {**vars(case), "ids": ids[0].tolist(), "mask": mask[0].tolist()}
            return f"row {row} alone:\n{json.dumps(shown)}\n{traceback.format_exc()}"
    return f"only the batch as a whole, no row alone:\n{whole}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="responses (default: 1000000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, help="repeat this batch only")
    options = parser.parse_args()

    sizes = [BATCH] * (options.count // BATCH) + [options.count % BATCH]
    batches = [(batch, size) for batch, size in enumerate(sizes) if size]
    if options.batch is not None:
        batches = [(options.batch, BATCH)]
    total = sum(size for _, size in batches)
    # Not forked: a fork copies the locks of the tokenizers' threads.
    pool = ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=set_up)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.monotonic()
    try:
        jobs = {
            pool.submit(run_batch, options.seed, batch, size): (batch, size)
            for batch, size in batches
        }
        with tqdm(total=total, unit=" responses", mininterval=1) as bar:
            for job in as_completed(jobs):
                batch, size = jobs[job]
                if (failure := job.result()) is not None:
                    bar.close()
                    print(f"FAILED: seed {options.seed}, batch {batch}, {failure}")
                    print(f"repeat: python tests/fuzz.py --seed {options.seed} --batch {batch}")
                    return 1
                bar.update(size)
    finally:  # stopped or done: what runs ends its batch, what waits is dropped
        pool.shutdown(cancel_futures=True)
    seconds = time.monotonic() - start
    print(
        f"fuzz: {total:,} responses, no failure, {seconds:.0f} s, {total / seconds:,.0f} a second"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
