"""Calls that a message makes in another syntax than its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.syntax import ToolCall, get_syntax, read_message, syntax_names
from rest_verl.syntax.reading import foreign_syntax

CALL = ToolCall("get_weather", {"city": "Oslo"}, "functions.get_weather:0")
WRITTEN = {name: get_syntax(name).write([CALL]) for name in syntax_names()}
SEED = WRITTEN["seed"]
HERMES = get_syntax("hermes")
SHARED = {"hermes", "toolrl", "glm", "qwen3_coder"}
"""Syntaxes that all open their calls with `<tool_call>`."""


@pytest.mark.parametrize("name", syntax_names())
def test_a_call_in_ones_own_syntax_is_not_foreign(name: str) -> None:
    reading = read_message(get_syntax(name), WRITTEN[name], think_is_open=False)
    assert reading.calls
    assert reading.foreign == ""
    assert reading.tries_to_call
    assert reading.whole_calls == reading.calls


@pytest.mark.parametrize("written_in", syntax_names())
@pytest.mark.parametrize("read_as", syntax_names())
def test_a_call_in_another_is_seen_but_not_read(read_as: str, written_in: str) -> None:
    if read_as == written_in or {read_as, written_in} == {"hermes", "toolrl"}:
        return
    reading = read_message(get_syntax(read_as), WRITTEN[written_in], think_is_open=False)
    assert reading.tries_to_call
    assert reading.whole_calls is None
    if "C" in reading.structure:  # a call of its own is begun, and is broken
        assert {read_as, written_in} <= SHARED
        assert (reading.foreign, reading.well_formed) == ("", False)
    else:
        seen = get_syntax(reading.foreign).read(WRITTEN[written_in], think_is_open=False)
        assert seen.calls[0][:2] == CALL[:2]


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        (f"I say {SEED}", "seed"),
        (f"<think>hm</think>{SEED}", "seed"),
        (f"<think>perhaps {SEED}</think>No.", ""),  # quoted in a thought
        (f"<think>perhaps {SEED}", ""),
        (f"<think>perhaps {SEED}</think>{WRITTEN['hermes']}", ""),
        (f"{WRITTEN['hermes']}{SEED}", ""),  # there is a call of its own
        (f"<tool_call>{SEED}", ""),  # and here one is begun
        (SEED[: len(SEED) // 2], ""),  # a half call is none
        ("plain", ""),
        ("", ""),
    ],
)
def test_what_is_foreign(text: str, foreign: str) -> None:
    reading = read_message(HERMES, text, think_is_open=False)
    assert reading.foreign == foreign
    assert reading._replace(foreign="") == HERMES.read(text, think_is_open=False)


@pytest.mark.parametrize(
    ("text", "think_is_open", "foreign"),
    [
        (f"perhaps {SEED}", True, ""),  # never closed
        (f"perhaps {SEED}</think>No.", True, ""),
        (f"perhaps {SEED}</think>No.", None, ""),
        (f"perhaps {SEED}</think>No.", False, "seed"),
        (f"perhaps</think>{SEED}", True, "seed"),
        (f"perhaps {SEED}", None, "seed"),
    ],
)
def test_a_thought_that_the_prompt_opened(
    text: str, think_is_open: bool | None, foreign: str
) -> None:
    assert read_message(HERMES, text, think_is_open=think_is_open).foreign == foreign


def test_thoughts_of_another_kind_are_not_this_ones() -> None:
    """A message is taken apart by its own syntax; in another's thought the other reads no call."""
    mistral = get_syntax("mistral")
    opening, closing = (tag.decode() for tag in mistral.think)
    text = f"{opening}perhaps {WRITTEN['hermes']}{closing}No."
    assert read_message(mistral, text, think_is_open=False).foreign == ""
    assert read_message(get_syntax("seed"), text, think_is_open=False).foreign == "hermes"


def test_a_closed_response_hides_no_foreign_call() -> None:
    text = f"<think>a</think><response>{SEED}</response>"
    assert foreign_syntax(get_syntax("toolrl"), text.encode(), think_is_open=False) == "seed"


pieces = st.sampled_from([*WRITTEN.values(), "<think>", "</think>", "<tool_call>", "{", '"', "ü"])


@given(st.lists(pieces, max_size=6), st.sampled_from(syntax_names()), st.sampled_from([None, True]))
def test_foreign_is_one_of_the_others_or_none(
    parts: list[str], name: str, think_is_open: bool | None
) -> None:
    reading = read_message(get_syntax(name), "".join(parts), think_is_open=think_is_open)
    assert reading.foreign in {"", *syntax_names()} - {name}
    assert not (reading.foreign and "C" in reading.structure)
