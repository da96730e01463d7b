"""A recorded conversation played to the agent loop, in place of the model that made it.

The loop asks for one message after the other and appends what tools and user say. A script gives it
the recorded messages, and compares what the loop appended with what was appended in the run.

Ids say by their mask where a message ends. Text has lost that: a message is taken to end where the
text goes on as the template would go on after it. If what then follows is not what the loop
appends, the message was longer, the script says so (`WrongEnd`), and the conversation has to be
played again without that end. Where a user reacted, only the record knows what they said: a text is
taken at its word there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import numpy as np

from rest_verl.environments.conversation import Conversation
from rest_verl.integration.message_reader import MessageReader
from rest_verl.syntax import Reading, read_message

_MARK = "mark-3f7a"
_ANY_LENGTH = 1 << 40


class WrongEnd(Exception):
    """The message that was taken to end at `place` of the text did not; None: it was cut off."""

    def __init__(self, place: int | None) -> None:
        self.place = place


class Frame(NamedTuple):
    """The text that a template puts around what is appended after a message."""

    opening: str
    closing: str
    """Up to where the next message begins."""

    def inside(self, text: str, start: int = 0) -> str:
        """What it is put around in `text` from `start` on; all from there where it is not."""
        first = start + len(self.opening) * text.startswith(self.opening, start)
        end = text.find(self.closing, first)
        return text[first : len(text) if end < 0 else end]


class Frames(NamedTuple):
    """Of a model's template."""

    observations: Frame
    user: Frame


def frames_of(builder: Any, template: Any, *, with_special: bool = False) -> Frames:
    """What is around observations and user messages in the text of a dump.

    Args:
        with_special: as the ids have it; else without special tokens.

    Raises:
        ValueError: nothing is left of it without special tokens.
    """

    def frame(messages: list[dict[str, Any]]) -> Frame:
        conversation = Conversation(
            builder,
            template,
            [{"role": "user", "content": "ask"}],
            tools=None,
            response_length=_ANY_LENGTH,
        )
        said = builder.tokenizer.encode("said", add_special_tokens=False)
        end = [] if template.end_id is None else [template.end_id]
        conversation.add_sampled([*said, *end], None, "said")
        before = _text(builder.tokenizer, conversation.response_ids, with_special)
        conversation.add_context(messages)
        after = _text(builder.tokenizer, conversation.response_ids, with_special)[len(before) :]
        opening, _, closing = after.partition(_MARK)
        if not opening:
            raise ValueError(
                "this model's template has nothing but special tokens between messages, which "
                "verl leaves out of its JSON lines: conversations cannot be told apart into "
                "messages. tq_batch.pt of skip.rollout_tq holds the ids"
            )
        return Frame(opening, closing)

    observations = template.observations([{"content": _MARK, "name": "probe"}])
    return Frames(frame(observations), frame([{"role": "user", "content": _MARK}]))


class Message(NamedTuple):
    """What the policy said."""

    token_ids: list[int]
    is_ended: bool
    """False: it was cut off."""


class Script(Protocol):
    """A recorded conversation."""

    differences: list[dict[str, str]]
    """What the run had appended and what the loop appended now, where these are not the same."""
    num_compared: int
    """Times that something was appended in both."""

    def compare(self, appended: str) -> None:
        """Takes what the loop appended after the last message."""

    def message(self, prompt_ids: list[int]) -> Message | None:
        """The next message, given all ids before it; None: there is none."""

    def user_message(self) -> str | None:
        """What the user said after the last message; None: nothing."""

    def left_over(self) -> bool:
        """Whether the record goes on where the loop stopped."""


@dataclass
class IdScript:
    """A conversation of ids with a mask."""

    tokenizer: Any
    token_ids: np.ndarray
    response_mask: np.ndarray
    end_ids: set[int]
    frames: Frames
    """With special tokens."""
    differences: list[dict[str, str]] = field(default_factory=list)
    num_compared: int = 0

    def __post_init__(self) -> None:
        sampled = self.response_mask != 0
        changes = np.flatnonzero(sampled[1:] != sampled[:-1]) + 1
        runs = np.split(self.token_ids, changes)
        self._runs = [run.tolist() for run in runs if len(run)]
        if len(sampled) and not sampled[0]:
            self._runs = []  # the prompt was too long: nothing was sampled

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sampled."""
        return not self._runs

    def compare(self, appended: str) -> None:
        """As `Script.compare`."""
        if not self._runs:
            return
        self.num_compared += 1
        recorded = _text(self.tokenizer, self._runs.pop(0))
        if recorded != appended:
            self.differences.append({"recorded": recorded, "replayed": appended})

    def message(self, prompt_ids: list[int]) -> Message | None:
        """As `Script.message`."""
        if not self._runs:
            return None
        ids = self._runs.pop(0)
        return Message(ids, bool(self._runs) or ids[-1] in self.end_ids)

    def user_message(self) -> str | None:
        """As `Script.user_message`."""
        if not self._runs:
            return None
        appended = _text(self.tokenizer, self._runs[0], with_special=True)
        return self.frames.user.inside(appended)

    def left_over(self) -> bool:
        """As `Script.left_over`."""
        return bool(self._runs)


@dataclass
class TextScript:
    """A conversation of text without special tokens.

    Where it ends after a message that holds calls, they ran; a message that cannot be read, or ends
    within a thought, was cut off, and so was one after which the environment had more to say.
    """

    tokenizer: Any
    text: str
    reader: MessageReader
    frames: Frames
    """Without special tokens."""
    end_id: int | None
    max_steps: int
    """Messages that may answer one user message: the last of so many was not cut off."""
    wrong_ends: set[int | None] = field(default_factory=set)
    """Places of `WrongEnd`."""
    is_last_try: bool = False
    """Whether to note a difference where `WrongEnd` would be raised."""
    differences: list[dict[str, str]] = field(default_factory=list)
    num_compared: int = 0
    position: int = 0
    """Where the text is not played yet."""
    _steps: int = 0
    _frame: Frame | None = None
    """Of what follows the last message; None: nothing does."""
    _ended_turn: bool = False

    def compare(self, appended: str) -> None:
        """As `Script.compare`."""
        if self._frame is None:
            return
        self.num_compared += 1
        place = self.position
        if self.text.startswith(appended, place):
            self.position += len(appended)
            return
        end = self.text.find(self._frame.closing, place + len(self._frame.opening))
        # What the user says is known; a tool may answer otherwise, but hardly so further on.
        is_wrong = self._ended_turn or end < 0 or self.text.find(appended, place) >= 0
        if is_wrong and not self.is_last_try:
            raise WrongEnd(place)
        end = len(self.text) if end < 0 else end + len(self._frame.closing)
        self.differences.append({"recorded": self.text[place:end], "replayed": appended})
        self.position = end

    def message(self, prompt_ids: list[int]) -> Message | None:
        """As `Script.message`."""
        if self._frame is None and self._steps:
            if self._ended_turn and not self.is_last_try:
                raise WrongEnd(None)
            return None
        self._steps = 1 if self._ended_turn else self._steps + 1
        is_open = self.reader.think_is_open(prompt_ids)
        for end in self._ends():
            said = self.text[self.position : end]
            reading = read_message(self.reader.syntax, said, think_is_open=is_open)
            self._ended_turn = reading.whole_calls == []
            frame = self.frames.user if self._ended_turn else self.frames.observations
            if self.text.startswith(frame.opening, end):
                self._frame, self.position = frame, end
                return self._ended(said)
        said = self.text[self.position :]
        reading = read_message(self.reader.syntax, said, think_is_open=is_open)
        self._ended_turn = reading.whole_calls == []
        self._frame, self.position = None, len(self.text)
        if self._is_cut(reading):
            return Message(self._ids(said), is_ended=False)
        return self._ended(said)

    def user_message(self) -> str | None:
        """As `Script.user_message`."""
        return None if self._frame is None else self._frame.inside(self.text, self.position)

    def left_over(self) -> bool:
        """As `Script.left_over`."""
        return self.position < len(self.text)

    def _ends(self) -> Iterator[int]:
        """Where the next message may end, the nearest first."""
        openings = (self.frames.observations.opening, self.frames.user.opening)
        opening = re.compile("(?=" + "|".join(map(re.escape, openings)) + ")")
        for found in opening.finditer(self.text, self.position):
            if found.start() not in self.wrong_ends:
                yield found.start()

    def _is_cut(self, reading: Reading) -> bool:
        if None in self.wrong_ends:
            return True
        in_thought = reading.structure.count("T") > reading.structure.count("t")
        is_malformed = reading.whole_calls is None and self._steps < self.max_steps
        return in_thought or is_malformed

    def _ids(self, said: str) -> list[int]:
        return self.tokenizer.encode(said, add_special_tokens=False)

    def _ended(self, said: str) -> Message:
        end = [] if self.end_id is None else [self.end_id]
        return Message([*self._ids(said), *end], is_ended=True)


class Playback:
    """Stands in for verl's server: gives the messages of a script."""

    def __init__(self, script: Script, tokenizer: Any) -> None:
        self.script = script
        self.ran_out = False
        """Whether the loop wanted a message that the record does not have."""
        self._tokenizer = tokenizer
        self._prompt_length: int | None = None
        self._so_far: Sequence[int] = []

    async def generate(self, prompt_ids: list[int], **_: Any) -> Any:
        """As verl's client: the next message, as a TokenOutput has it."""
        if self._prompt_length is None:
            self._prompt_length = len(prompt_ids)
        else:
            before = _text(self._tokenizer, self._so_far)
            now = _text(self._tokenizer, prompt_ids[self._prompt_length :])
            self.script.compare(now[len(before) :])
        message = self.script.message(prompt_ids)
        self.ran_out = message is None
        token_ids = [] if message is None else message.token_ids
        self._so_far = [*prompt_ids[self._prompt_length :], *token_ids]
        is_ended = message is not None and message.is_ended
        return SimpleNamespace(
            token_ids=token_ids,
            log_probs=None,
            num_preempted=None,
            routed_experts=None,
            extra_fields={},
            stop_reason="completed" if is_ended else "aborted",
        )


def _text(tokenizer: Any, token_ids: Sequence[int], with_special: bool = False) -> str:
    return tokenizer.decode(token_ids, skip_special_tokens=not with_special)
