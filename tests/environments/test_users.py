"""Users who react: the talk's bookkeeping, the table of a scripted one, which texts it hears."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rest_verl.environments.base import talk_of
from rest_verl.environments.scripted_user import Rule, ScriptedUser
from rest_verl.environments.users import Talk, Text


class Says:
    """Says what it is given; `later` as a coroutine."""

    def __init__(self, reply: str | None, *, later: bool = False) -> None:
        self.answer, self.later = reply, later
        self.heard: list[Sequence[Text]] = []

    def reply(self, texts: Sequence[Text]) -> Any:
        self.heard.append(texts)

        async def wait() -> str | None:
            await asyncio.sleep(0)
            return self.answer

        return wait() if self.later else self.answer


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("reply", "message"),
    [("Two.", "Two."), (" Two.\n", "Two."), ("\ud800!", "?!"), (" \n", None), (None, None)],
    ids=["words", "with space around", "half a character", "space only", "nothing"],
)
def test_what_a_user_says_next(reply: str | None, message: str | None, later: bool) -> None:
    user = Says(reply, later=later)
    talk = Talk(user)
    talk.add("user", "Lamps?")
    talk.add("model", "How many?")
    before = [Text("user", "Lamps?"), Text("model", "How many?")]
    assert asyncio.run(talk.next_message()) == message
    assert list(user.heard[0]) == before
    assert talk.texts == before  # a text of the talk only once the model was given it


def test_only_a_talk_makes_a_user_who_reacts() -> None:
    class Environment:
        talk: Any = None

    environment: Any = Environment()
    assert talk_of(environment) is None
    environment.talk = lambda: "an own method of that name"
    assert talk_of(environment) is None
    environment.talk = talk = Talk(Says(None))
    assert talk_of(environment) is talk


TABLE = [
    {"hears": ["how many", "number"], "says": "Two."},
    {"hears": ["only"], "says": "One, then.", "a key": "of the task's own"},
    {"hears": ["BYE"], "says": None},
    {"says": "Hm?"},
]


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (["How many?", "Only one.", "Bye!"], ["Two.", "One, then.", None]),
        (["Only one.", "What number?"], ["One, then.", "Two."]),
        (["How many?", "How many?", "How many?"], ["Two.", "Hm?", None]),  # each rule once
        (["Yes.", "Yes."], ["Hm?", None]),
        (["How many, or only one?", "How many, or only one?"], ["Two.", "One, then."]),
        ([""], ["Hm?"]),
    ],
    ids=["in order", "in another order", "asked again", "else", "two fit", "no words"],
)
def test_a_table_of_rules(heard: list[str], said: list[str | None]) -> None:
    user = ScriptedUser(map(Rule.from_mapping, TABLE))
    texts, replies = [Text("user", "Lamps?")], []
    for text in heard:
        texts.append(Text("model", text))
        replies.append(user.reply(texts))
    assert replies == said


@pytest.mark.parametrize(
    "rule",
    [{}, {"says": ""}, {"says": 1}, {"says": "a", "hears": "b"}, {"says": "a", "hears": [""]}],
    ids=["nothing", "no words", "a number", "a text for a list", "hears nothing"],
)
def test_a_rule_that_cannot_be_read_is_shown(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a rule of a scripted user is .* got "):
        Rule.from_mapping(rule)
