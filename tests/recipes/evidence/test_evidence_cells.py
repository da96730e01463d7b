"""Cells are held to the declaration: what does not fit is refused by name, what lacks is listed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evidence_cells import ARMS, REWARDS, declare, record, write

from recipes.evidence.cells import Key, read_study

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def declaration(tmp_path: Path) -> Path:
    return declare(tmp_path)


def test_what_was_written_is_read(declaration: Path, tmp_path: Path) -> None:
    content = record(declaration, "toolrl", "paper", 2, bfcl=("0000", "0001", "1001"))
    write(tmp_path / "cells", content)
    study = read_study(declaration, tmp_path / "cells")
    ((key, cell),) = study.cells.items()
    assert key == cell.key == Key("tiny", "toolrl", "paper", 2)
    assert [evaluation.step for evaluation in cell.evaluations] == [0, 5, 10]
    last = cell.evaluations[-1]
    assert last.exact_N.tolist() == [0, 1, 1, 1]
    assert last.bfcl_N is not None
    assert last.bfcl_N.tolist() == [1, 0, 0, 1]
    assert last.reward == 3
    assert (cell.learning_rate, cell.seconds) == (3e-4, 90)


def test_logged_numbers_and_what_is_none(declaration: Path, tmp_path: Path) -> None:
    content = record(declaration)
    content["steps"][0]["grad_norm"] = float("nan")
    write(tmp_path / "cells", content)
    (cell,) = read_study(declaration, tmp_path / "cells").cells.values()
    assert cell.logged("response_length") == [41 + step for step in range(10)]
    assert cell.logged("entropy/args") == [0.3] * 10
    assert cell.logged("grad_norm") == [None, *[0.5] * 9]
    nothing: list[None] = [None] * 10
    assert cell.logged("entropy/think") == nothing  # null: the region was absent
    assert cell.logged("entropy/text") == nothing
    assert cell.logged("no_such_number") == nothing
    assert cell.logged("reward/args") == nothing


def _set(**values: Any) -> Change:
    return lambda content: content.update(values)


def _in_evaluation(**values: Any) -> Change:
    return lambda content: content["evaluations"][1].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(declaration="0" * 64), "run under declaration 000000000000…, not under this one, "),
        (_set(declaration=None), "run under declaration None"),
        (_set(seed=9), "not declared"),
        (_set(arm="token"), "not declared"),
        (_set(task="large"), "not declared"),
        (_set(seed=1), "holds the cell of .*seed_1.json"),
        (_set(seed=[0]), "not declared"),
        (_set(steps=[]), "has 0 steps, not 1 to 10"),
        (lambda content: content["steps"].pop(3), "has 9 steps, not 1 to 10"),
        (lambda content: content["steps"][3].update(reward=float("nan")), "reward is not a number"),
        (lambda content: content["steps"][3].pop("reward"), "no 'reward'"),
        (lambda content: content["evaluations"].pop(), r"declared steps \[0, 5, 10\]"),
        (lambda content: content.pop("learning_rate"), "no 'learning_rate'"),
        (_in_evaluation(exact="01x1"), r"marked 0 or 1, not \['x'\]"),
        (_in_evaluation(exact="010"), r"\[3, 4\] held-out rows"),
        (_in_evaluation(exact=7), "not a cell"),
        (_in_evaluation(bfcl="010"), "4 rows in exact, 3 in bfcl"),
        (_in_evaluation(reward=float("inf")), "reward is not a number"),
        (_in_evaluation(step=6), "declared steps"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused(
    declaration: Path, tmp_path: Path, change: Change, message: str
) -> None:
    content = record(declaration)
    path = write(tmp_path / "cells", content)
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"toolrl/uniform/seed_0.json: .*({message})"):
        read_study(declaration, tmp_path / "cells")


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", '{"declaration": '])
def test_a_file_that_is_no_cell(declaration: Path, tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "cells", record(declaration))
    path.write_text(text)
    with pytest.raises(ValueError, match=r"seed_0.json: (not a cell|no 'declaration')"):
        read_study(declaration, tmp_path / "cells")


def test_all_refused_cells_are_named_at_once(declaration: Path, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write(tmp_path / "cells", {**record(declaration, seed=seed), "declaration": "x" * 64})
    write(tmp_path / "cells", record(declaration, seed=3))
    with pytest.raises(ValueError, match="under declaration") as refused:
        read_study(declaration, tmp_path / "cells")
    lines = str(refused.value).splitlines()
    assert [f"seed_{seed}.json: run under" in line for seed, line in enumerate(lines)] == [True] * 3


def test_a_changed_declaration_refuses_every_cell(declaration: Path, tmp_path: Path) -> None:
    write(tmp_path / "cells", record(declaration))
    declare(tmp_path, seeds=[0, 1, 2, 3, 4])
    with pytest.raises(ValueError, match="restore that declaration"):
        read_study(declaration, tmp_path / "cells")


def test_cells_of_other_rows_are_refused(declaration: Path, tmp_path: Path) -> None:
    write(tmp_path / "cells", record(declaration, seed=0))
    write(tmp_path / "cells", record(declaration, seed=1, exact=("00000", "00000", "00000")))
    with pytest.raises(ValueError, match=r"seed_1.json: \[5\] held-out rows, 4 in the task's"):
        read_study(declaration, tmp_path / "cells")


def test_what_was_not_run_is_listed(declaration: Path, tmp_path: Path) -> None:
    write(tmp_path / "cells", record(declaration, "toolrl", "paper", 2))
    study = read_study(declaration, tmp_path / "cells")
    missing = study.not_run("tiny")
    assert len(missing) == len(ARMS) * len(REWARDS) * 4 - 1
    assert Key("tiny", "toolrl", "paper", 2) not in missing
    assert missing[0] == Key("tiny", "toolrl", "uniform", 0)
    assert list(study.of("tiny", "toolrl", "paper")) == [2]


def test_without_cells(declaration: Path, tmp_path: Path) -> None:
    assert not read_study(declaration, tmp_path / "cells").cells


def test_a_last_step_between_evaluations_is_evaluated(tmp_path: Path) -> None:
    study = read_study(declare(tmp_path, steps=12), tmp_path / "cells")
    assert study.tasks["tiny"].evaluation_steps == [0, 5, 10, 12]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"tasks": [1]}', '{"tasks": {"tiny": {}}}'])
def test_a_file_that_is_no_declaration(tmp_path: Path, text: str) -> None:
    path = tmp_path / "declaration.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"declaration.json: not a declaration"):
        read_study(path, tmp_path / "cells")


def test_no_declaration(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_study(tmp_path / "declaration.json", tmp_path / "cells")


def test_a_seeds_cells_begin_from_the_same_weights(declaration: Path, tmp_path: Path) -> None:
    write(tmp_path / "cells", record(declaration, arm="paper"))
    write(tmp_path / "cells", record(declaration, arm="uniform", seed=1))  # another seed may
    other = {**record(declaration, arm="uniform"), "start": {"weights_sha256": "f" * 64}}
    path = write(tmp_path / "cells", other)
    with pytest.raises(ValueError, match=rf"{path}: began from other weights .*\(ffffffffffff…\)"):
        read_study(declaration, tmp_path / "cells")
