"""A dialogue with two calls in a message, as a Dialogue and as a line of chat messages."""

from typing import Any

from rest_verl.data import Dialogue, Message
from rest_verl.syntax import ToolCall

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Current weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "clock"}}

DIALOGUE = Dialogue(
    id="d0",
    origin="chats:1",
    category="chats",
    data_source="dialogues/chats",
    split_key="k",
    tools=[WEATHER],
    messages=[
        Message(role="system", content="Be brief."),
        Message(role="user", content="Oslo and Rome?"),
        Message(
            role="assistant",
            thought="Two cities.",
            calls=(ToolCall("weather", {"city": "Oslo"}), ToolCall("weather", {"city": "Rome"})),
        ),
        Message(role="tool", content="rain"),
        Message(role="tool", content="sun"),
        Message(role="assistant", content="Rain; sun."),
        Message(role="user", content="And the time?", new_tools=(CLOCK,)),
        Message(role="assistant", content="A moment.", calls=(ToolCall("clock", {}),)),
        Message(role="tool", content="noon"),
    ],
)


def chat_line() -> dict[str, Any]:
    """The first turn of DIALOGUE in OpenAI's layout."""
    return {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Oslo and Rome?"},
            {
                "role": "assistant",
                "content": "<think>\nTwo cities.\n</think>\n\n",
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                    },
                    {"function": {"name": "weather", "arguments": {"city": "Rome"}}},
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "rain"},
            {"role": "tool", "content": "sun"},
            {"role": "assistant", "content": "Rain; sun."},
        ],
        "tools": [WEATHER],
    }
