"""Turns what verl logged and dumped into metrics.jsonl, summary.json, samples.json and the report.

python -m recipes.tiny_cpu.summarize RUN_DIR --preset paper --seed 0 --seconds 612
"""

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq

from rest_verl.data import BfclSource
from rest_verl.evaluation.bfcl.validation import score_validation
from rest_verl.evaluation.comparison import difference_sentence, p_value, points_interval
from rest_verl.evaluation.statistics import paired_comparison
from rest_verl.evaluation.table import CONFIDENCE_LABEL, Accuracy, markdown_table, percent
from rest_verl.files.atomic import write_atomically, write_json
from rest_verl.files.json_lines import read_lines
from rest_verl.rewards.in_words import reward_in_words
from rest_verl.viewing.report.metrics import Record, parse_metrics
from rest_verl.viewing.report.write import write_report

NUM_EDGE_STEPS = 5
REWARD = "reward/total/mean"
CORRELATION = "training/rollout_actor_probs_pearson_corr"
FRESH_CORRELATION = f"{CORRELATION}/fresh"
LEAST_CORRELATION = 0.99
STALENESS = "rest/staleness/max"
RATES = {"format_rate": "format_ok", "name_accuracy": "name_match", "exact_match": "exact_match"}

Answer = dict[str, Any]
"""A held-out answer, as `score_validation` reads it."""

MEASURES: dict[str, tuple[str, Callable[[Answer], bool]]] = {
    "bfcl_accuracy": ("BFCL accuracy", lambda answer: answer["valid"]),
    "right_names": ("right tool names", lambda answer: answer["logged"]["name_match"] == 1),
    "valid_format": ("format as asked", lambda answer: answer["logged"]["format_ok"] == 1),
}
"""What is compared before and after, by key of the summary: its name, and when an answer has it."""


def read_log(run: Path) -> list[Record]:
    """The steps that verl logged, over all starts of the run; of one trained again, the last."""
    logs = [run / name for name in ("verl_metrics_earlier.jsonl", "verl_metrics.jsonl")]
    lines = [line for log in logs if log.exists() for line in read_lines(log)]
    return parse_metrics(lines)[0]


def summarise(records: list[Record], before: list[Answer], after: list[Answer]) -> dict[str, Any]:
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
    summary["held_out_rows"] = len({answer["id"] for answer in after})
    summary["held_out_answers"] = len(after)
    summary["held_out"] = compare(before, after)
    # Samples of earlier weights rightly disagree with the trainer; the fresh among them are logged
    # apart. verl logs NaN (null) for a batch in which the correlation is undefined.
    names = [FRESH_CORRELATION if record.get(STALENESS) else CORRELATION for record in steps]
    measured = [record.get(name) for record, name in zip(steps, names, strict=True)]
    known = [value for value in measured if is_number(value)]
    summary["sampler_trainer_correlation"] = min(known, default=None)
    summary["steps"] = len(steps)
    return summary


def compare(before: list[Answer], after: list[Answer]) -> dict[str, dict[str, Any]]:
    """Each of `MEASURES` before and after, row by row, and whether the change is more than noise.

    The unit is the row; its answers enter as their mean.
    """
    compared = {}
    for key, (_, has) in MEASURES.items():
        runs = [_by_row(has, answers) for answers in (before, after)]
        result = paired_comparison(*runs)
        first, second = (
            Accuracy.of_rows(key, sum(map(sum, run.values())) / result.samples, result.rows)
            for run in runs
        )
        compared[key] = {
            "before": first.as_dict(),
            "after": second.as_dict(),
            "difference": result.difference,
            "interval": list(result.interval),
            "p": result.p,
            "more_than_noise": result.more_than_noise,
            "sentence": difference_sentence(result, "After training it"),
        }
    return compared


def held_out_table(compared: dict[str, dict[str, Any]]) -> str:
    """What `compare` found as Markdown."""
    head = ["of held-out answers", "before", "after", "points", "p"]
    rows = [
        [
            MEASURES[key][0],
            _share(result["before"]),
            _share(result["after"]),
            f"{result['difference'] * 100:+.2f} ({points_interval(result['interval'])})",
            p_value(result["p"]),
        ]
        for key, result in compared.items()
    ]
    note = f"In brackets: {CONFIDENCE_LABEL} intervals. Their unit is the row, as it is that of p."
    return f"{markdown_table(head, rows)}\n{note}\n"


def pick_samples(
    rows: list[dict[str, Any]], before: list[Answer], after: list[Answer]
) -> list[dict[str, Any]]:
    """Held-out rows ranked by the change of the mean score of their answers: best, median, worst.

    Of each row's answers the one of median score is shown, with what it earned in words.
    """
    by_id = {row["extra_info"]["id"]: row for row in rows}
    old, new = _of_rows(before), _of_rows(after)
    change = {
        row: _mean("score", answers) - _mean("score", old[row])
        for row, answers in new.items()
        if row in old
    }
    ordered = sorted(change, key=lambda row: (change[row], row), reverse=True)
    places = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    picks = {ordered[place]: rank for rank, place in reversed(places.items())}  # few rows: the best
    samples = []
    for row, rank in reversed(picks.items()):
        ground_truth = by_id[row]["reward_model"]["ground_truth"]
        sample = {
            "id": row,
            "rank": f"{rank} of {len(ordered)}",
            "prompt": "\n".join(f"{m['role']}\n{m['content']}" for m in by_id[row]["prompt"]),
            "ground_truth": ground_truth,
        }
        for when, answers in (("before", old[row]), ("after", new[row])):
            score_of = [(answer["logged"]["score"], answer["text"]) for answer in answers]
            score, text = sorted(score_of)[len(score_of) // 2]
            sample |= {
                when: text,
                f"{when}_score": score,
                f"{when}_mean": fmean(score for score, _ in score_of),
                f"{when}_answers": len(score_of),
                f"{when}_why": list(reward_in_words(text, ground_truth, score)),
            }
        samples.append(sample)
    return samples


def _of_rows(answers: list[Answer]) -> dict[str, list[Answer]]:
    """The answers by row."""
    rows: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        rows[answer["id"]].append(answer)
    return rows


def _by_row(has: Callable[[Answer], bool], answers: list[Answer]) -> dict[str, list[bool]]:
    return {row: [has(answer) for answer in several] for row, several in _of_rows(answers).items()}


def _mean(key: str, answers: list[Answer]) -> float:
    return fmean(answer["logged"][key] for answer in answers)


def _share(accuracy: dict[str, Any]) -> str:
    low, high = accuracy["interval"]
    return f"{percent(accuracy['accuracy'])} ({low * 100:.2f}–{high * 100:.2f})"


def is_number(value: Any) -> bool:
    return value is not None and not math.isnan(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the held-out rows' parquet")
    parser.add_argument("--preset", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True, help="since the recipe started")
    arguments = parser.parse_args()
    run = arguments.run

    records = read_log(run)
    last_step = records[-1]["step"]
    rows = pq.read_table(arguments.data).to_pylist()
    source = BfclSource.open()
    before, after = (
        score_validation(run / "validation" / f"{step}.jsonl", rows, source)
        for step in (0, last_step)
    )
    summary = summarise(records, before, after)
    summary |= {"seconds": arguments.seconds, "preset": arguments.preset, "seed": arguments.seed}
    samples = pick_samples(rows, before, after)
    write_atomically(run / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in records))
    write_json(run / "samples.json", samples)
    write_json(run / "summary.json", summary)
    report = write_report(run)

    print(json.dumps({key: summary[key] for key in summary if key != "held_out"}, indent=2))
    print(held_out_table(summary["held_out"]))
    for key, result in summary["held_out"].items():
        print(f"{MEASURES[key][0]}: {result['sentence']}")
    print(f"\nreport: {report}")
    correlation = summary["sampler_trainer_correlation"]
    if correlation is None:
        print(f"{CORRELATION} was not logged: nobody knows if sampler and trainer agree")
    elif correlation < LEAST_CORRELATION:
        print(
            f"sampler and trainer disagree: {CORRELATION} fell to {correlation:.4f} "
            f"(at least {LEAST_CORRELATION} expected)",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
