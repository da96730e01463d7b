"""Which cells meet in a comparison, and what comes out where the truth is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence_cells import declare, record, write, write_study

from recipes.evidence.cells import Study, read_study
from recipes.evidence.comparisons import Comparisons
from recipes.evidence.outcomes import AREA, BFCL, EXACT, REWARD


def study_of(folder: Path, cells: list[tuple], **declared: Any) -> Study:
    """(reward, arm, seed, final marks) each; nothing is right before the last step."""
    declaration = declare(folder, **declared)
    for reward, arm, seed, marks in cells:
        exact = ("0" * len(marks), "0" * len(marks), marks)
        write(folder / "cells", record(declaration, reward, arm, seed, exact=exact))
    return read_study(declaration, folder / "cells")


def test_a_difference_is_of_equal_seeds(tmp_path: Path) -> None:
    study = study_of(
        tmp_path,
        [
            ("toolrl", "uniform", 0, "0001"),
            ("toolrl", "uniform", 1, "0111"),
            ("toolrl", "uniform", 2, "1111"),  # paper has no seed 2
            ("toolrl", "paper", 0, "0011"),
            ("toolrl", "paper", 1, "1111"),
            ("toolrl", "paper", 3, "0000"),  # uniform has no seed 3
        ],
    )
    (found,) = Comparisons(study, "tiny").differences("toolrl", EXACT)
    assert (found.first, found.second, found.seeds) == ("paper", "uniform", 2)
    assert found.estimate.value == pytest.approx(0.25)
    assert found.p == found.adjusted_p == pytest.approx(0.5)  # two pairs, both up
    assert found.improvement.value == pytest.approx((1 + 0 + 1 + 1) / 4)
    assert [needed.number for needed in found.needed if needed] == [6, 6]  # no spread at all


def test_the_area_of_a_last_step_is_its_stretch(tmp_path: Path) -> None:
    study = study_of(tmp_path, [("toolrl", "paper", 0, "0011")])
    level = Comparisons(study, "tiny").level("toolrl", "paper", AREA)
    assert level == (pytest.approx(0.5 * 2.5 / 10), None)


def test_holm_is_over_the_arms_and_not_the_control(tmp_path: Path) -> None:
    finals = {"uniform": ["0000"] * 4, "paper": ["0001"] * 4}
    finals["shuffled"] = ["0011", "0000", "0001", "0000"]
    cells = [
        ("toolrl", arm, seed, marks) for arm in finals for seed, marks in enumerate(finals[arm])
    ]
    found = Comparisons(study_of(tmp_path, cells), "tiny").differences("toolrl", EXACT)
    assert [(d.first, d.second, d.p, d.adjusted_p) for d in found] == [
        ("paper", "uniform", 2 / 2**4, 2 * 2 / 2**4),
        ("shuffled", "uniform", 0.5, 0.5),
        ("paper", "shuffled", 1, None),
    ]


def test_a_known_difference_is_found(tmp_path: Path) -> None:
    declaration = declare(tmp_path, seeds=[*range(8)])
    gain = {"uniform": 0.0, "paper": 0.2, "shuffled": 0.0}
    write_study(
        declaration, tmp_path / "cells", lambda r, arm, s, at: 0.3 + gain[arm], num_rows=100
    )
    study = read_study(declaration, tmp_path / "cells")
    paper, shuffled, _ = Comparisons(study, "tiny").differences("toolrl_scheduled", AREA)
    assert paper.estimate.interval is not None
    assert shuffled.estimate.interval is not None
    assert paper.estimate.interval.low < 0.2 < paper.estimate.interval.high
    assert paper.estimate.interval.low > 0.1
    assert paper.p == 2 / 2**8
    assert paper.improvement.value == 1
    assert shuffled.estimate.interval.low < 0 < shuffled.estimate.interval.high
    assert shuffled.p is not None
    assert shuffled.p > 0.1


def test_equal_cells_show_no_difference(tmp_path: Path) -> None:
    cells = [
        ("toolrl", arm, seed, marks)
        for arm in ("uniform", "paper")
        for seed, marks in enumerate(["0001", "0011", "0111", "0000"])
    ]
    (found,) = Comparisons(study_of(tmp_path, cells), "tiny").differences("toolrl", EXACT)
    assert found.estimate == (0, (0, 0))
    assert found.p == found.adjusted_p == 1
    assert found.improvement.value == 0.5


def test_one_pair_has_no_p(tmp_path: Path) -> None:
    cells = [("toolrl", "uniform", 0, "0001"), ("toolrl", "paper", 0, "0111")]
    (found,) = Comparisons(study_of(tmp_path, cells), "tiny").differences("toolrl", EXACT)
    assert found.estimate == (0.5, None)
    assert (found.p, found.adjusted_p, found.needed) == (None, None, (None, None))


def test_a_single_pair_is_no_member_of_the_family(tmp_path: Path) -> None:
    cells = [("toolrl", arm, 0, "0111") for arm in ("uniform", "paper", "shuffled")]
    cells += [("toolrl", arm, 1, "0011") for arm in ("uniform", "paper")]
    paper, shuffled, _ = Comparisons(study_of(tmp_path, cells), "tiny").differences("toolrl", EXACT)
    assert (paper.adjusted_p, shuffled.adjusted_p) == (1, None)


def test_weights_times_schedule_by_hand(tmp_path: Path) -> None:
    marks = {
        ("toolrl", "uniform"): "0001",
        ("toolrl", "paper"): "0011",
        ("toolrl_scheduled", "uniform"): "0011",
        ("toolrl_scheduled", "paper"): "1111",
    }
    cells = [(*condition, seed, marks[condition]) for condition in marks for seed in (0, 1, 3)]
    cells.append(("toolrl", "paper", 2, "0000"))  # alone with its seed
    study = study_of(tmp_path, cells)
    (found,) = Comparisons(study, "tiny").factorials(EXACT)
    assert (found.first, found.second, found.seeds) == ("paper", "uniform", 3)
    # paper adds 1/4 under the one reward and 2/4 under the other
    assert found.weights.estimate.value == pytest.approx((0.25 + 0.5) / 2)
    # the schedule adds 1/4 to uniform and 2/4 to paper
    assert found.schedule.estimate.value == pytest.approx((0.25 + 0.5) / 2)
    assert found.interaction.estimate.value == pytest.approx(0.5 - 0.25)
    assert found.interaction.p == 2 / 2**3
    assert found.weights.estimate.interval is not None


def test_no_factorial_with_one_reward(tmp_path: Path) -> None:
    cells = [("toolrl", arm, 0, "0011") for arm in ("uniform", "paper")]
    study = study_of(tmp_path, cells, rewards=["toolrl"])
    assert Comparisons(study, "tiny").factorials(EXACT) == []


def test_without_the_reference_nothing_is_compared(tmp_path: Path) -> None:
    study = study_of(tmp_path, [("toolrl", "paper", 0, "0011")])
    comparisons = Comparisons(study, "tiny")
    assert comparisons.differences("toolrl", EXACT) == []
    assert comparisons.factorials(EXACT) == []
    assert comparisons.reaching("toolrl", "paper") is None
    assert comparisons.level("toolrl", "uniform", EXACT) is None
    assert comparisons.arms("toolrl") == ["paper"]


def test_no_bfcl_no_level(tmp_path: Path) -> None:
    comparisons = Comparisons(study_of(tmp_path, [("toolrl", "paper", 0, "0011")]), "tiny")
    assert comparisons.level("toolrl", "paper", BFCL) is None
    assert comparisons.level("toolrl", "paper", REWARD) == (2, None)


def test_steps_to_the_final_reward_of_the_same_seed(tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    rising = np.arange(10)
    for arm, seed, rewards in [
        ("uniform", 0, rising),  # ends at an average of 7
        ("uniform", 1, rising + 10),
        ("uniform", 2, rising),
        ("paper", 0, 2 * rising),  # 2 (s - 3) ≥ 7 from step 7 on
        ("paper", 1, rising),  # never at 17
        ("paper", 2, rising + 1),  # step 9
        ("paper", 3, rising + 99),  # has no uniform
    ]:
        content = record(declaration, "toolrl", arm, seed, rewards=[*map(float, rewards)])
        write(tmp_path / "cells", content)
    comparisons = Comparisons(read_study(declaration, tmp_path / "cells"), "tiny")
    found = comparisons.reaching("toolrl", "paper")
    assert found is not None
    assert (found.seeds, found.reached, found.steps.value) == (3, 2, 9)
    assert found.steps.interval == (7, np.inf)
    reference = comparisons.reaching("toolrl", "uniform")
    assert reference is not None
    assert (reference.seeds, reference.reached, reference.steps.value) == (3, 3, 10)


def test_side_effects_over_seeds(tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    for seed, length in enumerate([10.0, 20.0, 60.0, None]):
        content = record(declaration, seed=seed)
        for step in content["steps"]:
            step["response_length"] = length
        write(tmp_path / "cells", content)
    comparisons = Comparisons(read_study(declaration, tmp_path / "cells"), "tiny")
    assert comparisons.side_effect("toolrl", "uniform", "answer tokens") == 30
    assert comparisons.side_effect("toolrl", "uniform", "of thoughts") is None
