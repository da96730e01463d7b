"""What a message says in words: no thoughts, calls or tags."""

import pytest

from rest_verl.syntax import get_syntax, syntax_names
from rest_verl.syntax.reading import words_of


@pytest.mark.parametrize(
    ("syntax", "text", "is_open", "words"),
    [
        ("toolrl", "<think> a </think>\n<response> Two, ☃. </response>", False, "Two, ☃."),
        ("toolrl", "Two.", False, "Two."),
        ("toolrl", "<think> a", False, ""),
        ("toolrl", "a", True, ""),
        ("toolrl", "a </think> Two.", True, "Two."),
        ("toolrl", "a </think> Two.", None, "Two."),
        ("hermes", '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>\nSo.', False, "So."),
        ("hermes", "\ud800 \n", False, "\ufffd" * 3),
        ("hermes", "", None, ""),
    ],
)
def test_words(syntax: str, text: str, is_open: bool | None, words: str) -> None:
    assert words_of(get_syntax(syntax), text, think_is_open=is_open) == words


def test_every_syntax_shows_the_text_that_it_writes() -> None:
    for name in syntax_names():
        syntax = get_syntax(name)
        assert words_of(syntax, syntax.write([], "Two.", think="a")) == "Two.", name
