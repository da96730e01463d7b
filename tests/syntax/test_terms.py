"""The four terms for how an answer is written."""

import pytest

from rest_verl.syntax import Terms, get_syntax, read_message, terms_of
from rest_verl.syntax.terms import FAULTS, LABELS, count_terms, logged_terms

CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'


def read(*messages: str, cut_off: bool | None = None) -> Terms:
    syntax = get_syntax("toolrl")
    readings = [read_message(syntax, text, think_is_open=False) for text in messages]
    return terms_of(readings, cut_off)


@pytest.mark.parametrize(
    ("messages", "faults"),
    [
        pytest.param([f"<think>a</think>{CALL}"], (), id="a thought and a call"),
        pytest.param(["words"], (), id="no tags, no calls"),
        pytest.param([""], (), id="nothing"),
        pytest.param(["</think>a"], ("tags_valid",), id="closes what is not open"),
        pytest.param(["<think>a"], ("tags_valid", "unclosed"), id="thought left open"),
        pytest.param(
            ['<tool_call>\n{"name": "f", "arg'],
            ("tags_valid", "calls_parse", "unclosed"),
            id="call left open",
        ),
        pytest.param(
            ["<tool_call><think>a</think>"],
            ("tags_valid", "calls_parse", "unclosed"),
            id="broken off by another tag",
        ),
        pytest.param(["<tool_call>f()</tool_call>"], ("calls_parse",), id="no call between tags"),
        pytest.param(
            ["<seed:tool_call>\n<function=f>\n</function>\n</seed:tool_call>"],
            ("calls_parse",),
            id="a call in another syntax",
        ),
        pytest.param([CALL, "<think>a"], ("tags_valid", "unclosed"), id="the second of two"),
        pytest.param(["<response>a", CALL], ("tags_valid", "unclosed"), id="the first of two"),
    ],
)
def test_what_is_at_fault(messages: list[str], faults: tuple[str, ...]) -> None:
    assert read(*messages).faults == faults
    assert read(*messages, cut_off=True).faults == (*faults, "cut_off")


def test_counts_leave_out_what_is_not_known() -> None:
    answers = [read(CALL), read("<think>a")]
    assert count_terms(answers) == {"tags_valid": 1, "calls_parse": 2, "unclosed": 1}
    assert count_terms([*answers, read(CALL, cut_off=False)])["cut_off"] == 0
    assert count_terms([]) == {}


def test_terms_come_back_from_a_log() -> None:
    for terms in (read("<think>a", cut_off=True), read(CALL, cut_off=None)):
        assert logged_terms({**terms.as_dict(), "score": 1.0}) == terms
    assert logged_terms({"format_ok": 1.0, "cut_off": 0.0}) is None
    assert logged_terms({**read(CALL).as_dict(), "unclosed": "no"}) is None


def test_every_term_has_its_words() -> None:
    assert Terms._fields == (*LABELS,) == (*FAULTS,)
