"""JSON of models: decoded strictly, whatever it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.syntax.json_values import NOT_JSON, decode_text, dump_json, read_json, read_object


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"x": [1]}', {"x": [1]}),
        ("\n{} ", {}),
        ("{} {}", None),
        ("[]", None),
        ("1", None),
        ("", None),
        ('{"x": Infinity}', None),
        ('{"x": 1', None),
        ("[" * 100_000, None),
        ('{"x": ' + "9" * 5000 + "}", None),  # past Python's limit of digits
    ],
)
def test_read_object(text: str, value: dict | None) -> None:
    assert read_object(text) == value


@pytest.mark.parametrize("text", ["", " ", "NaN", "-Infinity", "1 2", "'a'", "[1,]", "nul", "0x1"])
def test_what_is_not_json(text: str) -> None:
    assert read_json(text) is NOT_JSON


@pytest.mark.parametrize(
    ("text", "value"), [(" null\n", None), ("1e2", 100.0), ('"\\ud800"', "\ud800"), ("[]", [])]
)
def test_what_is(text: str, value: object) -> None:
    assert read_json(text) == value


def test_the_last_of_a_key_given_twice_stands() -> None:
    assert read_json('{"a": 1, "a": 2}') == {"a": 2}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_is_dumped_is_read(value: object) -> None:
    line = dump_json(value)
    assert "\n" not in line
    assert read_json(line) == value == json.loads(line)


@given(st.text())
def test_any_text_is_read_or_is_none(text: str) -> None:
    read_json(text)
    assert read_object(text) is None or type(read_object(text)) is dict


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("größe".encode(), "größe"),
        (b"\xed\xa0\x80", "\ud800"),  # half of a surrogate pair, as some tokenizers have it
        (b"a\xffb", "a\ufffdb"),
    ],
)
def test_bytes_are_text(data: bytes, text: str) -> None:
    assert decode_text(data) == text
