"""Compares the accuracies of this project with those of BFCL's own command `evaluate`.

    python tests/evaluation/bfcl/official_evaluate.py FOLDER [--share-right P] [--seed S]

Writes a result file for every category of BFCL v4, right answers and changed ones mixed, runs
`run_scripts/bfcl_official_evaluate.sh` on them, and prints both tables; exit code 1 if they differ.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests" / "support"))

from bfcl_conversations import CORRUPTIONS, corrupted, right_conversation  # noqa: E402
from bfcl_outputs import CHANGES, output, unchanged  # noqa: E402

from rest_verl.data.bfcl import MULTI_TURN_CATEGORIES, BfclSource  # noqa: E402
from rest_verl.data.bfcl_multi_turn import read_multi_turn  # noqa: E402
from rest_verl.evaluation.bfcl.accuracy import Accuracies, accuracies  # noqa: E402
from rest_verl.evaluation.bfcl.multi_turn import score_multi_turn  # noqa: E402
from rest_verl.evaluation.bfcl.results import write_official  # noqa: E402
from rest_verl.evaluation.bfcl.single_turn import score_single_turn  # noqa: E402


def mixed_records(source: BfclSource, share_right: float, seed: int) -> list[dict[str, Any]]:
    """A result record for every row."""
    rng = random.Random(seed)
    records = []
    for category in source.select([]):
        for row in source.read(category):
            change = unchanged if rng.random() < share_right else rng.choice(CHANGES)
            calls = output(row, change, seed)
            valid, error = score_single_turn(row, calls)
            records.append({"id": row.id, "category": category, "sample": 0, "calls": calls})
            records[-1] |= {"valid": valid, "error": error}
    for category in MULTI_TURN_CATEGORIES:
        for multi_turn in read_multi_turn(source, category):
            talk = right_conversation(multi_turn.task)
            if rng.random() >= share_right:
                talk = corrupted(multi_turn.task, rng.choice(CORRUPTIONS), seed)
            # A step for every call and one without, as in a conversation with a model.
            turns = [[*([{"name": n, "arguments": a}] for n, a in turn), []] for turn in talk]
            valid, error = score_multi_turn(multi_turn.task, turns)
            records.append({"id": multi_turn.id, "category": category, "sample": 0, "calls": turns})
            records[-1] |= {"valid": valid, "error": error}
    return records


def official_counts(score: Path) -> dict[str, tuple[int, int]]:
    """(right, all) by category, from the first line of each score file."""
    counts = {}
    for path in score.rglob("BFCL_v4_*_score.json"):
        head = json.loads(path.read_text(encoding="utf-8").split("\n", 1)[0])
        category = path.stem.removeprefix("BFCL_v4_").removesuffix("_score")
        counts[category] = (head["correct_count"], head["total_count"])
    return counts


def official_groups(score: Path) -> dict[str, str]:
    """The groups' accuracies as the CSV files show them."""
    columns = {
        "non_live": ("data_non_live.csv", "Non-Live Overall Acc"),
        "live": ("data_live.csv", "Live Overall Acc"),
        "multi_turn": ("data_multi_turn.csv", "Multi Turn Overall Acc"),
        "irrelevance": ("data_overall.csv", "Irrelevance Detection"),
        "leaderboard": ("data_overall.csv", "Overall Acc"),
    }
    groups = {}
    for name, (file, column) in columns.items():
        with (score / file).open(encoding="utf-8", newline="") as lines:
            (groups[name],) = [line[column] for line in csv.DictReader(lines)]
    return groups


def leaderboard(ours: Accuracies) -> float:
    """Version 4's number with the agentic tasks, which were not run, counted as 0."""
    weights = {"non_live": 0.1, "live": 0.1, "irrelevance": 0.1, "multi_turn": 0.3}
    return sum(weight * (ours.groups[name].accuracy or 0) for name, weight in weights.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="for the results and the scores")
    parser.add_argument("--share-right", type=float, default=0.5, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    options = parser.parse_args()
    records = mixed_records(BfclSource.open(), options.share_right, options.seed)
    num_rows: dict[str, int] = {}
    for record in records:
        num_rows[record["category"]] = num_rows.get(record["category"], 0) + 1
    ours = accuracies(records, "v4", num_rows)
    write_official(records, options.folder, version="v4")
    script = ROOT / "run_scripts" / "bfcl_official_evaluate.sh"
    subprocess.run(["bash", script, options.folder], check=True)
    score = options.folder / "score"
    counts, groups = official_counts(score), official_groups(score)
    same = counts.keys() == ours.categories.keys()
    print(f"\n{'':<26}{'here':>16}{'bfcl evaluate':>16}")
    for name, count in ours.categories.items():
        theirs = counts.get(name, (-1, -1))
        same &= theirs == count
        print(
            f"{name:<26}{f'{count.correct:.0f}/{count.total}':>16}{f'{theirs[0]}/{theirs[1]}':>16}"
        )
    shown = {name: group.accuracy for name, group in ours.groups.items() if name in groups}
    for name, accuracy in {**shown, "leaderboard": leaderboard(ours)}.items():
        mine = f"{(accuracy or 0) * 100:.2f}%"
        same &= mine == groups[name]
        print(f"{name:<26}{mine:>16}{groups[name]:>16}")
    print("equal" if same else "NOT EQUAL")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
