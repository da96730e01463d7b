"""A run's folder: what is found in it, and which folders are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from rest_verl.files.run_folder import find_runs, open_run, run_of, write_about

ABOUT: dict[str, Any] = {"trainer": "rest_sync", "model": "/models/start"}


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def checkpoints(folder: Path, *steps: int, newest: int) -> None:
    for step in steps:
        (folder / f"global_step_{step}/actor").mkdir(parents=True)
    (folder / "latest_checkpointed_iteration.txt").write_text(str(newest))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(0, (0, "/models/start"), id="the starting model"),
        pytest.param(4, (6, "checkpoints/global_step_6"), id="of two as near, the later"),
        pytest.param(9, (10, "checkpoints/global_step_10"), id="the nearest, not the next in a"),
        pytest.param(99, (10, "checkpoints/global_step_10"), id="none beyond the last whole one"),
    ],
)
def test_the_model_near_a_step(tmp_path: Path, step: int, expected: tuple[int, str]) -> None:
    write_about(tmp_path, ABOUT, {})
    checkpoints(tmp_path / "checkpoints", 6, 10, 12, newest=10)  # 12 is being written
    touch(tmp_path / "checkpoints/global_step_3/data.pt")  # what verl leaves of a removed one
    found = open_run(tmp_path).model_near(step)
    assert found is not None
    assert (found[0], found[1].removeprefix(f"{tmp_path}/")) == expected


def test_a_run_of_another_trainer_is_found_by_its_files(tmp_path: Path) -> None:
    run = tmp_path / "project" / "baseline"
    touch(run / "validation/0.jsonl", run / "validation/12.jsonl", run / "validation/x.jsonl")
    checkpoints(run, 4, newest=4)  # verl's own place for them
    found = open_run(run)
    assert found.model_near(0) == (4, str(run / "global_step_4"))
    assert found.dumps == run / "validation/12.jsonl"
    assert found.text("preset") is None
    touch(run / "rollouts/3.jsonl")
    assert found.dumps == run / "rollouts/3.jsonl"


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    write_about(run, {**ABOUT, "files": {"rollouts": str(elsewhere), "validation": "val"}}, {})
    touch(elsewhere / "7.jsonl", run / "val/8.jsonl")
    assert open_run(run).dumps == elsewhere / "7.jsonl"
    assert open_run(run).place("validation") == run / "val"


def test_starts_add_up(tmp_path: Path) -> None:
    for number in (1, 2):
        write_about(tmp_path, {**ABOUT, "steps": number}, {"start": number})
    about = json.loads((tmp_path / "run.json").read_text())
    assert about == {**ABOUT, "steps": 2, "starts": [{"start": 1}, {"start": 2}]}


def test_what_belongs_to_a_run(tmp_path: Path) -> None:
    write_about(tmp_path, ABOUT, {})
    dump = tmp_path / "rollouts/7.jsonl"
    evaluation = tmp_path / "evaluation/bfcl/rows.jsonl"
    touch(dump, evaluation)
    (evaluation.parent / "run.json").write_text('{"benchmark": "bfcl"}')  # no training run's
    for path in (dump, evaluation):
        found = run_of(path)
        assert found is not None
        assert found.path == tmp_path
    assert run_of(tmp_path) is None


def test_runs_below_a_folder(tmp_path: Path) -> None:
    write_about_in = [tmp_path / "b", tmp_path / "project/c"]
    for folder in write_about_in:
        folder.mkdir(parents=True)
        write_about(folder, ABOUT, {})
    touch(tmp_path / "a/metrics.jsonl", tmp_path / "b/inner/metrics.jsonl", tmp_path / "notes.txt")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/run.json").write_text('{"trainer')
    found = [str(run.path.relative_to(tmp_path)) for run in find_runs(tmp_path)]
    assert found == ["a", "b", "d", "project/c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not the folder of a run"),
        ("{", r"run\.json: cannot be read"),
        ("[]", r"run\.json: not a JSON object"),
    ],
)
def test_what_is_no_run_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        open_run(tmp_path)


def test_a_folder_of_runs_names_one(tmp_path: Path) -> None:
    touch(tmp_path / "a/metrics.jsonl")
    with pytest.raises(ValueError, match=r"it holds runs: name one, such as .*/a$"):
        open_run(tmp_path)
