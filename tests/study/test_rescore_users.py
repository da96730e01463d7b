"""Recorded conversations with a user who reacts: what was said is said again, and nobody asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from recorded_dumps import Dumper, save_batch
from recorded_talks import STEP, call, talk
from stand_in import save_model
from templates import MODELS, get_model

import recipes.own_tools.customer  # noqa: F401 (registers the environment `shop_customer`)
from rest_verl import cli
from rest_verl.data import environment_row
from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset
from rest_verl.environments.base import Verdict, register_environment
from rest_verl.environments.users import Talk, Text

CUSTOMER: dict[str, Any] = {
    "stock": {"lamp": 3},
    "opening": "Some lamps.",
    "rules": [
        {"hears": ["how many"], "says": "Four ☃."},
        {"hears": ["only"], "says": "Then three."},
        {"hears": ["ordered"], "says": None},
    ],
    "orders": {"lamp": 3},
    "told": ["only 3"],
}
COUNT, ORDER = call("count", item="lamp"), call("order", item="lamp", quantity=3)
RIGHT: list[str | bytes] = [
    "<think> only 3 </think>\nHow many?",
    COUNT,
    "There are only 3.",
    ORDER,
    "Ordered.",
]


def tool(name: str) -> dict[str, Any]:
    function = {"name": name, "description": name, "parameters": {"type": "object"}}
    return {"type": "function", "function": function}


@register_environment("moody")
class Moody:
    """Its user says something else each time; right is who was told a secret word in the end."""

    asked = 0

    def __init__(self, task: dict[str, Any]) -> None:
        self.tools = [tool("read")]
        self.talk = Talk(self)

    def reply(self, texts: Sequence[Text]) -> str | None:
        Moody.asked += 1
        return f"The word is {Moody.asked}." if len(texts) < 4 else None

    def user_message(self, turn: int) -> str | None:
        return "Hm."

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        return "nothing"

    def end_turn(self) -> None:
        self.tools = [tool("read"), tool("write")]

    def outcome(self) -> list[Verdict]:
        users = [text for speaker, text in self.talk.texts if speaker == "user"]
        return [Verdict(users == ["Hm.", "The word is 1."] and len(self.talk.texts) == 4)]

    def score(self) -> float:
        return float(self.outcome()[0].right)


def replayed(
    kind: str,
    model_name: str,
    environment: str,
    task: dict[str, Any],
    said: list[str | bytes],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of one conversation, held, dumped and replayed."""
    model = get_model(model_name)
    save_model(folder / "model", model)
    row = environment_row(environment, task, "compact", index=0, id="row_0", category="c",
                          split="train", version="", data_source="d")  # fmt: skip
    held = {"u0_0_0": {**talk(model, row, said, options), "uid": "u0"}}
    given = ["--reward", "toolrl", "--model", str(folder / "model")]
    if kind == "ids":
        dump = save_batch(folder / "dump", STEP, held)
    else:
        write_dataset(folder / "data", {"train": [row]}, ENVIRONMENT_EXTRA_INFO, {})
        dump = Dumper(model.tokenizer, monkeypatch).validation(folder / "dump", STEP, held)
        given += ["--data", str(folder / "data" / "train.parquet")]
    if options:
        given += ["--tool-env", *(f"{key}={value}" for key, value in options.items())]
    assert cli.main(["rescore", str(dump), *given, "--output", str(folder / "out")]) == 0
    (line,) = (folder / "out" / "rescored.jsonl").read_text(encoding="utf-8").splitlines()
    record: dict[str, Any] = json.loads(line)
    return record


@pytest.mark.parametrize("kind", ["text", "ids"])
@pytest.mark.parametrize("name", MODELS)
def test_the_recorded_words_count(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = replayed(kind, name, "shop_customer", CUSTOMER, RIGHT, tmp_path, monkeypatch)
    assert (record["old"], record["new"], record["differs"]) == (1.0, 1.0, [])
    replay = record["replay"]
    assert (replay["compared"], replay["differing"], replay["has_left_over"]) == (4, 0, False)


@pytest.mark.parametrize("kind", ["text", "ids"])
def test_nobody_is_asked_again(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a description of new tools stands before what the user said."""
    monkeypatch.setattr(Moody, "asked", 0)
    record = replayed(kind, "qwen3", "moody", {}, ["a", "b"], tmp_path, monkeypatch)
    assert Moody.asked == 2  # while it was held: the word, and that there is no other
    assert (record["old"], record["new"], record["differs"]) == (1.0, 1.0, [])
    assert (record["replay"]["compared"], record["replay"]["differing"]) == (1, 0)


CUT = {
    "a call": ([*RIGHT[:3], ORDER[:-20].encode()], None, "response_length"),
    "steps": ([RIGHT[0], ORDER], {"max_steps_per_turn": 1}, "steps"),
    "turns": (RIGHT[:3], {"max_turns": 2}, "turns"),
}


@pytest.mark.parametrize("kind", ["text", "ids"])
@pytest.mark.parametrize(("said", "options", "limit"), CUT.values(), ids=list(CUT))
def test_a_conversation_that_was_cut_off(
    said: list[str | bytes],
    options: dict[str, Any] | None,
    limit: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = replayed(
        kind, "hermes", "shop_customer", CUSTOMER, said, tmp_path, monkeypatch, options
    )
    assert record["parts"][f"limit/{limit}"] == 1
    assert record["differs"] == []
    assert record["replay"]["differing"] == 0
