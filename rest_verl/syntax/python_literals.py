"""Python literals as models write them, read without Python's own parser.

    {'city': "Oslo", 'days': (1, 2), 'now': True, 'note': None}

JSON's words for the last two are read as well.
"""

from __future__ import annotations

import re
from typing import Any

from rest_verl.syntax.json_values import NOT_JSON

MAX_NESTING = 200
"""Deeper literals are none; what is read must not overflow whoever walks through it."""
_MAX_BITS = 14_000
"""Of an integer: json.dumps refuses those of more than 4,300 digits, 14,281 bits."""

_TOKEN = re.compile(
    r"""[ \t\n\r\f]*(?:
    (?P<opening> [\[({])
    |(?P<closing> [\])}])
    |(?P<separator> [,:])
    |(?P<string>
        '[^'\\\n\r]*(?:\\(?:\r\n|.)[^'\\\n\r]*)*' | "[^"\\\n\r]*(?:\\(?:\r\n|.)[^"\\\n\r]*)*"
    )
    |(?P<number> (?:[+-][ \t]*)?\.?[0-9][0-9A-Za-z_.]*(?:(?<=[eE])[+-][0-9_]+)?)
    |(?P<word> [A-Za-z]+)(?![0-9A-Za-z_])
    )""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:(\r\n|[\n\r])|([0-7]{1,3})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))",
    re.DOTALL,
)
_ESCAPED = dict(zip("\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v", strict=True))
_WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def read_literal(text: str) -> Any:
    """The Python literal that the whole of `text` is, whitespace around it aside, or `NOT_JSON`.

    Strings, numbers, lists, tuples (read as lists), dictionaries whose keys are strings, True,
    False, None and JSON's words for them. Not: prefixed, triple-quoted or adjoining strings,
    ``\\N{...}``, sets, complex numbers, comments.
    """
    text = text.rstrip(" \t\n\r\f")
    opened: list[tuple[str, list[Any]]] = []  # closing bracket; values, of a dict after each key
    value: Any = NOT_JSON
    complete = False  # a value was just read
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return NOT_JSON
        position = token.end()
        kind = token.lastgroup
        assert kind is not None
        written = token[kind]
        if kind == "separator":
            if not complete or not opened or written != _separator(*opened[-1]):
                return NOT_JSON
            complete = False
            continue
        if kind == "closing":
            if not opened or written != opened[-1][0]:
                return NOT_JSON
            value = _close(*opened.pop(), complete=complete)
        elif complete:
            return NOT_JSON
        elif kind == "opening":
            if len(opened) == MAX_NESTING:
                return NOT_JSON
            opened.append((_CLOSING[written], []))
            continue
        elif kind == "string":
            value = _read_string(written[1:-1])
        elif kind == "number":
            value = _read_number(written)
        else:
            value = _WORDS.get(written, NOT_JSON)
        if value is NOT_JSON:
            return NOT_JSON
        if opened:
            opened[-1][1].append(value)
        complete = True
    return value if complete and not opened else NOT_JSON


def _separator(closing: str, values: list[Any]) -> str:
    """What has to stand between the last value and the next one."""
    if closing == "}" and len(values) % 2:
        return ":" if type(values[-1]) is str else ""
    return ","


def _close(closing: str, values: list[Any], *, complete: bool) -> Any:
    """The value of a closed bracket; `complete` if no comma precedes the bracket."""
    if closing == "}":
        return NOT_JSON if len(values) % 2 else dict(zip(values[::2], values[1::2], strict=True))
    return values[0] if closing == ")" and complete and len(values) == 1 else values


def _read_number(written: str) -> Any:
    digits = written.lstrip("+- \t")
    number: int | float
    try:
        number = int(digits, 0)
    except ValueError:  # a float, more digits than Python converts, or nothing of the kind
        if not any(mark in digits for mark in ".eE"):
            return NOT_JSON
        try:
            number = float(digits)
        except ValueError:
            return NOT_JSON
    if isinstance(number, int) and number.bit_length() > _MAX_BITS:
        return NOT_JSON
    return -number if written[0] == "-" else number


def _read_string(written: str) -> Any:
    try:
        return _ESCAPE.sub(_unescape, written) if "\\" in written else written
    except (ValueError, OverflowError):  # the latter: chr() of more than 31 bits
        return NOT_JSON


def _unescape(found: re.Match[str]) -> str:
    """The character of an escape; one that Python does not know stays as it is written.

    Raises:
        ValueError, OverflowError: no such character, or digits are missing.
    """
    newline, octal, *hexadecimal, other = found.groups()
    if newline:
        return ""
    if octal:
        return chr(int(octal, 8))
    if other is None:
        return chr(int("".join(filter(None, hexadecimal)), 16))
    if other in "xuUN":
        raise ValueError(f"\\{other} without its digits")
    return _ESCAPED.get(other, found[0])
