"""The comparison of credit by turns: what a run's files come to, and what the page says of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from recipes.turn_credit import run, tables

DECLARED = {
    "steps": 4,
    "evaluate_every": 2,
    "seeds": [0, 1],
    "arms": {"rest_turn": [], "one_number": []},
}


def cell(*shares: float, declaration: str | None = None) -> dict[str, Any]:
    """A run in which all of ten conversations have the same share at each evaluation."""
    evaluations = [
        {"step": step, "right": [share - 0.05] * 5 + [share + 0.05] * 5}
        for step, share in zip((0, 2, 4), shares, strict=True)
    ]
    return {
        "declaration": declaration or run.digest(),
        "evaluations": evaluations,
        "seconds": 600,
    }


def write(folder: Path, cells: dict[tuple[str, int], dict[str, Any]]) -> Path:
    for (arm, seed), record in cells.items():
        path = run.cell_path(folder, arm, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    return folder


def test_a_conversations_share_is_the_mean_of_its_answers(tmp_path: Path) -> None:
    rows = [("a", 0, 0.0), ("b", 0, 0.5), ("a", 1, 1.0), ("b", 1, 1.0)]
    lines = [json.dumps({"uid": f"{uid}_{n}_0", "official": share}) for uid, n, share in rows]
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "3.jsonl").write_text("\n".join(lines) + "\n")
    assert run.held_out_shares(tmp_path, 3) == [0.5, 0.75]


def test_both_arms_of_a_seed_come_before_the_next_seed() -> None:
    order = [("rest_turn", 0), ("one_number", 0), ("rest_turn", 1), ("one_number", 1)]
    assert list(run.wanted(DECLARED, None, None)) == order
    assert list(run.wanted(DECLARED, "one_number", 1)) == [("one_number", 1)]


def test_rise_and_area_by_hand() -> None:
    made = cell(0.2, 0.4, 0.5)
    assert tables.rise(made) == pytest.approx(0.3)
    assert tables.area(made) == pytest.approx((0.2 / 2 + (0.2 + 0.3) / 2) / 2)
    assert tables.rise_p(made) < 0.001


@pytest.mark.parametrize(
    ("shares", "step"),
    [
        ((0.2, 0.4, 0.5), 2),
        ((0.2, 0.21, 0.5), 4),
        ((0.2, 0.5, 0.21), None),  # not any more
        ((0.5, 0.5, 0.2), None),  # sure, but worse
        ((0.5, 0.2, 0.8), 4),
    ],
)
def test_the_step_from_which_a_rise_is_more_than_noise(
    shares: tuple[float, ...], step: int | None
) -> None:
    assert tables.first_sure_step(cell(*shares)) == step


def test_a_runs_minutes_are_those_of_all_its_starts(tmp_path: Path) -> None:
    logged = {"reward/total/mean": 1, "reward/official/mean": 0.5, "response_length/mean": 9}
    for name, step, timing in (
        ("verl_metrics_earlier.jsonl", 1, {"timing_s/step": 100}),
        ("verl_metrics.jsonl", 2, {"timing_s/step": 200, "timing_s/testing": 33.2}),
    ):
        line = {"step": step, "data": {**logged, **timing}}
        (tmp_path / name).write_text(json.dumps(line) + "\n")
    (tmp_path / "validation").mkdir()
    for step in (0, 2):
        row = json.dumps({"uid": "a_0_0", "official": 1.0})
        (tmp_path / "validation" / f"{step}.jsonl").write_text(row + "\n")
    declared = {**DECLARED, "steps": 2}
    record = run.read_run("rest_turn", 0, declared, tmp_path)
    assert record["seconds"] == 333
    assert [seen["right"] for seen in record["evaluations"]] == [[1.0], [1.0]]


def test_the_page_shows_each_run_and_the_paired_difference(tmp_path: Path) -> None:
    made = {
        ("rest_turn", 0): cell(0.2, 0.4, 0.5),
        ("rest_turn", 1): cell(0.2, 0.4, 0.5),
        ("one_number", 0): cell(0.2, 0.3, 0.4),
        ("one_number", 1): cell(0.2, 0.2, 0.2),
    }
    cells = tables.read_cells(DECLARED, write(tmp_path, made))
    text = tables.report(DECLARED, cells)
    assert "4 of 4 declared runs" in text
    assert "| `rest_turn`, seed 0 | 20.0 | 50.0 | +30.0 | < 0.001 | 2 | +17.5 | 10 |" in text
    # Differences of 10 and 30 points: two pairs, so no sign pattern is further out but one in two.
    assert "| `rest_turn` minus `one_number`, 2 pairs | +20.0 (+10.0 to +30.0) |" in text
    assert "| 0.500 |\n" in text
    assert text.rstrip().endswith("(curves.png)")
    assert tables.draw(DECLARED, cells).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (cell(0.2, 0.4, 0.5, declaration="0" * 64), "another declaration"),
        ({**cell(0.2, 0.4, 0.5), "evaluations": []}, "not evaluated at the declared steps"),
    ],
    ids=["other declaration", "cut off"],
)
def test_a_run_of_another_declaration_is_refused(
    tmp_path: Path, record: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path, {("rest_turn", 0): record})
    with pytest.raises(ValueError, match=message):
        tables.read_cells(DECLARED, folder)
