"""The charts on top of a report, and the differences between runs."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rest_verl.viewing.report.differences import differences
from rest_verl.viewing.report.groups import Group, read_groups
from rest_verl.viewing.report.hero import hero
from rest_verl.viewing.report.sources import Run

OFFICIAL = {"val-aux/shop/official/mean@4": 0.25}
EXACT = {"val-aux/bfcl/exact_match/mean@4": 0.5}
SAMPLED = {"reward/exact_match/mean": 0.75}
HELD_OUT = {
    "held_out": {"bfcl_accuracy": {"before": {"accuracy": 0.1}, "after": {"accuracy": 0.3}}}
}


def run_of(*metrics: dict[str, float], summary: dict[str, Any] | None = None) -> Run:
    record = {"step": 4, "reward/total/mean": 1.0}
    for more in metrics:
        record |= more
    return Run(name="r", records=[record], remarks=[], summary=summary or {})


def shown(*runs: Run) -> list[tuple[str, list[list[float]]]]:
    groups = [Group(name=str(place), runs=(run,)) for place, run in enumerate(runs)]
    return [(c.title, [curve.line.values for curve in c.curves]) for c in hero(groups)]


@pytest.mark.parametrize(
    ("runs", "title", "values"),
    [
        pytest.param(
            [run_of(OFFICIAL, EXACT, SAMPLED)], "Official accuracy", [[0.25]], id="official"
        ),
        pytest.param(
            [run_of(EXACT, summary=HELD_OUT)], "Official accuracy", [[0.1, 0.3]], id="BFCL's"
        ),
        pytest.param([run_of(EXACT, SAMPLED)], "Right answers", [[0.5]], id="validation"),
        pytest.param([run_of(SAMPLED)], "Right answers", [[0.75]], id="samples"),
        pytest.param(
            [run_of(OFFICIAL, SAMPLED), run_of(SAMPLED)],
            "Right answers",
            [[0.75], [0.75]],
            id="what both have",
        ),
    ],
)
def test_the_reward_and_the_most_telling_accuracy(
    runs: list[Run], title: str, values: list[list[float]]
) -> None:
    assert shown(*runs) == [("Reward", [[1.0]] * len(runs)), (title, values)]


def test_without_an_accuracy_the_reward_stands_alone() -> None:
    assert shown(run_of()) == [("Reward", [[1.0]])]


def write_run(folder: Path, reward: float, right: float | None = None, answers: int = 2) -> Path:
    folder.mkdir()
    metrics = [{"step": step, "reward/total/mean": reward} for step in range(12)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in metrics))
    if right is not None:
        rng = random.Random(reward)
        (folder / "validation").mkdir()
        lines = [
            {"input": f"q{row}", "gts": "g", "exact_match": float(rng.random() < right)}
            for row in range(200)
            for _ in range(answers)
        ]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (folder / "validation/12.jsonl").write_text(f"{text}no json\n")
    return folder


def test_several_runs_are_compared_by_their_last_values(tmp_path: Path) -> None:
    rewards = {"a": (1.0, 1.2, 1.1), "b": (2.0, 2.1, 2.2)}
    runs = [
        f"{name}={write_run(tmp_path / f'{name}{number}', reward)}"
        for name, values in rewards.items()
        for number, reward in enumerate(values)
    ]
    (found,) = differences(read_groups(runs))
    # Welch: standard error 0.0816, 4 degrees of freedom, t 2.776
    assert (found.difference, found.interval, found.p) == ("+1.00", "+0.77 to +1.23", "0.00026")
    assert (found.group, found.of) == (1, "3 runs against 3, up to step 11")


def test_runs_of_unequal_length_are_compared_where_both_are(tmp_path: Path) -> None:
    def rising(name: str, steps: int) -> Path:
        folder = tmp_path / name
        (folder / "validation").mkdir(parents=True)
        lines = [
            json.dumps({"step": step, "reward/total/mean": 0.02 * step + 0.001 * len(name)})
            for step in range(steps)
        ]
        (folder / "metrics.jsonl").write_text("\n".join(lines))
        for step in (0, steps):
            answer = {"input": "q", "gts": "g", "exact_match": float(step > 0)}
            (folder / f"validation/{step}.jsonl").write_text(json.dumps(answer) + "\n")
        return folder

    short = [rising(f"short{'x' * number}", 20) for number in range(3)]
    long = [rising(f"long{'x' * number}", 50) for number in range(3)]
    (found,) = differences(read_groups([f"{p.name[:4]}={p}" for p in [*short, *long]]))
    assert found.difference == "-0.00"
    assert found.of == "3 runs against 3, up to step 19"
    (alone,) = differences(read_groups([short[0], long[0]]))
    assert (alone.of, alone.difference) == ("step 0: 1 rows, 1 answers each", "+0.0 points")


def test_one_run_each_is_compared_row_by_row(tmp_path: Path) -> None:
    old, new = (
        write_run(tmp_path / name, r, right) for name, r, right in (("a", 1, 0.2), ("b", 2, 0.6))
    )
    (found,) = differences(read_groups([old, new]))
    assert (found.measure, found.of) == (
        "Exact calls, last validation of both",
        "step 12: 200 rows, 2 answers each",
    )
    assert found.p == "< 0.0001"
    assert float(found.difference.split()[0]) == pytest.approx(40, abs=8)


@pytest.mark.parametrize("right", [None, 0.5], ids=["no validation", "other numbers of answers"])
def test_nothing_is_said_where_nothing_can_be(tmp_path: Path, right: float | None) -> None:
    old, new = (
        write_run(tmp_path / name, 1, right, answers=answers)
        for name, answers in (("a", 2), ("b", 3))
    )
    assert differences(read_groups([old, new])) == []
    assert differences(read_groups([f"a={old}", f"a={new}", f"b={new}"])) == []
