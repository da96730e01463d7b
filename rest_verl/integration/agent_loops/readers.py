"""How the agent loop reads the calls of a message: by the run's syntax, or by a verl parser.

A reader never raises on what the model wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from rest_verl.integration.message_reader import MessageReader
from rest_verl.syntax.json_values import read_object
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import THINK


class Call(NamedTuple):
    """One call to run."""

    name: str
    arguments: dict[str, Any] | None
    """None: they are not a JSON object."""
    id: str | None = None
    """The model's own name for the call, in the syntaxes that have one."""


class Asked(NamedTuple):
    """What a message asks for; neither calls nor a fault: its turn is over."""

    calls: list[Call]
    is_malformed: bool = False
    """There are calls that cannot be read; then none is given."""


MALFORMED = Asked([], is_malformed=True)
GetTools = Callable[[], list[dict[str, Any]]]


class CallReader(Protocol):
    """How a model's calls are read."""

    stop_ids: Sequence[int]
    """Ids after which sampling has to stop, beside the model's own."""

    async def read(self, token_ids: list[int], prompt_ids: list[int], get_tools: GetTools) -> Asked:
        """The calls of a message.

        Args:
            token_ids: the sampled ids, end-of-turn token included.
            prompt_ids: those before it.
            get_tools: gives the tools offered, for those who go by their types.
        """


class SyntaxReader:
    """The row's own syntax. A message with calls that cannot be read asks for none of them."""

    def __init__(self, messages: MessageReader) -> None:
        self.messages = messages
        self.stop_ids: Sequence[int] = messages.stop_ids

    async def read(self, token_ids: list[int], prompt_ids: list[int], get_tools: GetTools) -> Asked:
        """As `CallReader.read`."""
        tools = get_tools() if self.messages.syntax.typed_by_schema else None
        calls = self.messages.read(token_ids, prompt_ids, tools).whole_calls
        return MALFORMED if calls is None else Asked([Call(*call) for call in calls])


class VerlReader:
    """One of verl's registered tool parsers.

    What it lacks is added here, by the row's syntax: thoughts are cut off before it looks, and a
    message in which it finds nothing although a call is begun is malformed, not the turn's end.

    Args:
        parser: verl's.
        as_schema: makes verl's schema object of a tool.
        messages: reads the row's syntax.
    """

    def __init__(
        self, parser: Any, as_schema: Callable[[dict[str, Any]], Any], messages: MessageReader
    ) -> None:
        self.parser = parser
        self.as_schema = as_schema
        self.messages = messages
        # gemma4's parser names an id that a tokenizer may lack: it is None then.
        self.stop_ids: Sequence[int] = [id_ for id_ in parser.stop_token_ids if id_ is not None]

    async def read(self, token_ids: list[int], prompt_ids: list[int], get_tools: GetTools) -> Asked:
        """As `CallReader.read`."""
        said = self._after_thought(token_ids, self.messages.think_is_open(prompt_ids))
        schemas = [self.as_schema(plain_tool(tool)) for tool in get_tools()]
        try:
            _, calls = await self.parser.extract_tool_calls(said, schemas)
        except Exception:  # a parser that trips over model text
            return MALFORMED
        if not calls and self.messages.read(token_ids, prompt_ids).tries_to_call:
            return MALFORMED
        return Asked([Call(c.name, read_object(c.arguments), c.tool_call_id) for c in calls])

    def _after_thought(self, token_ids: list[int], think_is_open: bool) -> list[int]:
        """The ids from behind the last thought on; none if it never closes."""
        vocabulary = self.messages.vocabulary
        text, offset = vocabulary.decode(vocabulary.clip(np.asarray(token_ids)))
        outline = Outline()
        self.messages.syntax.scan(text, 0, len(text), outline, think_is_open)
        if THINK not in outline.regions:
            return token_ids
        last = len(outline.regions) - 1 - outline.regions[::-1].index(THINK)
        if last + 2 >= len(outline.starts):  # nothing behind the closing tag
            return []
        # A token that the tag ends in the middle of is kept: the call may begin in it.
        return token_ids[int((offset[1:] <= outline.starts[last + 2]).sum()) :]


def plain_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool that verl's schema takes: it wants a description and one type for each property.

    Where a property has several types or none (`anyOf`, `$ref`), its parsers are told the first
    that is named, else text.
    """
    function = tool["function"]
    parameters = function.get("parameters") or {}
    properties = {
        name: {"type": _one_type(spec), "description": str(_get(spec, "description") or "")}
        for name, spec in (parameters.get("properties") or {}).items()
    }
    return {
        "type": "function",
        "function": {
            "name": function["name"],
            "description": function.get("description") or "",
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": list(parameters.get("required") or []),
            },
        },
    }


def _one_type(spec: Any) -> str:
    kind = _get(spec, "type")
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list):
        return next((k for k in kind if isinstance(k, str) and k != "null"), "string")
    others = [*(_get(spec, "anyOf") or ()), *(_get(spec, "oneOf") or ())]
    kinds = [_get(other, "type") for other in others]
    return next((k for k in kinds if isinstance(k, str) and k != "null"), "string")


def _get(spec: Any, key: str) -> Any:
    return spec.get(key) if isinstance(spec, dict) else None
