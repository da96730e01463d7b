"""A user who reacts, in the real agent loop: what is asked, heard and written down, and when."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from loop_harness import Notebook, Server, call, context_text, info, make_row, run, script, tool
from templates import MODELS, get_model

from recipes.own_tools.customer import CustomerVisit
from rest_verl.environments.base import register_environment
from rest_verl.environments.users import Talk, Text

QWEN = get_model("qwen3")
THOUGHT = "<think>only 3</think>\n"
TASK = {
    "stock": {"lamp": 3},
    "opening": "Some lamps.",
    "rules": [
        {"hears": ["how many"], "says": " Four. \n"},
        {"hears": ["only"], "says": "Then three."},
        {"hears": ["ordered"], "says": None},
    ],
    "orders": {"lamp": 3},
    "told": ["only 3"],
}
COUNT, ORDER = call("count", item="lamp"), call("order", item="lamp", quantity=3)
RIGHT = [THOUGHT + "How many?", COUNT, "There are only 3.", ORDER, "Ordered."]
SAID = [
    ("user", "Some lamps."),
    ("model", "How many?"),
    ("user", "Four."),
    ("model", "There are only 3."),
    ("user", "Then three."),
    ("model", "Ordered."),
]


@pytest.fixture
def visited(monkeypatch: pytest.MonkeyPatch) -> list[CustomerVisit]:
    """The environments that the loop makes."""
    made: list[CustomerVisit] = []
    make = CustomerVisit.__init__

    def noted(self: CustomerVisit, task: dict[str, Any]) -> None:
        make(self, task)
        made.append(self)

    monkeypatch.setattr(CustomerVisit, "__init__", noted)
    return made


def row() -> dict[str, Any]:
    columns = make_row(["Some lamps."])
    columns["extra_info"] |= {"environment": "shop_customer", "task": json.dumps(TASK)}
    return columns


@pytest.mark.parametrize("name", MODELS)
def test_the_user_hears_words_and_the_model_the_reply(
    name: str, visited: list[CustomerVisit]
) -> None:
    model = get_model(name)
    output, _ = run(model, RIGHT, row())
    (environment,) = visited
    assert environment.talk.texts == [Text(*said) for said in SAID]
    given = context_text(model, output)
    assert given.index("Four.") < given.index("3 lamp in stock") < given.index("Then three.")
    assert info(output)["score"] == 1
    assert info(output)["turns"] == 3
    assert output.extra_fields["turn_scores"] == [0, 0, 1]
    assert info(output)["limit/none"] == 1


@pytest.mark.parametrize(
    ("options", "room", "limit", "heard"),
    [({"max_turns": 2}, 1 << 12, "turns", 4), ({}, 1, "response_length", 2)],
)
def test_what_the_model_is_not_given_was_not_said(
    options: dict[str, Any], room: int, limit: str, heard: int, visited: list[CustomerVisit]
) -> None:
    length = len(Server(QWEN, script([])).encode(RIGHT[0])) + room
    output, _ = run(QWEN, RIGHT, row(), options, response_length=length)
    assert info(output)[f"limit/{limit}"] == 1
    assert visited[0].talk.texts == [Text(*said) for said in SAID[:heard]]
    assert len(output.extra_fields["turn_scores"]) == info(output)["turns"] == heard / 2


class Scholar:
    """A user who takes a while, and breaks where the task says so."""

    def __init__(self, broken: str) -> None:
        self.broken = broken

    async def reply(self, texts: Sequence[Text]) -> str | None:
        await asyncio.sleep(0)
        if self.broken:
            raise LookupError("no idea")
        return f"{len(texts)}?" if len(texts) < 4 else None


@register_environment("scholar's notebook")
class ScholarsNotebook(Notebook):
    """A notebook whose tools may grow, for a user who reacts."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__(task)
        self.talk = Talk(Scholar(self.broken))

    def end_turn(self) -> None:
        super().end_turn()
        self.tools = [*self.tools, *self.late.get("tools", [])]


def scholars(**task: Any) -> dict[str, Any]:
    columns = make_row(["u"], **task)
    columns["extra_info"]["environment"] = "scholar's notebook"
    return columns


def test_a_user_who_takes_a_while_and_tools_that_appear() -> None:
    output, _ = run(QWEN, ["a", "b"], scholars(late={"tools": [tool("sort")]}))
    given = context_text(QWEN, output)
    assert "sort(text?: str)\n2?" in given
    assert info(output)["turns"] == 2


def test_a_user_who_fails_names_the_row() -> None:
    place = r"row page-7: user_message\(1\) in environment \"scholar's notebook\" failed: "
    with pytest.raises(RuntimeError, match=place + "LookupError: no idea"):
        run(QWEN, ["a"], scholars(broken="yes"))
