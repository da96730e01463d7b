"""A user who reacts to what the model says, where a talk cannot be laid down beforehand.

The environment has a `Talk` with its user (`HasTalk` in `base`). Its host writes down there what
both say in words, and asks the user what comes next. Calls and their observations are no part of a
talk: a user knows of them what the environment tells.

An environment that judges what was said goes by `Talk.texts`, not by what its user remembers: where
a recorded conversation is played again, the recorded messages count and no user is asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from rest_verl.environments.observations import encodable


class Text(NamedTuple):
    """What one of them said."""

    speaker: Literal["user", "model"]
    text: str
    """Of the model: the last message of its turn, without thoughts and tags."""


class User(Protocol):
    """Who the model talks with."""

    def reply(self, texts: Sequence[Text]) -> str | Awaitable[str | None] | None:
        """What the user says next; None or nothing: the conversation is over.

        Asked once a turn. Write it as a coroutine where it has to wait for something.

        Args:
            texts: all that was said, from the user's first message to the model's last.
        """


@runtime_checkable
class CanBeChecked(Protocol):
    """What a user may have besides."""

    def check(self) -> None:
        """Asked before a run starts; ValueError, with the mend, if this user could not reply."""


class Talk:
    """The words of one conversation."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.texts: list[Text] = []
        """In order; the user's first message is that of turn 0."""

    def add(self, speaker: Literal["user", "model"], text: str) -> None:
        """Writes down what was said."""
        self.texts.append(Text(speaker, text))

    async def next_message(self) -> str | None:
        """What the user says next, without space around it; None: nothing.

        It becomes a text of the talk only when the model is given it.
        """
        answer = self.user.reply(tuple(self.texts))
        if inspect.isawaitable(answer):
            answer = await answer
        return encodable(answer).strip() or None if answer is not None else None
