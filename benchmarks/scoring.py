"""BFCL outputs scored a second on one core: single-turn rows and multi-turn conversations.

Every row of the installed bfcl-eval with its right answer, and with one thing wrong in it. Times
are CPU times of one process and thread, the best of the repeats. Reading the data is not counted,
but parsing a multi-turn row's answers is: the main rate has them parsed anew for every
conversation, "warm" finds them parsed, as for several samples of a row.
"""

from __future__ import annotations

import argparse
import gc
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import write_json

from rest_verl.data import BfclRow, BfclSource, reference_answer
from rest_verl.data.bfcl import MULTI_TURN_CATEGORIES
from rest_verl.data.bfcl_multi_turn import read_multi_turn
from rest_verl.environments.bfcl_task import BfclTask, parse_call
from rest_verl.evaluation.bfcl.multi_turn import score_multi_turn
from rest_verl.evaluation.bfcl.single_turn import score_single_turn
from rest_verl.evaluation.verdict import Verdict
from rest_verl.syntax import get_syntax

Calls = list[dict[str, Any]]


def right_calls(row: BfclRow) -> Calls:
    if row.expect == "any_call":
        return [{"name": row.functions[0]["name"], "arguments": {}}]
    read = get_syntax("hermes").read(reference_answer(row, "chat_template", "")).calls
    return [{"name": call.name, "arguments": call.arguments} for call in read]


def wrong_calls(row: BfclRow) -> Calls:
    """The last argument of the last call changed, so that all the others are looked at."""
    calls = right_calls(row)
    if not calls:
        return [{"name": "f", "arguments": {}}]
    arguments = calls[-1]["arguments"]
    arguments[list(arguments)[-1] if arguments else "surplus"] = "something else"
    return calls if row.expect == "calls" else []


def rows_per_second(work: Callable[..., Verdict], given: list[tuple], repeats: int) -> tuple:
    """(best rate, number of right ones)."""
    best = 0.0
    verdicts: list[Verdict] = []
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        verdicts = [work(*arguments) for arguments in given]
        best = max(best, len(given) / (time.process_time() - start))
    return best, sum(verdict.valid for verdict in verdicts)


def measure_single_turn(source: BfclSource, repeats: int) -> dict[str, Any]:
    rows = [row for category in source.select([]) for row in source.read(category)]
    results = {}
    for name, outputs in (("right", right_calls), ("wrong", wrong_calls)):
        given = [(row, outputs(row)) for row in rows]
        rate, num_right = rows_per_second(score_single_turn, given, repeats)
        results[name] = {"rows": len(rows), "valid": num_right, "per_second": rate}
    return results


def score_cold(task: dict[str, Any], turns: list[Any]) -> Verdict:
    parse_call.cache_clear()
    return score_multi_turn(task, turns)


def measure_multi_turn(source: BfclSource, category: str, repeats: int) -> dict[str, Any]:
    tasks = [row.task for row in read_multi_turn(source, category)]
    talks = [
        [[[call._asdict()] for call in turn] for turn in BfclTask.from_record(task).calls]
        for task in tasks
    ]
    results = {}
    for name in ("right", "wrong"):
        if name == "wrong":
            for talk in talks:
                talk[-1].clear()  # silent in the last turn: all the others are replayed
        given = list(zip(tasks, talks, strict=True))
        cold, num_right = rows_per_second(score_cold, given, repeats)
        warm, _ = rows_per_second(score_multi_turn, given, repeats)
        results[name] = {
            "rows": len(tasks),
            "valid": num_right,
            "per_second": cold,
            "per_second_warm": warm,
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/scoring.json"))
    parser.add_argument("--repeats", type=int, default=5, help="the best counts (%(default)s)")
    options = parser.parse_args()
    source = BfclSource.open()
    rates = {"single_turn": measure_single_turn(source, options.repeats)}
    for category in MULTI_TURN_CATEGORIES:
        rates[category] = measure_multi_turn(source, category, options.repeats)
    print(f"{'outputs a second':<26}{'':<7}{'rows':>6}{'valid':>7}{'scored':>10}{'warm':>8}")
    for name, by_kind in rates.items():
        for kind, rate in by_kind.items():
            warm = f"{rate['per_second_warm']:.0f}" if "per_second_warm" in rate else ""
            print(
                f"{name:<26}{kind:<7}{rate['rows']:>6}{rate['valid']:>7}"
                f"{rate['per_second']:>10.0f}{warm:>8}"
            )
    write_json(
        options.output,
        {
            "benchmark": "scoring",
            "python": platform.python_version(),
            "bfcl_eval": source.release,
            "rates": rates,
        },
    )
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
