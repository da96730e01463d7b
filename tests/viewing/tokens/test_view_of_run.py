"""`rest-verl view RUN`: what a run's folder settles, and that options win over it."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.config import ReSTConfig
from rest_verl.files.run_folder import write_about
from rest_verl.viewing.tokens.command import add_view
from rest_verl.viewing.tokens.of_run import Shown, choose

OWN = {**asdict(ReSTConfig.preset("calibrated")), "w_cap": 3.0, "syntax": "toolrl"}


def dump(path: Path, *texts: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ({"input": "Q", "output": text, "step": int(path.stem)} for text in texts)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    dump(folder / "rollouts/6.jsonl", "a")
    dump(folder / "rollouts/12.jsonl", "b", "c")
    dump(folder / "validation/36.jsonl", "d")
    checkpoints = folder / "checkpoints"
    for step in (5, 11):
        (checkpoints / f"global_step_{step}/actor").mkdir(parents=True)
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("11")
    about: dict[str, Any] = {
        "trainer": "rest_sync",
        "preset": "calibrated",
        "rest": {**OWN, "preset": "calibrated"},
        "model": "start",
        "clock": Clock(horizon=48.0).state(),
    }
    write_about(folder, about, {})
    return folder


def chosen(*arguments: object) -> Shown:
    parser = argparse.ArgumentParser()
    add_view(parser.add_subparsers())
    return choose(parser.parse_args(["view", *map(str, arguments)]))


def test_a_run_alone(run: Path) -> None:
    shown = chosen(run)
    assert [rollout.text for rollout in shown.rollouts] == ["b", "c"]
    assert shown.title == "run/rollouts/12.jsonl"
    assert shown.model == str(run / "checkpoints/global_step_11")  # which sampled
    assert shown.config == ReSTConfig.from_options(OWN)
    assert (shown.syntax, shown.total_steps) == ("toolrl", 48)
    assert (shown.progress, shown.as_trained) == (0.25, True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["--progress", 0.5], {"progress": 0.5}, id="progress"),
        pytest.param(
            ["--preset", "paper"],
            {"config": ReSTConfig.preset("paper"), "progress": 0.25},
            id="preset",
        ),
        pytest.param(["--model", "m"], {"model": "m"}, id="model"),
        pytest.param(["--syntax", "glm"], {"syntax": "glm"}, id="syntax"),
        pytest.param(["--limit", 1], {"progress": 0.25}, id="a part of the batch"),
        pytest.param(
            ["--total-steps", 9], {"total_steps": 9, "as_trained": True}, id="total steps"
        ),
    ],
)
def test_options_win(run: Path, options: list[Any], expected: dict[str, Any]) -> None:
    shown = chosen(run, *options)
    assert {name: getattr(shown, name) for name in expected} == expected
    assert shown.as_trained == expected.get("as_trained", False)


def test_an_earlier_step_of_a_run_is_known_by_where_it_lies(run: Path) -> None:
    shown = chosen("--rollouts", run / "rollouts/6.jsonl")
    assert (shown.progress, shown.as_trained) == (0.125, True)
    assert shown.model == str(run / "checkpoints/global_step_5")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"trainer": "rest_separate_async"}, id="samples of earlier policies"),
        pytest.param({"rest": {**OWN, "entropy_ema": 0.5}}, id="remembers earlier steps"),
        pytest.param({"rest": {**OWN, "weights_per": "turn"}}, id="by turns"),
    ],
)
def test_weights_of_more_than_the_dump_holds_are_hypothetical(
    run: Path, changes: dict[str, Any]
) -> None:
    about = json.loads((run / "run.json").read_text())
    write_about(run, {**about, **changes}, {})
    shown = chosen(run)
    assert (shown.progress, shown.as_trained) == (0.25, False)
    assert shown.config.entropy_ema == 0  # which would need the steps before


def test_another_steps_entropies_are_hypothetical(run: Path) -> None:
    dump(run / "rollouts/8.jsonl", "e")
    shown = chosen("--rollouts", run / "rollouts/8.jsonl")
    assert shown.model == str(run / "checkpoints/global_step_5")
    assert (shown.progress, shown.as_trained) == (8 / 48, False)


def test_a_batch_that_is_cut_off_is_hypothetical(run: Path, capsys) -> None:
    path = run / "rollouts/12.jsonl"
    path.write_text(path.read_text()[:-5])
    shown = chosen(run)
    assert ([rollout.text for rollout in shown.rollouts], shown.as_trained) == (["b"], False)
    assert "12.jsonl: its last line is cut off and was left out" in capsys.readouterr().err


def test_no_validation_was_trained_on(run: Path) -> None:
    shown = chosen(run, "--rollouts", run / "validation")
    assert (shown.progress, shown.as_trained) == (0.75, False)


def test_rollouts_of_no_run(tmp_path: Path) -> None:
    dump(tmp_path / "3.jsonl", "a")
    shown = chosen("--rollouts", tmp_path, "--model", "m")
    assert (shown.progress, shown.as_trained, shown.total_steps) == (0.0, False, 105)
    assert shown.config == ReSTConfig.preset("paper")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "name the folder of a RUN", id="nothing"),
        pytest.param(["empty"], "not the folder of a run", id="no run"),
        pytest.param(["bare"], "no rollouts and no answers", id="no dumps"),
        pytest.param(["--rollouts", "3.jsonl"], "with --model", id="no run and no model"),
        pytest.param(
            ["bare", "--rollouts", "3.jsonl"], "no checkpoint and names no", id="none yet"
        ),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "bare"):
        (tmp_path / name).mkdir()
    (tmp_path / "bare/metrics.jsonl").touch()
    dump(tmp_path / "3.jsonl", "a")
    with pytest.raises(ValueError, match=message):
        chosen(*arguments)
