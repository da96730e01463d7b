"""Lines of recorded chats, valid ones edited at random and JSON of any kind, for Hypothesis."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from chat_lines import chat, turns
from chat_writers import WRITERS, as_openai, as_xlam
from hypothesis import strategies as st
from made_dialogues import make_dialogues

_MADE = [d for d in make_dialogues(1, 60) if any(message.calls for message in d.messages)][:12]
VALID: list[Any] = [
    chat(),
    turns(("human", "Hi"), ("gpt", "Hello.")),
    *[write(dialogue) for write, _ in WRITERS.values() for dialogue in _MADE],
    *[write(dialogue, in_columns=True) for write in (as_openai, as_xlam) for dialogue in _MADE],
]
"""Lines that give rows, some in each layout."""

_KEYS = [
    *("messages", "tools", "role", "content", "tool_calls", "function", "name", "arguments", "id"),
    *("conversations", "from", "value", "system", "query", "answers", "parameters", "properties"),
    *(
        "type",
        "required",
        "anyOf",
        "enum",
        "items",
        "weight",
        "reasoning_content",
        "$ref",
        "default",
    ),
]
_TEXTS = [
    *(
        "",
        " ",
        "\x00",
        "\ud800",
        "\u2028",
        "null",
        "[]",
        "{}",
        "user",
        "assistant",
        "tool",
        "system",
    ),
    *(
        "gpt",
        "function_call",
        "observation",
        "string",
        "integer",
        "object",
        "array",
        "#/properties",
    ),
    *(
        "<think>",
        "</think> x",
        "<think> a </think> b",
        "<tool_call>",
        "</tool_call>",
        "<response> x",
    ),
    *('<tool_call>{"name": "book", "arguments": {"a": "\\ud800"}}</tool_call>', "[book(x=1)]"),
    *('{"name": "book", "arguments": {}}', '[{"name": "book"}]', "[book()]", '{"a": 1e999}'),
    *("<tools>[{'name': 'book'}]</tools>", "<tool_response>x</tool_response>", "[" * 300),
]
_keys = st.sampled_from(_KEYS) | st.text(max_size=3)
_scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 0.0, 3.0, 2**70, 10**400, 1e300, float("inf"), float("nan")])
    | st.sampled_from(_TEXTS)
    | st.text(max_size=8)
)
json_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
_deep = st.integers(30, 120).map(lambda n: json.loads('{"a":[' * n + "]}" * n))
_edits = st.sampled_from(["drop", "replace", "rename", "copy", "append"])


@st.composite
def edited_lines(draw: st.DrawFn) -> str:
    """A valid line after an edit or a few, in JSON texts within it too."""
    record = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        record = _edited(draw, record)
    return json.dumps(record)


def any_lines() -> st.SearchStrategy[str]:
    """JSON of any kind, most of it objects with keys that layouts have."""
    objects = st.dictionaries(_keys, json_values, max_size=5)
    return (objects | json_values | _deep).map(json.dumps)


_names = st.sampled_from(["book", "Book it", "a.b"])
_types = st.sampled_from(
    ["string", "integer", "number", "object", "array", "null", "str, optional"]
)
_schemas = st.recursive(
    st.fixed_dictionaries({}, optional={"type": _types | st.lists(_types), "default": _scalars})
    | st.sampled_from([True, False, {}, {"enum": [None, 1.0, "a"]}, {"pattern": "("}]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", ["object", "null"]]),
            "properties": st.dictionaries(_keys, inner, max_size=3),
            "required": st.lists(_keys, max_size=2) | st.booleans(),
            "items": inner | st.lists(inner, max_size=2),
            "prefixItems": st.lists(inner, max_size=2),
            "anyOf": st.lists(inner, max_size=2),
            "oneOf": st.lists(inner, max_size=2),
            "not": inner,
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(
                st.sampled_from(["", "^a", "("]), inner, max_size=1
            ),
            "$ref": st.sampled_from(["#", "#/properties", "#/$defs/a", "x"]),
            "$defs": st.dictionaries(st.just("a"), inner, max_size=1),
            "minimum": _scalars,
            "format": _scalars,
            "unevaluatedProperties": st.booleans(),
        },
    ),
    max_leaves=8,
)


@st.composite
def framed_lines(draw: st.DrawFn) -> str:
    """A chat of one call, its tools, arguments and texts of any kind, in one of the layouts."""
    name = draw(_names)
    tool = {"name": name, "parameters": copy.deepcopy(draw(_schemas))}
    given = draw(st.dictionaries(_keys, json_values, max_size=3))
    if isinstance(tool["parameters"], dict) and draw(st.booleans()):
        properties = tool["parameters"].setdefault("properties", {})
        if isinstance(properties, dict):
            properties |= {key: copy.deepcopy(draw(_schemas)) for key in given}
    text = "".join(draw(st.lists(st.sampled_from(_TEXTS) | st.text(max_size=4), max_size=4)))
    call = {"name": name, "arguments": given}
    talk = [("human", "Hi"), ("gpt", text or "So.")]
    match draw(st.sampled_from([*WRITERS])):
        case "openai":
            arguments = json.dumps(given) if draw(st.booleans()) else given
            said = {"role": "assistant", "content": text}
            calls = {"tool_calls": [{"function": {**call, "arguments": arguments}}]}
            asked = {"role": "user", "content": "Hi"}
            line = chat(asked, said | (calls if draw(st.booleans()) else {}), tools=[tool])
        case "xlam":
            line = {"query": "Hi", "tools": json.dumps([tool]), "answers": json.dumps([call])}
        case "sharegpt":
            talk += [("human", "Hi"), ("function_call", json.dumps(call))]
            line = turns(*talk, tools=json.dumps([tool]))
        case "toolace":
            written = ", ".join(f"{key}={value!r}" for key, value in given.items())
            talk = [("user", "Hi"), ("assistant", f"{text}[{name}({written})]")]
            line = turns(*talk, system=json.dumps([tool]))
        case _:
            written = draw(st.sampled_from([json.dumps(call), str(call)]))
            talk += [("human", "Hi"), ("gpt", f"{text}<tool_call>{written}</tool_call>")]
            line = turns(("system", f"<tools>{json.dumps(tool)}</tools>"), *talk)
    return json.dumps(line)


def _edited(draw: st.DrawFn, record: Any) -> Any:
    nodes = list(_nodes(record))
    if not nodes:
        return draw(json_values)
    parent, key = nodes[draw(st.integers(0, len(nodes) - 1))]
    value = parent[key]
    if isinstance(value, str) and value[:1] in ("{", "[") and draw(st.booleans()):
        try:
            parent[key] = json.dumps(_edited(draw, json.loads(value)))
            return record
        except ValueError:
            pass
    match draw(_edits):
        case "drop":
            del parent[key]
        case "replace":
            parent[key] = draw(json_values | _deep)
        case "rename" if isinstance(parent, dict):
            parent[draw(_keys)] = parent.pop(key)
        case "copy":
            other, from_key = nodes[draw(st.integers(0, len(nodes) - 1))]
            parent[key] = copy.deepcopy(other[from_key])
        case "append" if isinstance(value, list):
            value.append(copy.deepcopy(value[-1]) if value else None)
        case "append" if isinstance(value, dict):
            value[draw(_keys)] = draw(json_values)
        case "append" if isinstance(value, str):
            parent[key] = value + draw(st.sampled_from(_TEXTS))
    return record


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """(object or list, key or index) of each value within."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from _nodes(value[key])
