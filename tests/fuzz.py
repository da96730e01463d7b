"""Runs generated responses in every syntax, valid, damaged and random, through labels, readings
and rewards.

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
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the processes fill the cores

sys.path.insert(0, str(Path(__file__).parent / "support"))

import numpy as np
from accidents import damaged, random_text
from answers import ground_truth, some_plan
from argument_values import ALL_TAGS, OWN_TAGS, TOOLS
from toy_tokenizers import byte_level, sentencepiece
from tqdm import tqdm

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.evaluation.calls import record_calls
from rest_verl.integration.message_reader import MessageReader
from rest_verl.rewards import RewardConfig, tool_call_reward
from rest_verl.syntax import ToolCall, get_syntax, syntax_names

BATCH = 256
MAX_TOKENS = 400  # of a row, but for the rare long ones
LONG_BATCHES = 50  # one batch in so many has rows of any length
CASE_SECONDS = 10  # for one response; ordinary ones take well below a millisecond
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
# A batch is in one syntax; the two that most models are trained in come more often.
SYNTAXES = (*("toolrl", "hermes") * 3, *syntax_names())


@dataclass(frozen=True, kw_only=True)
class Case:
    """One response and what it is scored against."""

    kind: str
    """`valid` (scored against itself), `damaged`, or `random`."""
    syntax: str
    text: str
    think_is_open: bool | None
    """As the prompt has it; None: nobody is told."""
    num_calls: int
    """Of a valid one."""
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


def valid_response(rng: Random, syntax: str) -> tuple[str, int, bool, str]:
    """A response, its number of calls, whether the prompt opened its thought, and the ground truth
    that it answers exactly."""
    if syntax != "toolrl":
        plan = some_plan(rng, syntax)
        truth = ground_truth(plan.calls, "other")
        return plan.message, len(plan.calls), plan.prompt_opens, truth
    exact = rng.random() < 0.5
    calls = [
        ToolCall(
            rng.choice(NAMES),
            {rng.choice(KEYS): json_value(rng, 2 * exact) for _ in range(rng.randrange(5))},
        )
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
    ]
    think = " ".join(rng.choices(WORDS, k=rng.randrange(1, 25)))
    text = get_syntax(syntax).write(calls, think=think)
    truth = text if exact else ground_truth(calls, "other").replace("chat_template", "toolrl", 1)
    return text, len(calls), False, truth


def cases_of(rng: Random, size: int, long: bool, syntax: str, can_open: bool) -> list[Case]:
    cases = []
    other, _, _, other_truth = valid_response(rng, syntax)
    for _ in range(size):
        text, num_calls, think_is_open, truth = valid_response(rng, syntax)
        while think_is_open and not can_open:
            text, num_calls, think_is_open, truth = valid_response(rng, syntax)
        tags = OWN_TAGS[syntax] if rng.random() < 0.8 else ALL_TAGS
        kind = rng.choices(("valid", "damaged", "random"), (20, 70, 10))[0]
        if kind == "damaged":
            text, other = damaged(rng, text, other, tags), text
            truth = rng.choice((truth, other_truth, *FIXED_TRUTHS))
        elif kind == "random":
            text = random_text(rng, long, tags)
        other_truth = truth
        told = kind == "valid" or rng.random() < 0.5
        cases.append(
            Case(
                kind=kind,
                syntax=syntax,
                text=text,
                think_is_open=think_is_open if told else rng.choice((None, True, False)),
                num_calls=num_calls,
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
    """A tokenizer of one kind and its readers: texts to ids, some of which no tokenizer gives."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.backend = tokenizer.backend_tokenizer
        self.num_ids = len(tokenizer)

    @cache  # noqa: B019 (as long as the process)
    def labeler(self, syntax: str) -> RegionLabeler:
        return RegionLabeler(self.tokenizer, syntax)

    @cache  # noqa: B019
    def reader(self, syntax: str) -> MessageReader:
        return MessageReader(self.tokenizer, get_syntax(syntax))

    @cache  # noqa: B019
    def prompt(self, syntax: str, think_is_open: bool | None) -> list[int]:
        opening = get_syntax(syntax).think[0].decode() if think_is_open else ""
        text = f"<|im_start|>assistant\n{opening}"
        return self.backend.encode(text, add_special_tokens=False).ids

    @cache  # noqa: B019
    def can_open(self, syntax: str) -> bool:
        """Whether the tag that opens a thought is short enough, in tokens, to be seen."""
        return self.reader(syntax).think_is_open(self.prompt(syntax, True))

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


def prompts_of(sampler: Sampler, cases: list[Case]) -> np.ndarray:
    """The prompt of each case, (B, P), padded in front."""
    prompts = [sampler.prompt(case.syntax, case.think_is_open) for case in cases]
    prompts_BP = np.full((len(prompts), max(map(len, prompts))), -100, dtype=np.int64)
    for prompt_P, prompt in zip(prompts_BP, prompts, strict=True):
        prompt_P[len(prompt_P) - len(prompt) :] = prompt
    return prompts_BP


def check_labels(
    labeler: RegionLabeler,
    cases: list[Case],
    ids_BT: np.ndarray,
    mask_BT: np.ndarray,
    prompts_BP: np.ndarray | None,
) -> None:
    regions_BT = labeler.label_batch(ids_BT, mask_BT, prompts=prompts_BP)
    assert regions_BT.shape == ids_BT.shape
    assert regions_BT.dtype == np.int8
    assert ((regions_BT == -1) == (mask_BT == 0)).all(), "-1 exactly where the mask is 0"
    assert regions_BT.max(initial=-1) <= max(Region)
    assert regions_BT.min(initial=0) >= -1
    named_B = (regions_BT == Region.NAME).any(axis=1)
    # What an end of turn breaks off is read as messages of their own.
    broken_B = mask_BT.sum(axis=1) == MAX_TOKENS
    ends_BT = np.isin(ids_BT, list(labeler.vocabulary.end_ids)) & (mask_BT > 0)
    broken_B |= ends_BT.any(axis=1)
    for case, named, broken in zip(cases, named_B, broken_B, strict=True):
        told = prompts_BP is not None or not case.think_is_open
        if case.kind == "valid" and told and not broken:
            assert named == (case.num_calls > 0), "a valid call has a name, and nothing else has"


def check_reading(reader: MessageReader, case: Case, row: list[int], prompt: list[int]) -> None:
    reading = reader.read(row, prompt, TOOLS)
    json.dumps(record_calls(reading), ensure_ascii=False).encode()
    if case.kind == "valid" and len(row) != MAX_TOKENS:
        assert reading.whole_calls is not None
        assert len(reading.calls) == case.num_calls, "the calls that were written"


def check_reward(case: Case) -> None:
    config = RewardConfig.preset(case.preset)
    scale = config.scale(case.step)
    result = tool_call_reward(
        case.text,
        case.ground_truth,
        case.step,
        config,
        syntax=case.syntax,
        think_is_open=case.think_is_open,
        tools=TOOLS,
        explain=case.step is None,
    )
    assert result.format in (scale.format_min, scale.format_max)
    assert scale.correctness_min <= result.correctness <= scale.correctness_max
    assert result.score == result.format + result.correctness
    assert result.name_match or not result.exact_match
    assert result.num_calls >= 0
    if case.kind == "valid":
        best = scale.format_max + (scale.correctness_max if case.num_calls else 0)
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
    tags = tuple(tag for tag in ALL_TAGS if "=" not in tag)  # a tag with a name is no token
    kinds = (byte_level(vocab_size=600), byte_level(added=tags), sentencepiece())
    _samplers[:] = map(Sampler, kinds)


def run_batch(seed: int, batch: int, size: int) -> str | None:
    """Runs one batch; gives a description of its first failure."""
    rng = Random(f"{seed}/{batch}")
    long = batch % LONG_BATCHES == LONG_BATCHES - 1
    sampler = _samplers[batch % len(_samplers)]
    syntax = SYNTAXES[batch // len(_samplers) % len(SYNTAXES)]
    labeler, reader = sampler.labeler(syntax), sampler.reader(syntax)
    cases = cases_of(rng, size, long, syntax, sampler.can_open(syntax))
    rows = sampler.rows(rng, cases, long)
    ids_BT, mask_BT = padded(rng, cases, rows)
    prompts_BP = prompts_of(sampler, cases) if rng.random() < 0.7 else None

    def check(rows_: slice) -> None:
        prompts = None if prompts_BP is None else prompts_BP[rows_]
        check_labels(labeler, cases[rows_], ids_BT[rows_], mask_BT[rows_], prompts)
        for case, row in zip(cases[rows_], rows[rows_], strict=True):
            check_reading(reader, case, row, sampler.prompt(syntax, case.think_is_open))
            check_reward(case)

    try:
        with time_limit(CASE_SECONDS * 6):
            check(slice(size))
        return None
    except Exception:
        whole = traceback.format_exc()
    for row, case in enumerate(cases):
        try:
            with time_limit(CASE_SECONDS):
                check(slice(row, row + 1))
        except Exception:
            shown = {**vars(case), "ids": rows[row], "mask": mask_BT[row].tolist()}
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
