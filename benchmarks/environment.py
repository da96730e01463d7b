"""BFCL rollouts a second against the official executor and checker, cross-talk, and memory.

Both sides run the same right conversations in one process and thread; times are CPU times, the best
of the repeats. The official side gets a name of its own for every run, as its users must give it.

- execute: instances and all calls of a row. Here the calls are given as a rollout gives them, name
  and JSON arguments; the official executor takes call strings and evaluates them.
- judge: a whole rollout, from the record to its score, against the official checker. "cold" parses
  the answers anew for every row; "warm" finds them parsed, as in a group of rollouts of one row.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import os
import platform
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import write_json

from rest_verl.environments.bfcl import BFCLEnvironment
from rest_verl.environments.bfcl_backend import Commons, plain_copy
from rest_verl.environments.bfcl_task import BfclTask, Call, parse_call
from rest_verl.files.json_lines import read_json_lines

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
SEED = 0
Rows = list[dict[str, Any]]
Talk = list[list[Call]]

_unused_names = (f"run_{number}_of_its_own" for number in itertools.count())


def read_rows(category: str) -> Rows:
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs the package bfcl-eval: pip install --no-deps bfcl-eval")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    name = f"BFCL_v4_multi_turn_{category}.json"
    answers = {row["id"]: row for _, row in read_json_lines(folder / "possible_answer" / name)}
    return [{**row, **answers[row["id"]]} for _, row in read_json_lines(folder / name)]


# --- the two sides --------------------------------------------------------------------------------


def official_execute(row: dict[str, Any]) -> list[str]:
    from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_utils

    name, outputs = next(_unused_names), []
    for turn in row["ground_truth"]:
        results, _ = multi_turn_utils.execute_multi_turn_func_call(
            turn,
            row["initial_config"],
            row["involved_classes"],
            name,
            row["id"],
            long_context="long_context" in row["id"],
        )
        outputs += results
    return outputs


def official_judge(row: dict[str, Any]) -> bool:
    from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_checker

    turns = [[[call] for call in turn] for turn in row["ground_truth"]]
    verdict = multi_turn_checker.multi_turn_checker(
        turns, row["ground_truth"], row, "", next(_unused_names)
    )
    return verdict["valid"]


def execute(task: BfclTask) -> list[str]:
    instances = task.instances(Commons())
    return [
        instances.run(name, plain_copy(arguments))
        for turn in task.calls
        for name, arguments in turn
    ]


def judge(row: dict[str, Any], talk: Talk) -> bool:
    environment = BFCLEnvironment(row)
    for turn in talk:
        play_turn(environment, turn)
    return environment.score() == 1.0


def play_turn(environment: BFCLEnvironment, turn: list[Call]) -> None:
    for name, arguments in turn:
        environment.call(name, arguments)
    environment.end_turn()


def judge_cold(row: dict[str, Any], talk: Talk) -> bool:
    parse_call.cache_clear()
    return judge(row, talk)


# --- measuring ------------------------------------------------------------------------------------


def rows_per_second(work: Callable[..., Any], given: list[tuple], repeats: int) -> tuple:
    """(best rate, the results of the last repeat)."""
    best = 0.0
    results: list[Any] = []
    for _ in range(repeats):
        results = []  # what the last repeat left is not this one's cost
        gc.collect()
        start = time.process_time()
        results = [work(*arguments) for arguments in given]
        best = max(best, len(given) / (time.process_time() - start))
    return best, results


def measure_rates(category: str, repeats: int) -> dict[str, Any]:
    rows = read_rows(category)
    tasks = [BfclTask.from_record(row) for row in rows]
    talks = [(row, task.calls) for row, task in zip(rows, tasks, strict=True)]
    theirs, their_outputs = rows_per_second(official_execute, [(row,) for row in rows], repeats)
    ours, outputs = rows_per_second(execute, [(task,) for task in tasks], repeats)
    checker, valid = rows_per_second(official_judge, [(row,) for row in rows], repeats)
    cold, right = rows_per_second(judge_cold, talks, repeats)
    warm, _ = rows_per_second(judge, talks, repeats)
    return {
        "rows": len(rows),
        "execute": {"official": theirs, "ours": ours, "ratio": ours / theirs},
        "judge": {
            "official": checker,
            "cold": cold,
            "warm": warm,
            "ratio_cold": cold / checker,
            "ratio_warm": warm / checker,
        },
        "equal_outputs": outputs == their_outputs,
        "equal_verdicts": right == valid == [True] * len(rows),
    }


def measure_cross_talk(num_rollouts: int, rounds: int) -> dict[str, Any]:
    """So many rollouts in threads at once, every other one with a call left out or one doubled."""
    rng = random.Random(SEED)
    rows = [row for category in CATEGORIES for row in read_rows(category)]
    jobs: list[tuple[dict[str, Any], Talk]] = []
    for number in range(num_rollouts * rounds):
        row = rng.choice(rows)
        talk = [list(turn) for turn in BfclTask.from_record(row).calls]
        if number % 2:
            turn = rng.choice([turn for turn in talk if turn])
            place = rng.randrange(len(turn))
            turn[place : place + 1] = [turn[place]] * rng.choice([0, 2])
        jobs.append((row, talk))
    alone = [judge(row, talk) for row, talk in jobs]
    together = threading.Barrier(num_rollouts)

    def rollout(job: tuple[dict[str, Any], Talk]) -> bool:
        row, talk = job
        environment = BFCLEnvironment(row)
        together.wait()
        for turn in talk:
            play_turn(environment, turn)
            time.sleep(0.001)  # the model's answer: others run in between
        return environment.score() == 1.0

    with ThreadPoolExecutor(num_rollouts) as pool:
        scores = list(pool.map(rollout, jobs))
    return {
        "at_a_time": num_rollouts,
        "rollouts": len(jobs),
        "right": sum(scores),
        "differing_from_alone": sum(a != b for a, b in zip(scores, alone, strict=True)),
    }


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_memory(num_rollouts: int) -> dict[str, Any]:
    """Growth from the first rollout of each category on, caches included."""
    by_category = [read_rows(category) for category in CATEGORIES]
    rows = [row for rows in zip(*by_category, strict=True) for row in rows]
    for row in rows[: len(CATEGORIES)]:
        judge(row, BfclTask.from_record(row).calls)
    gc.collect()
    before = resident_megabytes()
    for number in range(num_rollouts):
        row = rows[number % len(rows)]
        judge(row, BfclTask.from_record(row).calls)
    return {"rollouts": num_rollouts, "growth_mb": resident_megabytes() - before}


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/environment.json"))
    parser.add_argument("--repeats", type=int, default=5, help="the best counts (%(default)s)")
    parser.add_argument("--at-a-time", type=int, default=256, help="rollouts (%(default)s)")
    parser.add_argument("--rounds", type=int, default=8, help="of those (%(default)s)")
    parser.add_argument("--rollouts", type=int, default=10_000, help="for memory (%(default)s)")
    options = parser.parse_args()

    # The official executor keeps all its instances, so memory comes first.
    memory = rounded(measure_memory(options.rollouts))
    print(f"{memory['rollouts']} rollouts: resident memory grew by {memory['growth_mb']} MB")
    talk = measure_cross_talk(options.at_a_time, options.rounds)
    print(
        f"{talk['rollouts']} rollouts, {talk['at_a_time']} at a time ({talk['right']} right): "
        f"{talk['differing_from_alone']} scores differ from the same rollouts alone"
    )
    print(
        f"\n{'rows a second':<16}{'execute':>9}{'official':>10}{'ratio':>7}"
        f"{'judge cold':>13}{'warm':>7}{'official':>10}{'ratios':>12}{'equal':>7}"
    )
    rates = {}
    for category in CATEGORIES:
        rates[category] = rate = rounded(measure_rates(category, options.repeats))
        run, verdict = rate["execute"], rate["judge"]
        ratios = f"{verdict['ratio_cold']:.2f} {verdict['ratio_warm']:.2f}"
        equal = "yes" if rate["equal_outputs"] and rate["equal_verdicts"] else "NO"
        print(
            f"{category:<16}{run['ours']:>9.0f}{run['official']:>10.0f}{run['ratio']:>7.2f}"
            f"{verdict['cold']:>13.0f}{verdict['warm']:>7.0f}{verdict['official']:>10.0f}"
            f"{ratios:>12}{equal:>7}"
        )
    write_json(
        options.output,
        {
            "benchmark": "environment",
            "python": platform.python_version(),
            "seed": SEED,
            "rates": rates,
            "cross_talk": talk,
            "memory": memory,
        },
    )
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
