"""Dialogues made by chance: several tools with nested and optional arguments, calls, thoughts."""

import random
from typing import Any

from rest_verl.data import Dialogue, Message
from rest_verl.syntax import ToolCall

Schema = dict[str, Any]

_TEXTS = [
    "Is it raining in Oslo?",
    'Ein „Zitat“, "noch" eins, it\'s\nnew',
    "日本 \u2028 \x85 end",
    "[1, 2] and {braces} (f(x=1))",
    '{"rain": [1, null], "name": "x"}',
    "C:\\temp\\new %s \\u00e9",
    "a < b, <b>bold</b> & more",
    "0",
]
_SPOT: Schema = {
    "type": "object",
    "properties": {
        "lat": {"type": "number"},
        "lon": {"type": "number"},
        "note": {"type": "string"},
    },
    "required": ["lat", "lon"],
}
_ARGUMENTS: dict[str, Schema] = {
    "city": {"type": "string", "description": "Its name"},
    "days": {"type": "integer", "minimum": 0},
    "unit": {"type": "string", "enum": ["c", "f"]},
    "now": {"type": "boolean"},
    "limit": {"type": "number"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "spot": _SPOT,
    "stops": {"type": "array", "items": _SPOT},
    "filter": {
        "type": "object",
        "properties": {
            "at": _SPOT,
            "depth": {"type": "integer"},
            "words": _SPOT["properties"]["note"],
        },
    },
}
_NULLABLE: dict[str, Schema] = {"until": {"type": ["string", "null"]}}
_NAMES = ["get_weather", "files.list", "Market Trends API", "book", "find_route", "sort"]


def make_dialogues(seed: int, number: int, *, nullable: bool = True) -> list[Dialogue]:
    """That many dialogues, the same for a seed.

    Args:
        nullable: some arguments may be null, and some of these are.
    """
    draw = random.Random(seed)
    return [_dialogue(draw, n, nullable=nullable) for n in range(number)]


def _dialogue(draw: random.Random, number: int, *, nullable: bool) -> Dialogue:
    known = _ARGUMENTS | (_NULLABLE if nullable else {})
    tools = [_tool(draw, name, known) for name in draw.sample(_NAMES, draw.randint(1, 4))]
    messages = [_text(draw, "system")] if draw.random() < 0.5 else []
    for _ in range(draw.randint(1, 3)):
        messages.append(_text(draw, "user"))
        for _ in range(draw.randint(0, 2)):
            calls = [_call(draw, draw.choice(tools)) for _ in range(draw.randint(1, 3))]
            text = draw.choice(["", draw.choice(_TEXTS)])
            messages.append(
                Message(role="assistant", content=text, thought=_thought(draw), calls=tuple(calls))
            )
            messages += [_text(draw, "tool") for _ in calls]
        messages.append(_text(draw, "assistant", thought=_thought(draw)))
    if draw.random() < 0.2:
        call = _call(draw, tools[0])
        messages += [_text(draw, "user"), Message(role="assistant", calls=(call,))]
    return Dialogue(
        id=f"made {number}",
        category="made",
        data_source="dialogues/made",
        split_key="",
        tools=tools,
        messages=messages,
    )


def _text(draw: random.Random, role: Any, *, thought: str = "") -> Message:
    return Message(role=role, content=draw.choice(_TEXTS), thought=thought)


def _thought(draw: random.Random) -> str:
    return draw.choice(["", 'Two cities.\nOr three, "perhaps".', "<tool_call> is a tag."])


def _tool(draw: random.Random, name: str, known: dict[str, Schema]) -> dict[str, Any]:
    chosen = [key for key in known if draw.random() < 0.4]
    required = [key for key in chosen if draw.random() < 0.5]
    parameters: Schema = {"type": "object", "properties": {key: known[key] for key in chosen}}
    parameters |= {"required": required} if required else {}
    function = {"name": name, "description": "What it does.", "parameters": parameters}
    return {"type": "function", "function": function}


def _call(draw: random.Random, tool: dict[str, Any]) -> ToolCall:
    return ToolCall(tool["function"]["name"], _value(draw, tool["function"]["parameters"]))


def _value(draw: random.Random, schema: Schema) -> Any:
    kind = schema["type"]
    if "enum" in schema:
        return draw.choice(schema["enum"])
    if kind == "object":
        required = schema.get("required", [])
        given = [key for key in schema["properties"] if key in required or draw.random() < 0.5]
        return {key: _value(draw, schema["properties"][key]) for key in given}
    if kind == "array":
        return [_value(draw, schema["items"]) for _ in range(draw.randint(0, 3))]
    if kind == "integer":
        return draw.choice([0, 7, 2**40])
    if kind == "number":
        return draw.choice([-1.5, 3.0, 1e-7, 1e22])
    if kind == "boolean":
        return draw.random() < 0.5
    return None if kind != "string" and draw.random() < 0.5 else draw.choice(_TEXTS)
