"""Reads the tool calls of one assistant message: by this package's own rules, or by a verl parser.

A reader never raises on what the model wrote.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from rest_verl.syntax.tool_calls import THINK_OPEN, decode_json, message_calls


class Call(NamedTuple):
    """One call to run."""

    name: str
    arguments: dict[str, Any] | None
    """None: they are not a JSON object."""
    id: str | None = None
    """The model's own name for the call, in the syntaxes that have one."""


class Reading(NamedTuple):
    """What a message asks for; neither calls nor a fault: its turn is over."""

    calls: list[Call]
    is_malformed: bool = False
    """A block cannot be read; then no calls are given."""


class CallReader(Protocol):
    """How a model's calls are read."""

    stop_token_ids: Sequence[int]
    """Ids after which generation has to stop, beside the model's own."""

    async def read(
        self,
        token_ids: list[int],
        text: str,
        *,
        think_is_open: bool,
        get_tools: Callable[[], list[dict[str, Any]]],
    ) -> Reading:
        """The calls of a message.

        Args:
            token_ids: the sampled ids, end-of-turn token included.
            text: the same, decoded, without that token.
            think_is_open: the prompt ends within think text.
            get_tools: gives the tools offered; some of verl's parsers go by their types.
        """


class RestReader:
    """ToolRL's and Qwen/Hermes' syntax: JSON objects in `<tool_call>` blocks, any number of each.

    A message with a block that cannot be read is malformed as a whole. Think text is opaque.
    """

    stop_token_ids: Sequence[int] = ()

    async def read(
        self,
        token_ids: list[int],
        text: str,
        *,
        think_is_open: bool,
        get_tools: Callable[[], list[dict[str, Any]]],
    ) -> Reading:
        """As `CallReader.read`."""
        calls = message_calls(text, think_is_open=think_is_open)
        if calls is None:
            return Reading([], is_malformed=True)
        return Reading([Call(call.name, call.arguments) for call in calls])


class VerlReader:
    """One of verl's registered tool parsers. They drop what they cannot read, without a word.

    Args:
        parser: verl's.
        as_schema: makes verl's schema object of a tool.
    """

    def __init__(self, parser: Any, as_schema: Callable[[dict[str, Any]], Any]) -> None:
        self.parser = parser
        self.as_schema = as_schema
        # gemma4's parser names an id that a tokenizer may lack: it is None then.
        self.stop_token_ids: Sequence[int] = tuple(
            id_ for id_ in parser.stop_token_ids if id_ is not None
        )

    async def read(
        self,
        token_ids: list[int],
        text: str,
        *,
        think_is_open: bool,
        get_tools: Callable[[], list[dict[str, Any]]],
    ) -> Reading:
        """As `CallReader.read`.

        Raises:
            ValueError: a tool that does not fit verl's schema.
        """
        # verl's schema wants a description, OpenAI's layout does not.
        schemas = [
            self.as_schema({**tool, "function": {"description": "", **tool["function"]}})
            for tool in get_tools()
        ]
        try:
            _, calls = await self.parser.extract_tool_calls(token_ids, schemas)
        except Exception:  # a parser that trips over model text
            return Reading([], is_malformed=True)
        return Reading([Call(c.name, read_object(c.arguments), c.tool_call_id) for c in calls])


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, or None."""
    text = text.strip()
    try:
        value, end = decode_json(text, 0)
    except (ValueError, RecursionError):
        return None
    return value if type(value) is dict and end == len(text) else None


def ends_in_think(text: str) -> bool:
    """Whether a prompt ends with an opened think block, as some templates leave it."""
    return text.rstrip().endswith(THINK_OPEN)
