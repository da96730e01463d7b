"""A small chat in each layout, files of chats, and what the rows of one say, a line a message."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rest_verl.data import Dialogue, split_steps

Json = dict[str, Any]

_CALL = re.compile(r'<tool_call> \{"name": "([^"]*)", "arguments": (\{.*?\})\} </tool_call>')


def tool(name: str, *required: str, **optional: Json) -> Json:
    """A tool whose required arguments are texts."""
    properties = {key: {"type": "string"} for key in required} | optional
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    function = {"name": name, "description": "", "parameters": parameters}
    return {"type": "function", "function": function}


WEATHER = tool("get_weather", "city", days={"type": "integer"})
STOCK = tool("get_stock", "symbol")

USER = {"role": "user", "content": "Rain in Oslo?"}
TOOL = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
YES = {"role": "assistant", "content": "Yes."}


def calling(*calls: Json, **rest: Any) -> Json:
    """An assistant's message with calls."""
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **rest}


def call(arguments: Any = '{"city": "Oslo"}', id: Any = "c1", name: str = "get_weather") -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def chat(*messages: Any, tools: Any = (WEATHER,), **rest: Any) -> Json:
    """A record of the layout `openai`; without messages, of one call."""
    said = messages or (USER, calling(call()), TOOL, YES)
    return {
        "messages": list(said),
        "tools": list(tools) if isinstance(tools, tuple) else tools,
    } | rest


def turns(*said: tuple[str, str], **rest: Any) -> Json:
    """A record of a layout with `conversations`."""
    return {"conversations": [{"from": who, "value": text} for who, text in said], **rest}


def write_lines(path: Path, lines: Iterable[Any]) -> Path:
    """A file of JSON lines; a text is a line as it stands."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def told(dialogue: Dialogue) -> str:
    """Its tools' names and all that its last row says, prompt and answer, a line a message.

    Calls are written `name({"argument": value})`, thoughts `<think> … </think>` before them.
    """
    step = list(split_steps(dialogue, "chat_template"))[-1]
    offered = ", ".join(tool["function"]["name"] for tool in dialogue.tools)
    said = [*step.messages, {"role": "assistant", "content": step.answer}]
    lines = [f"{message['role']}: {' '.join(message['content'].split())}" for message in said]
    return "\n".join([f"tools: {offered}", *(_CALL.sub(r"\1(\2)", line) for line in lines)])
