"""The study's task `smollm2` with a smaller policy: its prompts, BFCL's verdicts, a cell."""

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from smallest_policy import SETTINGS, save_model

pytest.importorskip("bfcl_eval", reason="the rows are BFCL's")


from recipes.evidence import run, smollm2
from recipes.evidence.cells import read_study
from recipes.smollm2.thoughts import reasoned_answer
from recipes.tiny_cpu.data import Task, read_tasks, verl_rows
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset

NUM_ROWS = 9


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    answer = lambda row: reasoned_answer(row, random.Random(row.id))  # noqa: E731
    return [task for task in read_tasks(answer=answer) if task.split == "held_out"][:NUM_ROWS]


@pytest.fixture
def start(tmp_path: Path, tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "start"
    save_model(folder / "model")
    rows = verl_rows(tasks, "held_out")
    write_dataset(folder / "data", {"train": rows, "held_out": rows}, BFCL_EXTRA_INFO, {})
    monkeypatch.setattr(smollm2, "START", folder)
    monkeypatch.setattr(smollm2, "make_start", lambda *_: None)
    monkeypatch.setattr(smollm2, "MAX_TOKENS", 6)
    # of 0 to 8 right answers out of 8, the first and the last teach nothing
    monkeypatch.setattr(smollm2, "probe", lambda loop, given: list(range(len(given))))
    return folder


def test_verdicts_are_those_of_bfcl(tasks: list[Task]) -> None:
    verdicts = smollm2.bfcl_verdicts(verl_rows(tasks, "held_out"))
    assert verdicts([task.answer for task in tasks]) == "1" * NUM_ROWS
    answers = [tasks[0].answer, *["I do not know."] * (NUM_ROWS - 2), tasks[0].answer]
    assert verdicts(answers) == "1" + "0" * (NUM_ROWS - 1)


def test_a_cell_has_what_bfcl_says(start: Path, tmp_path: Path, monkeypatch) -> None:
    declaration, cells = tmp_path / "declaration.json", tmp_path / "cells"
    declaration.write_text(json.dumps({"tasks": {"smollm2": SETTINGS}}))
    monkeypatch.setattr(run, "DECLARATION", declaration)
    monkeypatch.setattr(run, "STARTS", tmp_path / "starts")
    command = ["run", "--task", "smollm2", "--arm", "paper", "--reward", "toolrl"]
    monkeypatch.setattr("sys.argv", [*command, "--cells", str(cells)])
    run.main()
    study = read_study(declaration, cells)
    assert {key.seed for key in study.cells} == {0, 1}
    for cell in study.cells.values():
        for evaluation in cell.evaluations:
            assert evaluation.bfcl_N is not None
            assert evaluation.bfcl_N.shape == evaluation.exact_N.shape == (NUM_ROWS,)


def test_prompts_that_teach_are_kept(start: Path, tmp_path: Path) -> None:
    given = smollm2.given_smollm2(tmp_path / "starts", 0, SETTINGS)
    assert len(given.held_out) == NUM_ROWS
    assert [prompt.prompt for prompt in given.prompts] == [
        prompt.prompt for prompt in given.held_out[1:8]
    ]
    assert given.facts["teaching_prompts"] == 7
    assert given.facts["exact"] == 0.5
    assert len(pq.read_table(start / "data" / "train.parquet")) == NUM_ROWS
