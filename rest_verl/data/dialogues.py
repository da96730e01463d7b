"""A recorded dialogue with tool calls that checks itself."""

from dataclasses import dataclass, field
from typing import Any, Literal

from rest_verl.data.refusals import Refused
from rest_verl.syntax import ToolCall

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one side said."""

    role: Role
    content: str = ""
    thought: str = ""
    """An assistant's reasoning."""
    calls: tuple[ToolCall, ...] = ()
    """An assistant's calls; a message of role "tool" for each of them follows."""
    new_tools: tuple[dict[str, Any], ...] = ()
    """Tools that are offered from this user message on."""
    place: str = field(default="", compare=False)
    """Where it was read from, for complaints; "": its number in the dialogue says enough."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """System messages if any, a user message, and then what the three sides said in turn."""

    id: str
    origin: str = ""
    """File and line that it was read from, for complaints; "": its id says enough."""
    category: str
    data_source: str
    version: str = ""
    """Version of the data, where it has one."""
    split_key: str
    """Dialogues with the same key stay on the same side of a split."""
    tools: list[dict[str, Any]]
    """Tools offered from the start, in OpenAI's layout."""
    messages: list[Message]

    def __post_init__(self) -> None:
        """Raises Refused, naming the message (the first is 0), for what is no dialogue."""
        before, unanswered = "system", 0
        for number, message in enumerate(self.messages):
            fault = _order_fault(before, message.role, unanswered)
            if message.role == "assistant" and not (message.calls or message.content.strip()):
                fault = fault or "it holds neither text nor calls"
            if fault:
                place = f"{message.place or f'message {number}'} ({message.role})"
                raise Refused(fault, f"{place}: {fault}; mend or drop it")
            unanswered = unanswered - 1 if message.role == "tool" else len(message.calls)
            before = message.role
        if not any(message.role == "assistant" for message in self.messages):
            fault = "no message of the assistant"
            raise Refused(fault, f"{fault}, so nothing to learn; drop the dialogue")

    def calls_not_offered(self) -> list[str]:
        """Names that are called while no such tool is offered: nobody could know them."""
        offered = {tool["function"]["name"] for tool in self.tools}
        unknown: dict[str, None] = {}
        for message in self.messages:
            offered |= {tool["function"]["name"] for tool in message.new_tools}
            unknown |= {call.name: None for call in message.calls if call.name not in offered}
        return list(unknown)


def _order_fault(before: str, role: Role, unanswered: int) -> str:
    """What is wrong with a message of `role` after one of `before`; "" if nothing is."""
    if before == "system" and role not in ("system", "user"):
        return "a dialogue begins with system messages, if any, and the user's"
    if role == "system" and before != "system":
        return "system messages stand at the start"
    if role == "tool" and not unanswered:
        return "a tool's message without a call before it"
    if role != "tool" and unanswered:
        return "calls before it have no tool message"
    if role == before == "assistant":
        return "two messages of the assistant in a row"
    return ""
