"""One notation for the five XML-like syntaxes, so that one table of messages tests them all.

[B]           a block opens       [/B]  and closes
[C f]         a call of f         [/C]
[P a]x[/P]    a parameter         [J a]3[/P]  the same, JSON where the syntax tells
[T]           a thought           [/T]
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from hypothesis import strategies as st

from rest_verl.syntax import ToolCall


class Dialect(NamedTuple):
    """How a syntax writes the notation's tags; `@` is a name."""

    block: tuple[str, str]
    call: tuple[str, str]
    parameter: tuple[str, str, str]
    think: tuple[str, str] = ("<think>", "</think>")

    def write(self, notation: str) -> str:
        """The message in this syntax."""
        tags = {
            "[B]": self.block[0],
            "[/B]": self.block[1],
            "[/C]": self.call[1],
            "[/P]": self.parameter[2],
            "[T]": self.think[0],
            "[/T]": self.think[1],
        }
        opening = {"C": self.call[0], "P": self.parameter[0], "J": self.parameter[1]}

        def written(tag: re.Match[str]) -> str:
            before, _, behind = opening[tag[1]].partition("@")
            return before + tag[2] + (behind if tag[3] else "")

        message = re.sub(r"\[([CPJ]) ([^][]*)(\])?", written, notation)
        for tag, its in tags.items():
            message = message.replace(tag, its)
        return message


_FUNCTION = ("<function=@>", "</function>")
_PARAMETER = ("<parameter=@>", "<parameter=@>", "</parameter>")
DIALECTS = {
    "qwen3_coder": Dialect(("<tool_call>", "</tool_call>"), _FUNCTION, _PARAMETER),
    "seed": Dialect(
        ("<seed:tool_call>", "</seed:tool_call>"),
        _FUNCTION,
        _PARAMETER,
        ("<seed:think>", "</seed:think>"),
    ),
    "minimax": Dialect(
        ("<minimax:tool_call>", "</minimax:tool_call>"),
        ('<invoke name="@">', "</invoke>"),
        ('<parameter name="@">', '<parameter name="@">', "</parameter>"),
    ),
    "deepseek_v4": Dialect(
        ("<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>"),
        ('<｜DSML｜invoke name="@">', "</｜DSML｜invoke>"),
        (
            '<｜DSML｜parameter name="@" string="true">',
            '<｜DSML｜parameter name="@" string="false">',
            "</｜DSML｜parameter>",
        ),
    ),
    "glm": Dialect(
        ("<tool_call>", "</tool_call>"),
        ("@", ""),
        (
            "<arg_key>@</arg_key>\n<arg_value>",
            "<arg_key>@</arg_key>\n<arg_value>",
            "</arg_value>",
        ),
    ),
}

SCHEMAS = {
    "a": {"type": "string"},
    "n": {"type": "integer"},
    "x": {"type": "number"},
    "b": {"type": "boolean"},
    "l": {"type": "array"},
    "o": {"type": "object"},
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "",
            "parameters": {"type": "object", "properties": SCHEMAS},
        },
    }
    for name in ("f", "g.h")
]

plain_text = st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]), max_size=8)
_strings = plain_text | st.sampled_from(
    ["null", "5", "[1]", " x ", 'it\'s "é"', "\na\n\nb\n", "<b>", "</"]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
    max_leaves=5,
)
_arguments: dict[str, st.SearchStrategy[Any]] = {
    "a": _strings,
    "n": st.integers(),
    "x": st.floats(-1e6, 1e6),
    "b": st.booleans(),
    "l": st.lists(_values, max_size=3),
    "o": st.dictionaries(plain_text, _values, max_size=3),
}
assert _arguments.keys() == SCHEMAS.keys()
typed_calls = st.lists(
    st.tuples(st.sampled_from(["f", "g.h"]), st.fixed_dictionaries({}, optional=_arguments)).map(
        lambda call: ToolCall(*call)
    ),
    max_size=3,
)
"""Calls of `TOOLS`, each argument of its type."""
