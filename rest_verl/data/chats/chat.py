"""What every layout is turned into: messages with calls, as recorded, nothing checked yet."""

from dataclasses import dataclass, field
from typing import Any

from rest_verl.data.dialogues import Role


@dataclass(kw_only=True)
class RecordedCall:
    """A call of a tool."""

    name: str
    arguments: Any
    """An object, its JSON as text, or, for no arguments, None or an empty text."""
    id: str = ""
    """What the observation names it by; "": it has no name."""
    from_text: bool = False
    """It was read out of a text, so that no table can have put anything into its arguments."""


@dataclass(kw_only=True)
class RecordedMessage:
    """What one side said."""

    place: str
    """Where in the record, for complaints: `message 3`."""
    role: Role
    text: str = ""
    """An assistant's may open with a `<think>` block."""
    thought: str = ""
    """An assistant's reasoning that stands apart from its text."""
    calls: list[RecordedCall] = field(default_factory=list)
    call_id: str = ""
    """Of the call that a tool's message answers; "": the order says it."""
    tool: str = ""
    """Name of the tool that a tool's message is from; "": it does not say."""


@dataclass(kw_only=True)
class Chat:
    """A record, whatever its layout."""

    tools: Any
    """A list of tools in one of the layouts of `rest_verl.prompts.schemas.normal_tool`, such a list
    in JSON, or None."""
    messages: list[RecordedMessage]
    id: str = ""
    """The record's own; "": it has none."""
    system_replaced: bool = False
    """A system message that lists the tools was left out: the prompt style shows them its way."""
