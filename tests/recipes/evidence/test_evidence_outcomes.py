"""The outcomes of a cell, by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
from evidence_cells import declare, record, write

from recipes.evidence.cells import Cell, read_study
from recipes.evidence.outcomes import (
    AREA,
    BFCL,
    EXACT,
    REWARD,
    SIDE_EFFECTS,
    end_mean,
    steps_until,
    training_reward,
)


def cell_of(folder: Path, *, steps: int = 10, **content: Any) -> Cell:
    declaration = declare(folder, steps=steps)
    write(folder / "cells", record(declaration, **content))
    (cell,) = read_study(declaration, folder / "cells").cells.values()
    return cell


def test_area_under_the_curve(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, exact=("1000", "1011", "0111"))
    # right at 0, 5, 10:       1 1 0   0 0 1  0 1 1  0 1 1
    assert AREA.per_row(cell) == pytest.approx([0.75, 0.25, 0.75, 0.75])


def test_area_with_a_shorter_last_stretch(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, steps=12, exact=("00", "00", "11", "01"))
    assert AREA.per_row(cell) == pytest.approx([(2.5 + 1) / 12, (2.5 + 2) / 12])


def test_final_outcomes(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, bfcl=("0000", "0000", "1001"))
    assert EXACT.per_row(cell) == pytest.approx([0, 1, 1, 1])
    assert BFCL.per_row(cell) == pytest.approx([1, 0, 0, 1])
    assert REWARD.per_row(cell) == pytest.approx([3.0])


def test_no_bfcl_accuracy_is_none_and_not_zero(tmp_path: Path) -> None:
    assert BFCL.per_row(cell_of(tmp_path)) is None


def test_the_training_reward_is_averaged_over_five_steps(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, rewards=[0, 0, 0, 0, 5, 0, 0, 0, 0, 0])
    assert training_reward(cell) == pytest.approx([1, 1, 1, 1, 1, 0])


def test_a_run_shorter_than_the_window(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, steps=3, exact=("0", "1"), rewards=[1, 2, 6])
    assert training_reward(cell) == pytest.approx([3])
    assert (steps_until(cell, 3), steps_until(cell, 3.1)) == (3, math.inf)


@pytest.mark.parametrize(
    ("target", "step"),
    [(-1, 5), (0.3, 5), (0.31, 6), (0.7, 9), (0.8, 10), (0.81, math.inf)],
)
def test_steps_until_a_reward(tmp_path: Path, target: float, step: float) -> None:
    # 0.1, 0.2, … 1.0: the average at step s is (s - 2) / 10.
    assert steps_until(cell_of(tmp_path), target) == step


def test_a_cell_reaches_its_own_final_reward(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, rewards=[0.1] * 10)
    assert steps_until(cell, training_reward(cell)[-1]) == 5


def test_side_effects_are_those_of_the_last_five_steps(tmp_path: Path) -> None:
    cell = cell_of(tmp_path)
    found = {name: read(cell) for name, read in SIDE_EFFECTS.items()}
    assert found.pop("of thoughts") is None
    assert found == pytest.approx(
        {
            "answer tokens": 48,
            "gradient norm": 0.5,
            "control probability": math.exp(-0.1),
            "control entropy": 0.02,
            "entropy of format": 0.01,
            "of names": 0.2,
            "of arguments": 0.3,
        }
    )


def test_the_end_leaves_out_what_is_not_defined() -> None:
    assert end_mean([9, 9, None, 1, 2, None, None]) == 1.5
    assert end_mean([9, *[None] * 5]) is None
