"""Scores a second of the rewards, against the released code's algorithm, and cost by length.

The opponent is that algorithm as docs/reward-rule.md, section 4, describes it, written anew and
without its printing: tags by substring, one JSON object a line, greedy matching, the ground truth
parsed at every call. Both sides score the same rows in the same process and thread; times are CPU
times, the best of the repeats.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import write_json

from rest_verl.rewards import tool_call_reward

Rows = list[tuple[str, str]]
"""(response, ground truth) of each row."""

SEED = 0
RLLA = Path(__file__).parents[2] / "shared" / "data" / "rlla" / "rlla_sft.json"
MEGABYTES = (0.25, 0.5, 1.0)


# --- the opponent ---------------------------------------------------------------------------------


def opponent_jaccard(left: list[str], right: list[str]) -> float:
    if left == right:
        return 1.0
    if not left or not right:
        return 0.0
    shared = sum((Counter(left) & Counter(right)).values())
    return shared / (len(left) + len(right) - shared)


def opponent_format(response: str, truth: str) -> float:
    parts = [tag for tag in ("tool_call", "response") if f"<{tag}>" in truth]
    if "response" not in parts and "response>" in response:
        return 0.0
    tags = [f"<{slash}{part}>" for part in ("think", *parts) for slash in ("", "/")]
    places = [response.find(tag) for tag in tags]
    once = all(response.count(tag) == 1 for tag in tags[2:])
    return float(once and -1 not in places and places == sorted(places))


def opponent_calls(text: str) -> list[dict[str, Any]]:
    block = text.split("<tool_call>")[1].split("</tool_call>")[0]
    return [json.loads(line) for line in block.strip().split("\n")]


def opponent_correctness(response: str, truth: str) -> float:
    if "<tool_call>" not in truth:
        return 0.0
    expected = opponent_calls(truth)
    try:
        predicted = opponent_calls(response)
        if predicted == expected:
            return 3.0
        score = opponent_jaccard([c["name"] for c in expected], [c["name"] for c in predicted])
        most, used = 1.0, set()
        for call in expected:
            parameters = call["parameters"]
            most += 1.0 + len(parameters)
            best, best_index = 0.0, -1
            for index, other in enumerate(predicted):
                if index in used or other["name"] != call["name"]:
                    continue
                given = other["parameters"]
                points = opponent_jaccard(list(parameters), list(given))
                points += sum(1.0 for k, v in parameters.items() if k in given and given[k] == v)
                if points > best:
                    best, best_index = points, index
            used.add(best_index)
            score += best
        return 6.0 * score / most - 3.0
    except Exception:
        return -3.0


def opponent_reward(response: str, truth: str) -> float:
    response = response.strip()
    return opponent_format(response, truth) + opponent_correctness(response, truth)


# --- rows -----------------------------------------------------------------------------------------


def prose(rng: random.Random, num_words: int) -> str:
    words = ("the", "user", "wants", "a", "weather", "forecast", "tool", "with", "parameters", "so")
    return " ".join(rng.choices(words, k=num_words))


def toolrl_text(rng: random.Random, calls: list[dict[str, Any]]) -> str:
    lines = "\n".join(json.dumps(call) for call in calls)
    thought = prose(rng, rng.randint(50, 350))
    return f"<think> {thought} </think>\n<tool_call>\n{lines}\n</tool_call>"


def synthetic_rows(num_rows: int) -> tuple[Rows, Rows]:
    """Rows in both notations: one to three calls, a third right, the others wrong in one thing."""
    rng = random.Random(SEED)
    exact: Rows = []
    allowed: Rows = []
    for _ in range(num_rows):
        calls: list[dict[str, Any]] = [
            {
                "name": f"service.tool_{rng.randrange(1000)}",
                "parameters": {
                    f"parameter_{i}": rng.choice([i, i / 2, "New York, NY", True, [1, 2, 3]])
                    for i in range(rng.randint(1, 4))
                },
            }
            for _ in range(rng.choice([1, 1, 1, 2, 3]))
        ]
        predicted = json.loads(json.dumps(calls))
        mistake = rng.randrange(6)
        if mistake == 0:
            predicted[0]["name"] += "_"
        elif mistake == 1:
            predicted[0]["parameters"]["parameter_0"] = "wrong"
        elif mistake == 2:
            predicted[0]["parameters"].popitem()
        elif mistake == 3:
            predicted.append({"name": "spurious", "parameters": {}})
        response = toolrl_text(rng, predicted)
        exact.append((response, toolrl_text(rng, calls)))
        lists = [
            {"name": c["name"], "parameters": {k: [v, ""] for k, v in c["parameters"].items()}}
            for c in calls
        ]
        record = {"format": "toolrl", "expect": "calls", "calls": lists}
        allowed.append((response, json.dumps(record)))
    return exact, allowed


def rlla_rows() -> Rows:
    """ToolRL's worked answers against their own and their neighbours' ground truth."""
    outputs = [row["output"] for row in json.loads(RLLA.read_text(encoding="utf-8"))]
    return [*zip(outputs, outputs, strict=True), *pairwise(outputs)]


def opponent_can_read(row: tuple[str, str]) -> bool:
    try:
        opponent_reward(*row)
    except ValueError:  # a tag quoted in the ground truth's think text
        return False
    return True


# --- measuring ------------------------------------------------------------------------------------


def scores_per_second(
    score: Callable[[str, str], Any], rows: Rows, seconds: float, repeats: int
) -> float:
    """Best of the repeats, each of about ``seconds / repeats``."""
    for row in rows:  # warm-up; the ground truths of these rows are parsed here
        score(*row)
    best = 0.0
    for _ in range(repeats):
        num_scores, start = 0, time.process_time()
        while (elapsed := time.process_time() - start) < seconds / repeats:
            for response, truth in rows:
                score(response, truth)
            num_scores += len(rows)
        best = max(best, num_scores / elapsed)
    return best


def measure_rows(rows: Rows, seconds: float, repeats: int, *, compare: bool) -> dict[str, Any]:
    if compare:
        rows = [row for row in rows if opponent_can_read(row)]
    ours = scores_per_second(tool_call_reward, rows, seconds, repeats)
    measured: dict[str, Any] = {
        "rows": len(rows),
        "mean_characters": round(sum(len(response) for response, _ in rows) / len(rows)),
        "scores_per_second": round(ours),
    }
    if compare:
        theirs = scores_per_second(opponent_reward, rows, seconds, repeats)
        equal = sum(abs(tool_call_reward(*r).score - opponent_reward(*r)) < 1e-9 for r in rows)
        measured["opponent_scores_per_second"] = round(theirs)
        measured["ratio"] = round(ours / theirs, 2)
        measured["equal_scores"] = equal
    return measured


def hard_texts(num_characters: int) -> dict[str, str]:
    """Texts on which careless parsing is quadratic, or worse."""

    def filled(piece: str, before: str = "", after: str = "") -> str:
        return before + piece * (num_characters // len(piece)) + after

    return {
        "long think": filled("word ", "<think>", "</think>"),
        "open tags": filled("<tool_call>"),
        "closing tags": filled("</tool_call>"),
        "empty blocks": filled("<tool_call></tool_call>"),
        "angle brackets": filled("<"),
        "open objects": filled("{", "<tool_call>", "</tool_call>"),
        "open lists": filled("[", "<tool_call>", "</tool_call>"),
        "one long string": filled("a", '<tool_call>{"name": "', '"}</tool_call>'),
        "digits": filled("1", '<tool_call>{"name": ', "}</tool_call>"),
        "calls of one name": filled(
            '{"name": "f", "parameters": {"x": 1}}', "<tool_call>", "</tool_call>"
        ),
    }


def measure_hard_texts(repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds by text and length in MB; the ground truth has two calls of one name."""
    call = '{"name": "f", "parameters": {"x": 1}}'
    truth = f"<tool_call>{call}{call}</tool_call>"
    milliseconds: dict[str, dict[str, float]] = {}
    for megabytes in MEGABYTES:
        for name, text in hard_texts(int(megabytes * 1e6)).items():
            best = float("inf")
            for _ in range(repeats):
                start = time.process_time()
                tool_call_reward(text, truth)
                best = min(best, time.process_time() - start)
            milliseconds.setdefault(name, {})[str(megabytes)] = round(best * 1e3, 3)
    return milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/rewards.json"))
    parser.add_argument("--rows", type=int, default=1000, help="synthetic rows (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="per rate (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="the best counts (%(default)s)")
    options = parser.parse_args()

    exact, allowed = synthetic_rows(options.rows)
    budget = (options.seconds, options.repeats)
    rates = {
        "synthetic, exact values": measure_rows(exact, *budget, compare=True),
        "synthetic, allowed values": measure_rows(allowed, *budget, compare=False),
    }
    if RLLA.exists():
        rates["rlla"] = measure_rows(rlla_rows(), *budget, compare=True)
    hard = measure_hard_texts(options.repeats)

    print(f"{'rows':<27}{'number':>8}{'chars':>7}{'scores/s':>10}{'opponent':>10}{'ratio':>7}")
    for name, rate in rates.items():
        opponent = rate.get("opponent_scores_per_second", "-")
        print(
            f"{name:<27}{rate['rows']:>8}{rate['mean_characters']:>7}"
            f"{rate['scores_per_second']:>10}{opponent:>10}{rate.get('ratio', '-'):>7}"
        )
    print(f"\n{'ms a score':<27}" + "".join(f"{f'{megabytes} MB':>10}" for megabytes in MEGABYTES))
    for name, times in hard.items():
        print(f"{name:<27}" + "".join(f"{ms:>10.2f}" for ms in times.values()))

    write_json(
        options.output,
        {
            "benchmark": "rewards",
            "python": platform.python_version(),
            "seed": SEED,
            "rates": rates,
            "hard_texts_ms": hard,
        },
    )
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
