"""`rest-verl rescore` on single answers: dumps as verl writes them, scored as verl scored them."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl writes the dumps")
from recorded_dumps import Dumper, queue_row, save_batch, scored
from stand_in import save_model
from templates import get_model

from rest_verl import cli
from rest_verl.algorithm.clock import Clock
from rest_verl.study.recorded import read_recorded
from rest_verl.study.rescore.summary import comparison

MODEL = get_model("qwen3")
SPAN = {"days": 3, "city": "Zürich", "unit": "C", "wind": True, "rain": None}
TRUTH = (
    "<think> look </think>\n<tool_call>\n"
    + json.dumps({"name": "weather", "parameters": SPAN})
    + "\n</tool_call>"
)
OWN = json.dumps(
    {
        "format": "chat_template",
        "expect": "calls",
        "calls": [{"name": "weather", "parameters": {"city": ["Zürich"]}}],
    }
)


def answer(name: str = "weather", key: str = "parameters", **arguments: Any) -> str:
    call = json.dumps({"name": name, key: arguments}, ensure_ascii=False)
    return f"<think> so </think>\n<tool_call>\n{call}\n</tool_call>"


ANSWERS = {
    "right": answer(**SPAN),
    "in part right": answer(days=3, city="Bern", unit="C"),
    "another tool": answer("time"),
    "no thought": answer(**SPAN).partition("\n")[2],
    "no call": "<think> so </think>\nIt rains, I guess. ☃",
    "cut off": answer(**SPAN)[:60],
    "nothing": "",
}
"""ToolRL's answers; the last two end without the token that ends a message."""


@pytest.fixture(autouse=True)
def warnings_as_before() -> Iterator[None]:
    with warnings.catch_warnings():
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), MODEL)


@pytest.fixture
def dumper(monkeypatch: pytest.MonkeyPatch) -> Dumper:
    return Dumper(MODEL.tokenizer, monkeypatch)


def rows_of(
    step: int, options: dict[str, Any], truth: str = TRUTH, answers: Any = None, **columns: Any
) -> dict[str, dict[str, Any]]:
    """Answers with the rewards of verl's manager, by verl's keys."""
    rows = {}
    encode = MODEL.tokenizer.encode
    for number, text in enumerate((answers or ANSWERS).values()):
        ended = text and not text.startswith(answer(**SPAN)[:60] + "\n")
        ids = [*encode(text), *encode("<|im_end|>")] if ended else encode(text) or encode("<pad>")
        row = queue_row(
            encode("<|im_start|>user\nRain?<|im_end|>\n<|im_start|>assistant\n"),
            ids,
            0.0,
            uid="u",
            session_id=number,
            global_steps=step,
            reward_model={"ground_truth": truth},
            **columns,
        )
        rows[f"u_{number}_0"] = scored(MODEL.tokenizer, row, options)
    return rows


def run(*arguments: Any) -> int:
    return cli.main(["rescore", *map(str, arguments)])


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "rescored.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "rescored.json").read_text(encoding="utf-8"))


CLOCK = Clock(horizon=40.0).state()
SAME = {
    "fixed": ({}, ["toolrl"]),
    "scheduled by the run": (
        {"preset": "toolrl_scheduled", "clock": CLOCK},
        ["toolrl_scheduled", "--total-steps", "40"],
    ),
    "scheduled by steps": (
        {"preset": "toolrl_scheduled", "horizon": 60},
        ["toolrl_scheduled", "horizon=60"],
    ),
    "own bounds": (
        {"correctness_max": 2, "format_min": -1},
        ["correctness_max=2", "format_min=-1"],
    ),
}


@pytest.mark.parametrize(("options", "reward"), SAME.values(), ids=list(SAME))
@pytest.mark.parametrize("kind", ["rollouts", "batches"])
def test_the_same_settings_give_what_was_logged(
    kind: str, options: dict, reward: list, dumper: Dumper, tmp_path: Path, model: Path
) -> None:
    for step in (3, 17, 39):
        rows = rows_of(step, options)
        if kind == "rollouts":
            dumper.rollouts(tmp_path / kind, step, rows)
        else:
            save_batch(tmp_path / kind / str(step) / "0", step, rows)
    named = ["--model", model] if kind == "batches" else []
    output = tmp_path / "out"
    assert run(tmp_path / kind, *named, "--output", output, "--reward", *reward) == 0
    found = records(output)
    assert len(found) == 3 * len(ANSWERS)
    assert [record["differs"] for record in found] == [[]] * len(found)
    assert [record["old"] for record in found] == [record["new"] for record in found]
    assert len({record["new"] for record in found}) > 3
    every = summary(output)["all"]
    assert (every["changed"], every["difference"]) == (0, 0.0)
    assert every["correlation"] == pytest.approx(1)


def test_validation_is_on_the_fixed_scale(dumper: Dumper, tmp_path: Path) -> None:
    options = {"preset": "toolrl_scheduled", "horizon": 60}
    columns = {"extra_info": {"split": "validation"}}
    dumper.validation(tmp_path, 7, rows_of(7, options, **columns))
    output = tmp_path / "out"
    assert (
        run(tmp_path / "7.jsonl", "--output", output, "--reward", "toolrl_scheduled", "horizon=60")
        == 0
    )
    found = records(output)
    assert [record["differs"] for record in found] == [[]] * len(found)
    assert found[0]["parts"]["score"] == 4.0


def test_another_reward_shows_what_it_changes(
    dumper: Dumper, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dumper.validation(tmp_path / "run" / "validation", 7, rows_of(7, {}))
    output = tmp_path / "out"
    assert run(tmp_path / "run", "--output", output, "--reward", "correctness_max=6") == 0
    found = {record["name"]: record for record in records(output)}
    assert (found["u_0_0"]["old"], found["u_0_0"]["new"]) == (4.0, 7.0)
    assert found["u_0_0"]["differs"] == ["score", "correctness"]
    assert found["u_4_0"]["differs"] == []  # nothing right, on either scale
    old = np.array([record["old"] for record in found.values()])
    new = np.array([record["new"] for record in found.values()])
    every = summary(output)["all"]
    assert every["old"] == pytest.approx(old.mean())
    assert every["new"] == pytest.approx(new.mean())
    assert every["difference"] == pytest.approx((new - old).mean())
    assert every["changed"] == (new != old).sum() > 1
    assert every["correlation"] == pytest.approx(np.corrcoef(old, new)[0, 1])
    assert "correlation" in capsys.readouterr().out


def test_comparison_of_what_cannot_be_compared() -> None:
    found = comparison([{"old": None, "new": 1.0}, {"old": 2.0, "new": 2.0}])
    assert found == {
        "rows": 2,
        "logged": 1,
        "old": 2.0,
        "new": 2.0,
        "difference": 0.0,
        "changed": 0,
        "correlation": None,
    }
    assert comparison([{"old": None, "new": 1.0}])["old"] is None


def test_the_models_own_syntax(dumper: Dumper, tmp_path: Path, model: Path) -> None:
    answers = {
        "right": answer(key="arguments", city="Zürich"),
        "wrong": answer(key="arguments", city="Bern"),
        "none": "It rains.",
    }
    dump = dumper.rollouts(tmp_path / "d", 1, rows_of(1, {}, OWN, answers))
    assert run(dump, "--model", model, "--output", tmp_path / "out", "--reward", "toolrl") == 0
    found = records(tmp_path / "out")
    assert [record["differs"] for record in found] == [[], [], []]
    assert found[0]["new"] == 4.0


def test_outputs_of_a_session_share_the_last_ones_reward(dumper: Dumper, tmp_path: Path) -> None:
    rows = rows_of(1, {}, answers={"right": ANSWERS["right"], "wrong": ANSWERS["another tool"]})
    first, last = rows["u_0_0"], rows["u_1_0"]
    first["rm_scores"][-1] = last["rm_scores"].sum()
    dump = dumper.rollouts(tmp_path / "d", 1, {"u_0_0": first, "u_0_1": last})
    assert run(dump, "--output", tmp_path / "out", "--reward", "toolrl") == 0
    assert [record["differs"] for record in records(tmp_path / "out")] == [[], []]


def test_it_goes_on_file_by_file(
    dumper: Dumper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from rest_verl.study.rescore import rules

    for step in (1, 2, 3):
        dumper.rollouts(tmp_path / "d", step, rows_of(step, {}))
    scored_rows = 0
    whole = rules.tool_call_reward

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal scored_rows
        scored_rows += 1
        if scored_rows == stop_at:
            raise KeyboardInterrupt
        return whole(*args, **kwargs)

    monkeypatch.setattr(rules, "tool_call_reward", counting)
    stop_at = len(ANSWERS) + 2
    output = tmp_path / "out"
    arguments = [tmp_path / "d", "--output", output, "--reward", "toolrl"]
    assert run(*arguments) == 130
    assert "stopped with 1 of 3 files" in capsys.readouterr().err
    assert not (output / "rescored.jsonl").exists()

    scored_rows, stop_at = 0, -1
    assert run(*arguments) == 0
    assert scored_rows == 2 * len(ANSWERS)
    assert [record["step"] for record in records(output)] == [
        step for step in (1, 2, 3) for _ in ANSWERS
    ]
    written = (output / "rescored.jsonl").read_bytes()
    assert run(*arguments) == 0
    assert scored_rows == 2 * len(ANSWERS)  # nothing is left to do
    assert (output / "rescored.jsonl").read_bytes() == written

    assert run(*arguments, "format_max=2") == 0  # other settings
    assert scored_rows == 5 * len(ANSWERS)
    dumper.rollouts(tmp_path / "d", 2, rows_of(2, {}, answers={"one": ANSWERS["right"]}))
    assert run(*arguments) == 0  # another dump in its place
    assert scored_rows == 5 * len(ANSWERS) + 1


def test_a_dump_that_is_being_written(dumper: Dumper, tmp_path: Path, capsys) -> None:
    dump = dumper.rollouts(tmp_path / "d", 1, rows_of(1, {}))
    dump.write_bytes(dump.read_bytes()[:-20])
    assert len(read_recorded(dump)) == len(ANSWERS) - 1
    said = f"{dump}: its last line is cut off and was left out\n"
    assert capsys.readouterr().err == said
    assert run(dump, "--reward", "toolrl", "--output", tmp_path / "o") == 0
    assert capsys.readouterr().err.count(said) == 1
    assert cli.main(["replay-step", str(dump), "--model", "m"]) == 1
    assert "its last line is cut off: the step is not whole" in capsys.readouterr().err


def line(**changes: Any) -> str:
    whole = {"input": "Rain?", "output": "x", "gts": TRUTH, "score": 1.0, "step": 1, "uid": "u_0_0"}
    return json.dumps({**whole, **changes}) + "\n"


SPECIAL = json.dumps({"format": "chat_template", "expect": "any_call", "calls": []})
REFUSED = {
    "no such file": (None, [], "d: no such file or folder"),
    "no dump": ("other.txt", [], "holds no dump of verl's"),
    "not JSON": ("x\n", [], "1.jsonl:1: not a line of JSON"),
    "no response": ("{}\n", [], "1.jsonl:1: no response of verl's"),
    "no ground truth": (line() + line(gts=None), [], "1.jsonl:2: has no ground truth"),
    "a conversation's": (line(gts=""), [], "name the run's rows with --data PARQUET"),
    "malformed ground truth": (line(gts="?"), [], "1.jsonl:1: malformed ground truth"),
    "a model's syntax": (line(gts=OWN), [], "name the model whose run it is with --model"),
    "no step": (line(step=None), ["--reward", "toolrl_scheduled", "horizon=9"], "has no step"),
    "schedule": (line(), ["--reward", "toolrl_scheduled"], "say how many those are with --total"),
    "preset": (line(), ["--reward", "tolrl"], "unknown reward preset 'tolrl'"),
    "two presets": (line(), ["--reward", "toolrl", "toolrl"], "names two presets"),
    "option": (line(), ["--reward", "max=1"], "unknown reward options max"),
    "no value": (line(), ["--reward", "horizon="], "--reward horizon=: write KEY=VALUE"),
    "twice": (line(), ["--reward", "horizon=1", "horizon=2"], "horizon is given twice"),
    "tool-env": (line(), ["--tool-env", "reward=x"], "rest_tool_env.reward must be one of"),
    "model": (line(), ["--model", "nowhere"], "--model nowhere: no such folder"),
    "data": (line(), ["--data", "nowhere"], "--data nowhere: no such file"),
    "output": (line(), ["--output", __file__], "is a file; name a folder"),
}


@pytest.mark.parametrize(("content", "arguments", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_scored_is_refused(
    content: str | None,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "d"
    if content is not None:
        folder.mkdir()
        name = content if content.endswith(".txt") else "1.jsonl"
        (folder / name).write_text(content)
    reward = [] if "--reward" in arguments else ["--reward", "toolrl"]
    output = [] if "--output" in arguments else ["--output", tmp_path / "out"]
    assert run(folder, *output, *reward, *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "rescored.jsonl").exists()


def test_lost_tags_are_refused(
    tmp_path: Path, dumper: Dumper, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tokenizer whose tags are special tokens: text has lost them, ids have not."""
    from templates import QWEN3, Model, make_tokenizer

    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = make_tokenizer(QWEN3, end="<|im_end|>", special=special)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<tool_call>", "</tool_call>"]})
    folder = save_model(tmp_path / "model", Model(tokenizer, "qwen3", "<|im_end|>", "\n"))
    rows = rows_of(1, {}, OWN, {"right": answer(key="arguments", city="Zürich")})
    dumper.rollouts(tmp_path / "d", 1, rows)
    given = ["--model", folder, "--output", tmp_path / "out", "--reward", "toolrl"]
    assert run(tmp_path / "d", *given) == 1
    assert "have tags that are special tokens of this tokenizer" in capsys.readouterr().err
    assert run(save_batch(tmp_path / "b", 1, rows), *given) == 0
    assert records(tmp_path / "out")[0]["new"] == 4.0
