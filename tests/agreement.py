"""Generated answers in every syntax, whole, cut off and damaged, to all who read answers.

`python tests/agreement.py [--count 10000] [--syntax NAME] [--seed 0]` checks that labels, reward,
agent loop, evaluation and data read the same calls, and that verl's own parser does, but for
differences with a name (tests/support/verl_differences.py). It uses every core; a seed and a number
give the same case on any machine. Ends with 1 at the first disagreement, and prints it with the
command that repeats it; else with a table of what was read and where verl differs.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).parent / "support"))

from agreement_cases import Tally, run_case, syntax_of
from tqdm import tqdm

from rest_verl.syntax import syntax_names

BATCH = 50
COLUMNS = ("whole answers", "whole calls", "cut off", "damaged", "untold", "foreign calls")


def set_up() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    logging.disable()  # verl's parsers log what they cannot read


def run_batch(seed: int, numbers: tuple[int, ...]) -> Tally | str:
    """The tally of the cases, or a description of the first failure."""
    tally: Tally = Counter()
    for number in numbers:
        try:
            tally += run_case(seed, number)
        except Exception:
            return (
                f"FAILED: seed {seed}, number {number}, {syntax_of(number)}\n"
                f"{traceback.format_exc()}"
                f"repeat: python tests/agreement.py --seed {seed} --number {number}"
            )
    return tally


def print_table(tally: Tally, names: list[str]) -> None:
    width = max(map(len, names))
    print(" " * width, *COLUMNS, sep="  ")
    for name in names:
        cells = (f"{tally[name, column]:{len(column)},}" for column in COLUMNS)
        print(f"{name:{width}}", *cells, sep="  ")
    print("\ndifferences from verl's parser of that name:")
    for name in names:
        reasons = {what[5:]: n for (of, what), n in tally.items() if of == name and "verl " in what}
        for reason, times in sorted(reasons.items(), key=lambda item: -item[1]):
            print(f"{name:{width}}  {times:7,}  {reason}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="cases (default: 10000)")
    parser.add_argument("--syntax", choices=syntax_names(), help="of this one only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, help="repeat this case only")
    options = parser.parse_args()

    wanted = (n for n in count() if options.syntax in (None, syntax_of(n)))
    numbers = list(islice(wanted, options.count))
    if options.number is not None:
        numbers = [options.number]
    # Not forked: a fork copies the locks of other threads.
    pool = ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=set_up)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.monotonic()
    tally: Tally = Counter()
    try:
        batches = [tuple(numbers[i : i + BATCH]) for i in range(0, len(numbers), BATCH)]
        jobs = {pool.submit(run_batch, options.seed, batch): len(batch) for batch in batches}
        with tqdm(total=len(numbers), unit=" cases", mininterval=1) as bar:
            for job in as_completed(jobs):
                result = job.result()
                if isinstance(result, str):
                    bar.close()
                    print(result)
                    return 1
                tally += result
                bar.update(jobs[job])
    finally:
        pool.shutdown(cancel_futures=True)
    names = [options.syntax] if options.syntax else syntax_names()
    print_table(tally, names)
    kinds = ("whole answers", "cut off", "damaged", "untold", "foreign")
    messages = sum(times for (_, kind), times in tally.items() if kind in kinds)
    seconds = time.monotonic() - start
    print(f"agreement: {len(numbers):,} cases, {messages:,} messages, all agree, {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
