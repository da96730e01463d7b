"""The customer who reacts: what he says to whom, and what his visit is worth."""

from typing import Any

import pytest

from recipes.own_tools.customer import CustomerVisit, visits

TASK: dict[str, Any] = {
    "stock": {"lamp": 3},
    "opening": "Some lamps.",
    "rules": [
        {"hears": ["how many"], "says": "Four."},
        {"hears": ["only"], "says": "Then three."},
        {"hears": ["ordered"], "says": None},
        {"says": "Sorry?"},
    ],
    "orders": {"lamp": 3},
    "told": ["only 3"],
}
ORDER = ("order", {"item": "lamp", "quantity": 3})


def visit(task: dict[str, Any], turns: list[tuple[list[tuple[str, dict]], str]]) -> Any:
    """(the environment at the end, what the customer said), each turn its calls and its words."""
    environment = CustomerVisit(task)
    said: list[str | None] = [environment.user_message(0)]
    for calls, words in turns:
        assert said[-1] is not None
        environment.talk.add("user", said[-1])
        for name, arguments in calls:
            environment.call(name, arguments)
        environment.talk.add("model", words)
        environment.end_turn()
        said.append(environment.talk.user.reply(environment.talk.texts))
    return environment, said


@pytest.mark.parametrize(
    ("turns", "said", "share", "reason"),
    [
        (
            [([], "How many?"), ([], "There are only 3."), ([ORDER], "Ordered.")],
            ["Four.", "Then three.", None],
            1.0,
            "",
        ),
        ([([], "How many?"), ([ORDER], "Ordered.")], ["Four.", None], 0.5, "not told"),
        ([([], "We have only 3.")], ["Then three."], 0.5, "ordered otherwise"),
        ([([], ""), ([], "Hm.")], ["Sorry?", None], 0.0, "ordered otherwise"),
    ],
    ids=["right", "not told", "not ordered", "silent"],
)
def test_a_visit(turns: list, said: list[str | None], share: float, reason: str) -> None:
    environment, heard = visit(TASK, turns)
    assert heard[1:] == said
    (verdict,) = environment.outcome()
    assert (verdict.right, verdict.right_calls, verdict.reason) == (share == 1, share, reason)
    assert environment.score() == float(share == 1)
    rewards = environment.turn_rewards()
    assert len(rewards) == len(turns)
    assert rewards[:-1] == [0.0] * (len(turns) - 1)
    assert rewards[-1] == environment.score()


def test_every_visit_can_be_made_right() -> None:
    tasks = visits()
    assert tasks == visits()
    assert len({str(task) for task in tasks.values()}) > 50
    lengths = set()
    for task in tasks.values():
        ((item, stock),) = task["stock"].items()
        order = ("order", {"item": item, "quantity": stock})
        warn = [([], f"There are only {stock}.")] if task["told"] else []
        turns = [([], "How many?"), *warn, ([order], "Ordered.")]
        environment, said = visit(task, turns)
        assert said[-1] is None
        assert environment.score() == 1
        lengths.add(len(turns))
    assert lengths == {2, 3}
