"""One row's conversation with a model: a single answer, the turns of a BFCL conversation, or a task
of an environment, which is held by training's own loop.

The rules of the multi-turn loop here are BFCL's: a message without calls that can be read ends the
turn, one cut off at its token limit is taken as it stands, and a turn with more than 20 steps that
call ends the conversation. Observations are given whole.

Token in, token out, as in training: what the model sampled is never tokenised again, and tool
observations and user messages are appended through the chat template's own delta.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from rest_verl.environments.base import make_environment
from rest_verl.environments.conversation import Conversation
from rest_verl.environments.execution import run_call
from rest_verl.environments.observations import encodable
from rest_verl.environments.template import examine_template
from rest_verl.evaluation.calls import Calls, record_calls
from rest_verl.evaluation.generation import Engine, GenerationOptions, request_seed
from rest_verl.integration.message_reader import MessageReader
from rest_verl.prompts.styles import PromptStyle
from rest_verl.prompts.system import system_message
from rest_verl.prompts.tools import describe_tools
from rest_verl.syntax import Reading, Tools, terms_of

MAX_CALLING_STEPS = 21
"""Of a turn. BFCL's loop counts a step after its calls and stops when there are more than 20."""
CALL_TIMEOUT = 10.0
"""Seconds that one call may take."""

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A row that takes one answer."""

    id: str
    category: str
    messages: list[dict[str, str]]
    tools: list[dict[str, Any]] | None
    """For the chat template; None where the messages show them."""
    judge: Callable[[str, Calls | None, str], Record]
    """(text, calls, foreign) -> `valid`, `error` and what else goes into the record. Calls are None
    where they cannot be read; `foreign` as in `Reading`."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """A multi-turn row of BFCL."""

    id: str
    category: str
    task: dict[str, Any]
    style: PromptStyle
    judge: Callable[[list[list[Calls | None]]], Record]
    """(calls by turn and step) -> `valid` and `error`."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A row of an environment, whose conversation is held as in training."""

    id: str
    category: str
    messages: list[dict[str, str]]
    """The prompt."""
    play: Callable[[Chat, str, int], Awaitable[Record]]
    """(chat, id, sample) -> the record but for what every record has."""


Row = Question | Dialogue | Task


class _Message(NamedTuple):
    text: str
    calls: Calls | None
    reading: Reading
    num_tokens: int
    is_ended: bool


class Chat:
    """Talks with one model.

    Args:
        builder: verl's continuous-token builder for the model's tokenizer.
        reader: reads what the model writes.

    Raises:
        ValueError: the chat template can append neither tool nor user messages.
    """

    def __init__(
        self, engine: Engine, builder: Any, options: GenerationOptions, reader: MessageReader
    ) -> None:
        self.engine = engine
        self.builder = builder
        self.options = options
        self.reader = reader
        self.template = examine_template(builder)

    async def record(self, row: Row, sample: int) -> Record:
        """The result record of one sample of a row."""
        if isinstance(row, Question):
            result = await self._answer(row, sample)
        elif isinstance(row, Task):
            result = await row.play(self, row.id, sample)
        else:
            result = await self._converse(row, sample)
        return {"id": row.id, "category": row.category, "sample": sample, **result}

    async def _answer(self, question: Question, sample: int) -> Record:
        conversation = await self._begin(question.messages, question.tools)
        if conversation.room < 1:
            nothing: Record = {"text": "", "calls": None, "foreign": "", "terms": None}
            verdict = question.judge("", None, "")
            return {**nothing, **verdict, "output_tokens": 0, "limit": "context"}
        place = (question.id, sample, 0)
        message = await self._say(conversation, place, question.tools)
        foreign = message.reading.foreign
        return {
            "text": message.text,
            "calls": message.calls,
            "foreign": foreign,
            "terms": _terms([message]),
            **question.judge(message.text, message.calls, foreign),
            "output_tokens": message.num_tokens,
            "limit": "" if message.is_ended else "max_tokens",
        }

    async def _converse(self, dialogue: Dialogue, sample: int) -> Record:
        turns, limit = await self._run_turns(dialogue, sample)
        calls = [[message.calls for message in turn] for turn in turns]
        messages = [message for turn in turns for message in turn]
        if not limit and not all(message.is_ended for message in messages):
            limit = "max_tokens"
        return {
            "text": [[message.text for message in turn] for turn in turns],
            "calls": calls,
            "terms": _terms(messages) if messages else None,
            **dialogue.judge(calls),
            "output_tokens": sum(message.num_tokens for message in messages),
            "limit": limit,
        }

    async def _run_turns(self, dialogue: Dialogue, sample: int) -> tuple[list[list[_Message]], str]:
        """The messages of each turn, and what ended the conversation before its time or ""."""
        environment = make_environment("bfcl", dialogue.task)
        tools, style = environment.tools, dialogue.style
        messages = [{"role": "user", "content": environment.user_message(0) or ""}]
        if style != "chat_template":
            shown = system_message(tools, style, live=True)
            messages.insert(0, {"role": "system", "content": shown})
        offered = {tool["function"]["name"] for tool in tools}
        conversation = await self._begin(messages, tools if style == "chat_template" else None)
        turns: list[list[_Message]] = []
        if conversation.room < 1:
            return turns, "context"
        while True:
            steps: list[_Message] = []
            turns.append(steps)
            while True:
                place = (dialogue.id, sample, sum(map(len, turns)))
                message = await self._say(conversation, place, environment.tools)
                steps.append(message)
                if not message.calls:
                    break
                observations = await self._run_calls(environment, message.calls)
                if len(steps) == MAX_CALLING_STEPS:
                    return turns, "steps"
                if not await asyncio.to_thread(conversation.add_context, observations):
                    return turns, "context"
            environment.end_turn()
            said = environment.user_message(len(turns))
            if said is None:
                return turns, ""
            new = [tool for tool in environment.tools if tool["function"]["name"] not in offered]
            if new:
                offered.update(tool["function"]["name"] for tool in new)
                said = f"{describe_tools(new, style)}\n{said}"
            users = [{"role": "user", "content": said}]
            if not await asyncio.to_thread(conversation.add_context, users):
                return turns, "context"

    async def _begin(self, messages: list[Any], tools: list[Any] | None) -> Conversation:
        # In threads, here and above: rendering can take many milliseconds.
        length = self.engine.max_length
        return await asyncio.to_thread(
            Conversation,
            self.builder,
            self.template,
            messages,
            tools=tools,
            response_length=length,
            max_length=length,
        )

    async def _say(
        self, conversation: Conversation, place: tuple[str, int, int], tools: Tools | None
    ) -> _Message:
        """The model's next message; `place` is row, sample and step."""
        prompt = conversation.token_ids
        output = await self.engine.sample(
            prompt,
            max_tokens=min(self.options.max_tokens, conversation.room),
            seed=request_seed(self.options.seed, *place),
        )
        token_ids = output.token_ids
        text = self.reader.text(token_ids)
        end = [] if output.is_ended or self.template.end_id is None else [self.template.end_id]
        conversation.add_sampled([*token_ids, *end], None, text)
        reading = self.reader.read(token_ids, prompt, tools)
        calls = record_calls(reading)
        return _Message(text, calls, reading, len(token_ids), output.is_ended)

    async def _run_calls(self, environment: Any, calls: Calls) -> list[dict[str, Any]]:
        """The observations as messages."""
        contents = []
        for call in calls:
            name, arguments = call["name"], call["arguments"]
            observation = await run_call(environment.call, name, arguments, CALL_TIMEOUT)
            contents.append({"content": encodable(observation.text), "name": name})
        return self.template.observations(contents)


def _terms(messages: list[_Message]) -> dict[str, bool | None]:
    """How the messages of one answer are written (`rest_verl.syntax.terms`)."""
    cut_off = not all(message.is_ended for message in messages)
    return terms_of([message.reading for message in messages], cut_off)._asdict()
