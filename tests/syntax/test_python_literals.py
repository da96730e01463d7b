"""Python literals: what Python reads of them, and what is refused."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.syntax.json_values import NOT_JSON
from rest_verl.syntax.python_literals import MAX_NESTING, read_literal

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner)
)


def as_json(value: Any) -> Any:
    """Tuples become lists."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


@given(VALUES.filter(lambda value: "inf" not in repr(value)))
def test_repr_is_read_back(value: Any) -> None:
    read = read_literal(repr(value))
    assert repr(read) == repr(as_json(value))  # 1, 1.0 and True differ


@pytest.mark.parametrize(
    "text",
    [
        "'a\"b'",
        '"it\'s"',
        r"'\n\t\\\'\"\a\0\12\1234\x41\u00e9\U0001F600'",
        r"'\q \. \8'",  # unknown escapes stay
        "'a\\\nb\\\r\nc'",  # a line goes on
        "'\\\\'",
        "''",
        "-1",
        "+ 1.5",
        "- 2",
        ".5",
        "1.",
        "1e5",
        "1E-5",
        "-1.5e+300",
        "1e400",
        "1_000",
        "00",
        "0x1F",
        "0b11",
        "0o17",
        "0x1e",
        "01.5",
        "[]",
        "()",
        "{}",
        "(1)",
        "(1,)",
        "((1),)",
        "[1,]",
        "{'a': 1,}",
        "{'a': 1, 'a': 2}",
        " [ 1 , \n 2 ] \n",
        "[(1, 2), {'a': [True, False, None]}]",
    ],
)
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_agrees_with_python(text: str) -> None:
    assert repr(read_literal(text)) == repr(as_json(ast.literal_eval(text)))


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("[false, null]", [False, None]), ("'é'", "é")]
)
def test_words_of_json(text: str, value: Any) -> None:
    assert read_literal(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "f()",
        "x",
        "Truely",
        "None1",
        "nan",
        "inf",
        "NaN",
        "1 2",
        "1, 2",
        "1j",
        "1 + 2",
        "--1",
        "-True",
        "-'a'",
        "- [1]",
        "012",
        "1__0",
        "0x",
        "1e",
        "9" * 5000,  # Python's digit limit
        "0x" + "f" * 4000,  # which holds for writing it as well
        "'a",
        "'a\nb'",
        "'a'b",
        "'a' 'b'",
        "'''a'''",
        "b'a'",
        "r'a'",
        "f'{a}'",
        r"'\x4'",
        r"'\u00e'",
        r"'\U00110000'",
        r"'\UFFFFFFFF'",  # more than chr() takes at all
        r"'\N{BULLET}'",
        "[",
        "]",
        "[1",
        "[1)",
        "[,]",
        "[1,,2]",
        "[1 2]",
        "(,)",
        "{1, 2}",
        "{1: 2}",
        "{None: 2}",
        "{'a'}",
        "{'a':}",
        "{'a': 1 'b': 2}",
        "{'a': 1: 2}",
        "{'a', 1}",
        "[1: 2]",
        "{**{}}",
        "[*[]]",
        "1 # one",
        "١",
        "\x00",
        "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1),
    ],
)
def test_no_literal(text: str) -> None:
    assert read_literal(text) is NOT_JSON


def test_deepest_nesting() -> None:
    text = "[" * MAX_NESTING + "]" * MAX_NESTING
    assert repr(read_literal(text)) == text


@pytest.mark.parametrize(
    "unit", [" x", "- ", "[", "(", "{'a':", "'", "\\", "-", "1", "'a',", "[1,", '"\\']
)
def test_hostile_repetition_is_no_literal(unit: str) -> None:
    assert read_literal(unit * 20_000) is NOT_JSON
    assert read_literal("'" + unit * 20_000) is NOT_JSON
    assert read_literal(" " * 100_000 + "x") is NOT_JSON


@given(st.text("[](){}'\"\\,: \n-+.0123456789xeETrueFalsNon", max_size=30))
@pytest.mark.filterwarnings("ignore")
def test_what_is_read_is_what_python_reads(text: str) -> None:
    read = read_literal(text)
    if read is NOT_JSON or any(word in text for word in ("true", "false", "null")):
        return
    assert repr(read) == repr(as_json(ast.literal_eval(text.strip())))


@given(VALUES.map(repr), st.integers(0))
def test_cut_off_literals_raise_nothing(text: str, cut: int) -> None:
    read_literal(text[: cut % (len(text) + 1)])
