"""Tools, the tags of every syntax, and random values of arguments that a syntax can write."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from rest_verl.syntax import ToolCall, get_syntax, syntax_names
from rest_verl.syntax.json_values import NOT_JSON, read_json
from rest_verl.syntax.xml_calls import write_value

NAMES = ("get_weather", "search.flights", "größe_ändern", "lookup_user_by_id", "f")
SCHEMAS: dict[str, dict[str, Any]] = {
    "city": {"type": "string"},
    "größe": {"type": "string"},
    "n": {"type": "integer"},
    "ratio": {"type": "number"},
    "metric": {"type": "boolean"},
    "days": {"type": "array"},
    "options": {"type": "object"},
    "note": {"type": ["string", "null"]},
    "when": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "unit": {"enum": ["°C", "°F", 1]},
    "anything": {},
    "a b": {"type": "string"},
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "",
            "parameters": {"type": "object", "properties": SCHEMAS, "required": []},
        },
    }
    for name in NAMES
]

XML_LIKE = ("qwen3_coder", "seed", "minimax", "glm", "deepseek_v4")
JSON_ARGUMENTS = ("toolrl", "hermes", "llama3_json", "mistral", "gpt-oss", "kimi")
_FUNCTION = ("<function=f>", "</function>", "<parameter=city>", "</parameter>")
_FURTHER_TAGS = {
    "qwen3_coder": _FUNCTION,
    "seed": _FUNCTION,
    "minimax": ('<invoke name="f">', "</invoke>", '<parameter name="city">', "</parameter>"),
    "deepseek_v4": (
        '<｜DSML｜invoke name="f">',
        "</｜DSML｜invoke>",
        '<｜DSML｜parameter name="city" string="true">',
        "</｜DSML｜parameter>",
    ),
    "glm": ("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
    "gpt-oss": tuple(
        f"<|{tag}|>"
        for tag in ("start", "end", "call", "return", "channel", "message", "constrain")
    ),
    "kimi": ("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"),
    "mistral": ("[CALL_ID]", "[ARGS]"),
    "gemma4": ('<|"|>',),
    "llama3_json": ("<|python_tag|>",),
    "pythonic": ("<|python_start|>", "<|python_end|>"),
}
OWN_TAGS = {
    name: (*(tag.decode() for tag in get_syntax(name).tags), *_FURTHER_TAGS.get(name, ()))
    for name in syntax_names()
}
ALL_TAGS = tuple(sorted({tag for tags in OWN_TAGS.values() for tag in tags}))

WORDS = (
    *("so ", "Zürich", "漢字", "😀", "\n", " ", "it's", '"', "“x”", "\\", "\\n", "\\u00e9", "\t"),
    *("{x}", "[1, 2]", "}", "]", ", ", ": ", "=", "(", ")", ";", "<b>", "</", "<", "|>", "#"),
    *("null", "None", "true", "5", "-1e9", "functions.", ":0", "f(a=1)", '{"name": "f"}'),
    *("\u2028", "\x00", "\x7f"),
)
_KEYS = ("city", "a", "größe", "a b", "x.y", "n", "name", "arguments")
_HOSTILE_KEYS = ('"q"', "", "<think>", "a\\", "}", "\n")


def some_string(rng: Random, name: str) -> str:
    """Any text, in which tags of this and of other syntaxes may be."""
    choice = rng.randrange(6)
    if choice == 0:
        return rng.choice(("Oslo", "so", "", " x ", "null", "5", "[1]", "\na\n\nb\n", 'it\'s "é"'))
    tags = OWN_TAGS[name] if choice == 1 else ALL_TAGS if choice == 2 else ()
    if name == "gemma4":  # where nothing is escaped, and this ends a string
        tags = tuple(tag for tag in tags if tag != '<|"|>')
    pieces = rng.choices(WORDS, k=rng.randrange(7))
    for tag in rng.choices(tags, k=rng.randrange(1, 4)) if tags else ():
        pieces.insert(rng.randrange(len(pieces) + 1), tag)
    return "".join(pieces)


def some_value(rng: Random, name: str, depth: int = 3) -> Any:
    """Any JSON value."""
    choice = rng.randrange(10 if depth else 7)
    if choice < 3:
        return some_string(rng, name)
    if choice == 3:
        return rng.choice((0, 1, -1, rng.randrange(-(10**12), 10**12)))
    if choice == 4:
        return rng.choice((0.5, -2.0, rng.random() * 10 ** rng.randrange(-5, 20)))
    if choice < 7:
        return rng.choice((True, False, None))
    if choice == 7:
        return some_dict(rng, name, depth)
    return some_list(rng, name, depth)


def some_list(rng: Random, name: str, depth: int = 3) -> list[Any]:
    return [some_value(rng, name, depth - 1) for _ in range(rng.randrange(4))]


def some_dict(rng: Random, name: str, depth: int = 3) -> dict[str, Any]:
    keys = (*_KEYS, *_HOSTILE_KEYS)
    return {rng.choice(keys): some_value(rng, name, depth - 1) for _ in range(rng.randrange(3))}


def _typed_value(rng: Random, name: str, key: str) -> Any:
    if key in ("city", "größe", "a b"):
        return some_string(rng, name)
    if rng.random() < 0.05:
        return rng.choice(("so", "Zürich ", "漢字"))  # not of its type
    if key == "note":
        return rng.choice((None, some_string(rng, name)))
    if key == "when":
        return rng.choice((rng.randrange(-99, 99), some_string(rng, name)))
    if key == "unit":
        return rng.choice(SCHEMAS[key]["enum"])
    return {
        "n": lambda: rng.randrange(-(10**12), 10**12),
        "ratio": lambda: rng.choice((0.5, -3, rng.random() * 10 ** rng.randrange(-5, 20))),
        "metric": lambda: rng.random() < 0.5,
        "days": lambda: some_list(rng, name),
        "options": lambda: some_dict(rng, name),
        "anything": lambda: some_value(rng, name),
    }[key]()


def can_tell_apart(name: str, key: str, value: Any) -> bool:
    """Whether a value can be read back at all. None of these can, so they are not generated:

    - XML-like syntaxes escape nothing: a value with a closing tag that another tag follows reads
      like the end of the value.
    - Where the schema gives the type and leaves a choice, a string that spells a value of another
      type is that value.
    - Gemma 4 escapes nothing either: see `some_string`.
    """
    if name not in XML_LIKE:
        return True
    if re.search(r"</[^<>]*>\s*<", write_value(value)):
        return False
    if not get_syntax(name).typed_by_schema or not isinstance(value, str):
        return True
    if SCHEMAS[key].get("type") == "string":
        return True
    return read_json(value) is NOT_JSON and value.strip().lower() not in ("null", "none")


def some_calls(rng: Random, name: str) -> list[ToolCall]:
    """None, one or several calls that the syntax can write."""
    keys: list[str] = [key for key in SCHEMAS if name != "pythonic" or key != "a b"]
    calls = []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))):
        arguments: dict[str, Any] = {}
        for key in rng.sample(keys, k=rng.choice((0, 1, 1, 2, 3))):
            value = _typed_value(rng, name, key)
            while not can_tell_apart(name, key, value):
                value = _typed_value(rng, name, key)
            arguments[key] = value
        if name in JSON_ARGUMENTS and rng.random() < 0.2:
            arguments |= some_dict(rng, name)
        calls.append(ToolCall(rng.choice(NAMES), arguments))
    return calls
