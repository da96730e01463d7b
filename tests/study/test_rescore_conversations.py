"""Recorded conversations played through their environments again: what was logged comes out."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from multi_turn_samples import answer, needs_package, question
from recorded_dumps import Dumper, save_batch
from recorded_talks import STEP, call, talk
from stand_in import save_model
from templates import MODELS, get_model

from recipes.own_tools.shop import Shop
from rest_verl import cli
from rest_verl.data.conversations import environment_row
from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset
from rest_verl.environments.base import Verdict, register_environment

TASK = {
    "stock": {"lamp": 4, "desk": 2},
    "turns": [
        {"user": "How many lamps?", "counted": ["lamp"], "orders": {}},
        {"user": "Two, please.", "counted": [], "orders": {"lamp": 2}},
        {"user": "No, thanks.", "counted": [], "cancelled": ["lamp"], "orders": {}},
    ],
}
COUNT, ORDER, CANCEL = (
    call("count", item="lamp"),
    call("order", item="lamp", quantity=2),
    call("cancel", item="lamp"),
)
BOTH = f"{COUNT[: -len('</tool_call>')]}{COUNT.splitlines()[1]}\n</tool_call>"
THOUGHT = "<think> for </think>\n"
USERS_ROLE = "\nuser\nThree, please.\nassistant\n"
TOOLS_ROLE = "\nuser\n<tool_response>\n3 lamp ordered\n</tool_response>\nassistant\n"
TALKS: dict[str, list[str | bytes]] = {
    "right": [COUNT, "Four.", ORDER, "Done. ☃", CANCEL, "Bye."],
    "with thoughts": [THOUGHT + COUNT, "Four.", THOUGHT + ORDER, "Done.", CANCEL, "Bye."],
    "wrong": [COUNT, "Four.", "No.", "Bye."],
    "two calls at once": [BOTH, "Four.", ORDER, "Done.", CANCEL, "Bye."],
    "a call that cannot be read": ["<tool_call>\n{", COUNT, "Four.", ORDER, "D", CANCEL, "B"],
    "errors": [call("fly"), COUNT, "4", call("order", item="lamp", quantity=9), "D", CANCEL, "B"],
    "nothing said": ["", "", ""],
    "cut off in a call": [COUNT, "Four.", ORDER[:-20].encode()],
    "cut off in a thought": [COUNT, "Four.", b"<think> I"],
    "cut off in words": [COUNT, "Four.", ORDER, b"It is d"],
}
"""What a policy says to the shop's task; bytes: cut off."""


@pytest.fixture(autouse=True)
def warnings_as_before() -> Iterator[None]:
    with warnings.catch_warnings():
        yield
    logging.disable(logging.NOTSET)


def row_of(task: dict[str, Any], name: str = "shop", number: int = 0) -> dict[str, Any]:
    origin = {"category": name, "split": "train", "version": "", "data_source": name}
    return environment_row(name, task, "compact", index=number, id=f"{name}_{number}", **origin)


PLAYED = {
    "the user's part": [COUNT, f"Four.{USERS_ROLE}Fine.", ORDER, "Done.", CANCEL, "Bye."],
    "a tool's part": [COUNT, "Four.", f"{ORDER}{TOOLS_ROLE}Fine.", "Done.", CANCEL, "Bye."],
}


class Run:
    """A run's dumps, its data and its model, in a folder."""

    def __init__(self, folder: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.model = get_model(model)
        save_model(folder / "model", self.model)
        self._dumper = Dumper(self.model.tokenizer, monkeypatch)

    def dump(self, kind: str, talks: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Path:
        keyed = {f"u{number}_0_0": {**row, "uid": f"u{number}"} for number, row in enumerate(talks)}
        if kind == "ids":
            return save_batch(self.folder / "dump", STEP, keyed)
        write_dataset(self.folder / "data", {"train": rows}, ENVIRONMENT_EXTRA_INFO, {})
        return self._dumper.validation(self.folder / "dump", STEP, keyed)

    def rescore(self, dump: Path, *arguments: str) -> list[dict[str, Any]]:
        output = self.folder / "out"
        given = [str(dump), "--reward", "toolrl", "--model", str(self.folder / "model")]
        if dump.suffix == ".jsonl":
            given += ["--data", str(self.folder / "data" / "train.parquet")]
        assert cli.main(["rescore", *given, "--output", str(output), *arguments]) == 0
        lines = (output / "rescored.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def same(record: dict[str, Any]) -> bool:
    replay = record["replay"]
    return not (record["differs"] or replay["differing"] or replay["has_left_over"])


@pytest.mark.parametrize("reward", ["score", "dense"])
@pytest.mark.parametrize("kind", ["text", "ids"])
@pytest.mark.parametrize("name", MODELS)
def test_the_same_settings_give_what_was_logged(
    name: str, kind: str, reward: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, row = Run(tmp_path, name, monkeypatch), row_of(TASK)
    talks = [talk(run.model, row, said, {"reward": reward}) for said in TALKS.values()]
    records = run.rescore(run.dump(kind, talks, [row]), "--tool-env", f"reward={reward}")
    faults = [name for name, record in zip(TALKS, records, strict=True) if not same(record)]
    assert faults == []
    scores = [record["new"] for record in records]
    assert scores == [record["old"] for record in records]
    assert scores[0] == 1.0
    assert len(set(scores)) > 2
    assert records[0]["replay"]["compared"] == 5
    assert records[0]["replay"]["task"] == "shop_0"


@pytest.mark.parametrize("said", PLAYED.values(), ids=list(PLAYED))
def test_a_policy_that_plays_the_others_parts(
    said: list[str | bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text that looks like the end of a message and is none; ids do not look at text."""
    run, row = Run(tmp_path, "qwen3", monkeypatch), row_of(TASK)
    (record,) = run.rescore(run.dump("text", [talk(run.model, row, said)], [row]))
    assert same(record)
    assert record["replay"]["passed_over"] == 1


LIMITS = {
    "steps": ({"max_steps_per_turn": 2}, {}, [COUNT, COUNT]),
    "turns": ({"max_turns": 1}, {}, [COUNT, "Four."]),
    "short observations": ({"max_observation_tokens": 8}, {}, TALKS["right"]),
    "no room for an observation": ({}, {"response_length": 70}, [COUNT]),
    "no room for the call": ({}, {"response_length": 30}, [COUNT]),
}


@pytest.mark.parametrize(("options", "lengths", "said"), LIMITS.values(), ids=list(LIMITS))
@pytest.mark.parametrize("kind", ["text", "ids"])
def test_limits_of_a_run(
    kind: str,
    options: dict[str, Any],
    lengths: dict[str, int],
    said: list[str | bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, row = Run(tmp_path, "qwen3", monkeypatch), row_of(TASK)
    options = {"reward": "dense", **options}
    dump = run.dump(kind, [talk(run.model, row, said, options, **lengths)], [row])
    words = [f"{key}={value}" for key, value in options.items()]
    (record,) = run.rescore(dump, "--tool-env", *words)
    assert same(record)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [({"response_length": 140}, [COUNT, "Four lamps."]), ({"prompt_length": 10}, [])],
    ids=["no room for the user", "a prompt that is too long"],
)
def test_what_only_ids_tell(
    lengths: dict[str, int], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, row = Run(tmp_path, "qwen3", monkeypatch), row_of(TASK)
    dump = run.dump("ids", [talk(run.model, row, said, **lengths)], [row])
    (record,) = run.rescore(dump)
    assert same(record)
    limit = "response_length" if said else "prompt_too_long"
    assert record["parts"][f"limit/{limit}"] == 1.0


@pytest.mark.parametrize("kind", ["text", "ids"])
def test_another_reward(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, row = Run(tmp_path, "hermes", monkeypatch), row_of(TASK)
    dump = run.dump(kind, [talk(run.model, row, TALKS["wrong"])], [row])
    (record,) = run.rescore(dump, "--tool-env", "reward=dense")
    assert record["old"] == pytest.approx(record["parts"]["official"]) == pytest.approx(1 / 3)
    assert record["replay"]["differing"] == 0


@register_environment("dice")
class Dice:
    """A tool that never answers the same twice."""

    thrown = 0
    tools = Shop(TASK).tools

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task

    def user_message(self, turn: int) -> str | None:
        return self.task["say"] if turn == 0 else None

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        Dice.thrown += 1
        return f"a {Dice.thrown}"

    def end_turn(self) -> None:
        pass

    def outcome(self) -> list[Verdict]:
        return [Verdict(True)]

    def score(self) -> float:
        return 1.0


@pytest.mark.parametrize("kind", ["text", "ids"])
def test_a_tool_that_is_not_deterministic_shows(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run, row = Run(tmp_path, "qwen3", monkeypatch), row_of({"say": "Throw."}, "dice")
    monkeypatch.setattr(Dice, "thrown", 0)
    dump = run.dump(kind, [talk(run.model, row, [COUNT, COUNT, "Done."])], [row])
    (record,) = run.rescore(dump)
    replay = record["replay"]
    assert (replay["compared"], replay["differing"], replay["has_left_over"]) == (2, 2, False)
    assert "a 1" in replay["differences"][0]["recorded"]
    assert "a 1" not in replay["differences"][0]["replayed"]
    assert record["differs"] == []
    assert "2 differ from the record" in " ".join(capsys.readouterr().out.split())


def test_of_rows_with_one_prompt_the_record_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both begin alike; what the customer says next is not the same."""
    run = Run(tmp_path, "qwen3", monkeypatch)
    other = json.loads(json.dumps(TASK))
    other["turns"][1] = {"user": "One, please.", "counted": [], "orders": {"lamp": 1}}
    rows = [row_of(other, number=1), row_of(TASK)]
    talks = [talk(run.model, rows[1], TALKS["right"]), talk(run.model, rows[1], [b"<think>"])]
    records = run.rescore(run.dump("text", talks, rows))
    assert same(records[0])
    assert records[0]["replay"]["task"] == "shop_0"
    assert not records[0]["replay"]["is_one_of_several"]


def test_of_rows_that_cannot_be_told_apart_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, "qwen3", monkeypatch)
    other = {**TASK, "turns": [{**turn, "orders": {}} for turn in TASK["turns"]]}
    rows = [row_of(TASK), row_of(other, number=1)]
    (record,) = run.rescore(run.dump("text", [talk(run.model, rows[0], TALKS["right"])], rows))
    assert record["replay"]["is_one_of_several"]


@needs_package
@pytest.mark.parametrize("kind", ["text", "ids"])
def test_bfcl(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions that appear later, a directory listing, and a turn that wants no call."""
    run = Run(tmp_path, "qwen3", monkeypatch)
    rows = [row_of({**question(number), **answer(number)}, "bfcl", number) for number in (0, 1)]
    right = [
        call("pwd"),
        call("ls", a=True),
        "So.",
        "No sort.",
        call("sort", file_name="a.txt"),
        "B",
    ]
    wrong = [call("ls"), "So.", call("cat", file_name="a.txt"), "b, a", "Sorted."]
    talks = [talk(run.model, row, said) for row, said in zip(rows, (right, wrong), strict=True)]
    records = run.rescore(run.dump(kind, talks, rows))
    assert [same(record) for record in records] == [True, True]
    assert [record["new"] for record in records] == [1.0, 0.0]


def refusal(run: Run, dump: Path, capsys: Any, *arguments: str) -> str:
    given = [str(dump), "--reward", "toolrl", "--output", str(run.folder / "out")]
    assert cli.main(["rescore", *given, *arguments]) == 1
    return capsys.readouterr().err


def test_a_prompt_of_no_row_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run, row = Run(tmp_path, "qwen3", monkeypatch), row_of(TASK)
    other = row_of({**TASK, "turns": [{**TASK["turns"][0], "user": "Else?"}]}, number=1)
    dump = run.dump("text", [talk(run.model, row, TALKS["right"])], [other])
    model, data = str(tmp_path / "model"), str(tmp_path / "data" / "train.parquet")
    message = refusal(run, dump, capsys, "--model", model, "--data", data)
    assert f"{dump}:1: its prompt is that of no row in" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environment": "circus"}, "unknown environment 'circus'"),
        ({"task": "{"}, "extra_info.task is not JSON"),
        ({"task": "{}"}, "KeyError: 'stock'"),
    ],
    ids=["environment", "no JSON", "task"],
)
def test_a_task_that_cannot_be_read_is_refused(
    changes: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    run, row = Run(tmp_path, "qwen3", monkeypatch), row_of(TASK)
    said = talk(run.model, row, TALKS["right"])
    said["extra_info"] = {**row["extra_info"], **changes}
    dump = run.dump("ids", [said], [row])
    assert message in refusal(run, dump, capsys, "--model", str(tmp_path / "model"))


def test_a_conversation_of_ids_needs_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run, row = Run(tmp_path, "qwen3", monkeypatch), row_of(TASK)
    dump = run.dump("ids", [talk(run.model, row, TALKS["right"])], [row])
    assert "is a conversation; name the model" in refusal(run, dump, capsys)
