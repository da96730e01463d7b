"""Turns what verl logged and dumped of a multi-turn run into metrics, a summary and a conversation.

python -m recipes.tiny_multi_turn.summarize RUN_DIR --seconds 412
"""

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from recipes.tiny_cpu.summarize import read_log
from rest_verl.files.atomic import write_atomically, write_json
from rest_verl.files.json_lines import read_lines

RATES = ("official", "dense", "turns_right", "turns", "calls")


def read_dump(folder: Path, step: int) -> list[dict[str, Any]]:
    """The trajectories that verl dumped at `step`."""
    return [json.loads(line) for line in read_lines(folder / f"{step}.jsonl")]


def summarise(records: list[dict[str, Any]], run: Path) -> dict[str, Any]:
    """Means over the held-out rows before and after, and over the first and the last step."""
    steps = [record for record in records if "reward/total/mean" in record]
    if not steps:
        raise ValueError("verl logged no training step")
    summary: dict[str, Any] = {
        "reward_first": steps[0]["reward/total/mean"],
        "reward_last": steps[-1]["reward/total/mean"],
    }
    for when, step in (("before", 0), ("after", records[-1]["step"])):
        held_out = read_dump(run / "validation", step)
        for name in RATES:
            summary[f"held_out_{name}_{when}"] = fmean(row[name] for row in held_out)
    summary["steps"] = len(steps)
    return summary


def longest_conversation(run: Path, step: int) -> str:
    """The held-out conversation of most turns, as the model saw and wrote it."""
    best = max(read_dump(run / "validation", step), key=lambda row: (row["turns"], row["score"]))
    return f"{best['input']}{best['output']}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=int, required=True, help="since the recipe started")
    arguments = parser.parse_args()
    run = arguments.run
    records = read_log(run)
    summary = {**summarise(records, run), "seconds": arguments.seconds}
    conversation = longest_conversation(run, records[-1]["step"])
    write_atomically(run / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in records))
    write_atomically(run / "conversation.txt", conversation)
    write_json(run / "summary.json", summary)
    print(conversation)
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
