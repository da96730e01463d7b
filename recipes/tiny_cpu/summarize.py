"""Turns what verl logged and dumped into metrics.jsonl, summary.json, samples.json and the report.

python -m recipes.tiny_cpu.summarize RUN_DIR --preset paper --seed 0 --seconds 612
"""

import argparse
import json
import math
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq

from rest_verl.viewing.report import write_report

NUM_SAMPLES = 3
NUM_EDGE_STEPS = 5
REWARD = "reward/total/mean"
CORRELATION = "training/rollout_actor_probs_pearson_corr"
LEAST_CORRELATION = 0.99
RATES = {"format_rate": "format_ok", "name_accuracy": "name_match", "exact_match": "exact_match"}


def read_log(path: Path) -> list[dict[str, Any]]:
    """verl's file log as flat records, one a step: {"step": n, name: value, ...}."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [{"step": line["step"], **line["data"]} for line in lines]


Answers = dict[tuple[str, str], list[dict[str, Any]]]
"""What verl dumped of a validation: each row's answers, by prompt and ground truth."""


def read_answers(run: Path, step: int) -> Answers:
    """The validation answers of `step`, as sampled: several a row."""
    answers: Answers = {}
    for line in (run / "validation" / f"{step}.jsonl").read_text().splitlines():
        answer = json.loads(line)
        answers.setdefault((answer["input"], answer["gts"]), []).append(answer)
    return answers


def summarise(
    records: list[dict[str, Any]],
    before: Answers,
    after: Answers,
) -> dict[str, Any]:
    """Rewards of the first and last steps, rates on the held-out rows, and the run's health.

    Raises:
        ValueError: the log holds no training step.
    """
    steps = [record for record in records if REWARD in record]
    if not steps:
        raise ValueError("verl logged no training step")
    rewards = [record[REWARD] for record in steps]
    summary: dict[str, Any] = {
        "reward_first5": fmean(rewards[:NUM_EDGE_STEPS]),
        "reward_last5": fmean(rewards[-NUM_EDGE_STEPS:]),
    }
    for name, key in RATES.items():
        for when, answers in (("before", before), ("after", after)):
            summary[f"{name}_{when}"] = _mean(key, answers)
    summary["held_out_rows"] = len(after)
    summary["held_out_answers"] = sum(map(len, after.values()))
    # verl logs NaN (null) for a batch in which the correlation is undefined.
    known = [record[CORRELATION] for record in steps if is_number(record.get(CORRELATION))]
    summary["sampler_trainer_correlation"] = min(known, default=math.nan)
    summary["steps"] = len(steps)
    return summary


def pick_samples(
    rows: list[dict[str, Any]],
    before: Answers,
    after: Answers,
) -> list[dict[str, Any]]:
    """First answers to the held-out rows of greatest, median and least change in mean score."""
    change = {
        key: _mean("score", {key: after[key]}) - _mean("score", {key: before[key]})
        for key in after
        if key in before
    }
    ordered = sorted(change, key=lambda key: (change[key], key))
    picks = [ordered[round(i * (len(ordered) - 1) / (NUM_SAMPLES - 1))] for i in (2, 1, 0)]
    return [
        {
            "id": _row_id(rows, prompt, ground_truth),
            "prompt": prompt,
            "ground_truth": ground_truth,
            "before": before[prompt, ground_truth][0]["output"],
            "after": after[prompt, ground_truth][0]["output"],
            "before_score": before[prompt, ground_truth][0]["score"],
            "after_score": after[prompt, ground_truth][0]["score"],
        }
        for prompt, ground_truth in dict.fromkeys(picks)
    ]


def _mean(key: str, answers: Answers) -> float:
    return fmean(answer[key] for several in answers.values() for answer in several)


def _row_id(rows: list[dict[str, Any]], prompt: str, ground_truth: str) -> str:
    """The row that verl showed as `prompt`: rows can share a ground truth or a question."""
    for row in rows:
        messages = [message["content"] for message in row["prompt"]]
        if row["reward_model"]["ground_truth"] == ground_truth and all(
            message in prompt for message in messages
        ):
            return row["extra_info"]["id"]
    raise ValueError(f"no held-out row has this prompt and ground truth: {ground_truth}")


def is_number(value: Any) -> bool:
    return value is not None and not math.isnan(value)


def write_text(path: Path, text: str) -> None:
    """All or nothing."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the held-out rows' parquet")
    parser.add_argument("--preset", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True, help="since the recipe started")
    arguments = parser.parse_args()
    run = arguments.run

    records = read_log(run / "verl_metrics.jsonl")
    last_step = max(record["step"] for record in records)
    before, after = read_answers(run, 0), read_answers(run, last_step)
    summary = summarise(records, before, after)
    summary |= {"seconds": arguments.seconds, "preset": arguments.preset, "seed": arguments.seed}
    samples = pick_samples(pq.read_table(arguments.data).to_pylist(), before, after)
    lines = [json.dumps(record) + "\n" for record in records]
    write_text(run / "metrics.jsonl", "".join(lines))
    write_text(run / "samples.json", json.dumps(samples, indent=2))
    write_text(run / "summary.json", json.dumps(summary, indent=2) + "\n")
    report = write_report(run)

    print(json.dumps(summary, indent=2))
    print(f"report: {report}")
    if not summary["sampler_trainer_correlation"] >= LEAST_CORRELATION:
        print(
            f"sampler and trainer disagree: {CORRELATION} fell to "
            f"{summary['sampler_trainer_correlation']:.4f} (at least {LEAST_CORRELATION} expected)",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
