"""Compares this project's BFCL verdicts with the official ones, on every row.

    python tests/evaluation/bfcl/official_agreement.py [--seeds N] [--data-dir FOLDER]

Single-turn: every row with each change of `bfcl_outputs.py`, N times. Multi-turn: every row with
each corruption of `tests/support/bfcl_conversations.py`. Needs bfcl-eval and mpmath. Lists
each disagreement, and each output on which the official checker raised; exit code 1 if there is a
disagreement.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

SUPPORT = Path(__file__).resolve().parents[2] / "support"
sys.path.append(str(SUPPORT))

from bfcl_conversations import CORRUPTIONS, call_strings, corrupted, right_conversation  # noqa: E402
from bfcl_outputs import CHANGES, Calls, Change, output  # noqa: E402

from rest_verl.data.bfcl import MULTI_TURN_CATEGORIES, BfclRow, BfclSource  # noqa: E402
from rest_verl.data.bfcl_multi_turn import read_multi_turn  # noqa: E402
from rest_verl.evaluation.bfcl.multi_turn import score_multi_turn  # noqa: E402
from rest_verl.evaluation.bfcl.single_turn import score_single_turn  # noqa: E402


class Case(NamedTuple):
    row: BfclRow
    kind: str
    calls: Calls | None


def single_turn_cases(
    rows: list[BfclRow], seeds: range, changes: tuple[Change, ...] = CHANGES
) -> list[Case]:
    return [
        Case(row, change.__name__, output(row, change, seed))
        for row in rows
        for change in changes
        for seed in seeds
    ]


def official_single_turn(cases: list[Case]) -> list[bool | str]:
    """True, false, or the name of what the official checker raised."""
    rows = {id(case.row): case.row for case in cases}
    places = {key: index for index, key in enumerate(rows)}
    given = {
        "rows": [
            {
                "category": row.category,
                "functions": row.functions,
                "ground_truth": [{c["name"]: c["parameters"]} for c in row.calls] or None,
            }
            for row in rows.values()
        ],
        "cases": [(places[id(case.row)], case.calls) for case in cases],
    }
    return _official(Path(__file__).with_name("official_scorer.py"), given)


def official_multi_turn(tasks: list[dict[str, Any]], talks: list[Any]) -> list[bool]:
    given = {
        "rows": tasks,
        "cases": [{"row": index, "turns": call_strings(talk)} for index, talk in enumerate(talks)],
    }
    script = SUPPORT / "official_bfcl.py"
    return [answer["valid"] for answer in _official(script, given)]


def _official(script: Path, given: dict[str, Any]) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "cases.json"), Path(folder, "verdicts.json")
        source.write_text(json.dumps(given), encoding="utf-8")
        subprocess.run(
            [sys.executable, script, source, target],
            check=True,
            cwd=folder,
            env={**os.environ, "BFCL_PROJECT_ROOT": folder},
            stdout=subprocess.DEVNULL,
        )
        return json.loads(target.read_text(encoding="utf-8"))


def compare_single_turn(source: BfclSource, num_seeds: int) -> int:
    """On every row; the number of disagreements."""
    rows = [row for category in source.select([]) for row in source.read(category)]
    cases = single_turn_cases(rows, range(num_seeds))
    official = official_single_turn(cases)
    ours = [score_single_turn(case.row, case.calls).valid for case in cases]
    counts: Counter[tuple[str, bool]] = Counter()
    num_wrong = 0
    unsolved = {row.id for row in rows}
    for case, mine, theirs in zip(cases, ours, official, strict=True):
        counts[case.kind, mine] += 1
        if theirs is True:
            unsolved.discard(case.row.id)
        if mine is not theirs:
            raised = isinstance(theirs, str)
            num_wrong += not raised or mine
            print(f"{case.row.id} {case.kind}: official {theirs}, ours {mine}: {case.calls}")
    print(f"\n{'single turn':<28}{'right':>8}{'wrong':>8}")
    for change in CHANGES:
        kind = change.__name__
        print(f"{kind:<28}{counts[kind, True]:>8}{counts[kind, False]:>8}")
    print(f"{len(cases)} outputs on {len(rows)} rows, {num_wrong} disagreements")
    print(f"official verdict never right: {', '.join(sorted(unsolved)) or 'none'}")
    return num_wrong


def compare_multi_turn(source: BfclSource, every: int = 1) -> int:
    """On each row whose number is a multiple of `every`; the number of disagreements."""
    present = [c for c in MULTI_TURN_CATEGORIES if source.file(c).exists()]
    tasks = [row.task for category in present for row in read_multi_turn(source, category)][::every]
    # multi_turn_base_154 of version 3 has six answers to five questions: nobody can pass it.
    tasks = [task for task in tasks if len(task["question"]) == len(task["ground_truth"])]
    given, talks, kinds = [], [], []
    for task in tasks:
        for kind in (None, *CORRUPTIONS):
            given.append(task)
            talks.append(corrupted(task, kind, seed=0) if kind else right_conversation(task))
            kinds.append(kind.__name__ if kind else "right")
    official = official_multi_turn(given, talks)
    counts: Counter[tuple[str, bool]] = Counter()
    num_wrong = 0
    for task, talk, kind, theirs in zip(given, talks, kinds, official, strict=True):
        turns = [[[{"name": name, "arguments": a}] for name, a in turn] for turn in talk]
        mine = score_multi_turn(task, turns)
        counts[kind, mine.valid] += 1
        if mine.valid is not theirs:
            num_wrong += 1
            print(f"{task['id']} {kind}: official {theirs}, ours {mine}")
    print(f"\n{'multi-turn':<28}{'right':>8}{'wrong':>8}")
    for name in dict.fromkeys(kinds):
        print(f"{name:<28}{counts[name, True]:>8}{counts[name, False]:>8}")
    print(f"{len(talks)} conversations on {len(tasks)} rows, {num_wrong} disagreements")
    return num_wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=2, help="of each change (%(default)s)")
    parser.add_argument("--data-dir", type=Path, help="BFCL files (default: the package's)")
    options = parser.parse_args()
    source = BfclSource.open(options.data_dir)
    return int(bool(compare_single_turn(source, options.seeds) + compare_multi_turn(source)))


if __name__ == "__main__":
    sys.exit(main())
