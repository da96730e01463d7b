"""A score in words names the call and the argument that were wrong."""

import json
from typing import Any

import pytest

from rest_verl.rewards import tool_call_reward
from rest_verl.rewards.in_words import reward_in_words

BFCL = {
    "format": "chat_template",
    "expect": "calls",
    "calls": [{"name": "f", "parameters": {"city": ["Oslo", "Oslo, Norway"], "days": ["", 1]}}],
}


def call(name: str, **arguments: Any) -> str:
    text = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{text}\n</tool_call>"


def why(answer: str, truth: dict[str, Any] | str = BFCL) -> tuple[str, ...]:
    text = truth if isinstance(truth, str) else json.dumps(truth)
    result = tool_call_reward(answer, text, explain=True)
    plain = tool_call_reward(answer, text)
    assert result.as_dict() == plain.as_dict()
    assert result.why[0].startswith(f"format {plain.format:g}: ")
    assert result.why[1] == f"correctness {plain.correctness:.3g}, from -3 to 3"
    return result.why


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (call("f", city="Oslo"), ["f: right"]),
        (
            call("f", city="Paris", days=2, unit="C"),
            [
                'f: city is "Paris", wanted "Oslo" or "Oslo, Norway"; days is 2, wanted 1; '
                "unit is not a parameter here"
            ],
        ),
        (call("f"), ["f: city is missing"]),
        (call("g"), ["f: not called", "g: called, and not wanted"]),
        (call("f", city="Oslo") * 2, ["f: right", "f: called once more than wanted"]),
        ("<tool_call>f()</tool_call>", ["calls cannot be read"]),
    ],
)
def test_what_is_said_of_calls(answer: str, calls: list[str]) -> None:
    assert list(why(answer)[2:]) == calls


def test_each_call_is_held_against_the_one_that_it_is_matched_with() -> None:
    calls = [{"name": "f", "parameters": {"x": [number]}} for number in (1, 2, 3)]
    answer = call("f", x=3) + call("f", x=1)
    assert list(why(answer, {**BFCL, "calls": calls})[2:]) == [
        "f: right",
        "f: not called",
        "f: right",
    ]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("<think>a</think>", "think"),
        ("<think>a", "think left open"),
        ("</think><tool_call>", "closing think, call left open; its calls cannot be read"),
        ("words", "no tags"),
    ],
)
def test_what_is_said_of_the_format(answer: str, found: str) -> None:
    truth = "<think>t</think>" + call("f").replace("arguments", "parameters")
    assert why(answer, truth)[0] == f"format 0: not as asked (found: {found})"
    assert why(truth, truth) == ("format 1: as asked", "correctness 3, from -3 to 3", "f: right")


@pytest.mark.parametrize(
    ("expect", "answer", "said"),
    [
        ("no_call", "no", "no call, as wanted"),
        ("no_call", call("f"), "a call, where none is wanted"),
        ("any_call", call("f"), "a call, as wanted"),
        ("any_call", "no", "no call, where one is wanted"),
    ],
)
def test_where_no_call_is_named(expect: str, answer: str, said: str) -> None:
    assert why(answer, {**BFCL, "expect": expect, "calls": []})[2:] == (said,)


@pytest.mark.parametrize(
    ("logged", "num_sentences"),
    [
        pytest.param(4.0, 3, id="the rule's own score"),
        pytest.param(2.0, 1, id="another scale's: the calls alone"),
        pytest.param(None, 1, id="none logged"),
    ],
)
def test_of_a_logged_answer_only_what_is_sure_is_said(
    logged: float | None, num_sentences: int
) -> None:
    words = reward_in_words(call("f", city="Oslo"), json.dumps(BFCL), logged)
    assert len(words) == num_sentences
    assert words[-1] == "f: right"


@pytest.mark.parametrize("ground_truth", [None, "", "42", '{"answer": 1}'])
def test_another_rewards_ground_truth_says_nothing(ground_truth: str | None) -> None:
    assert reward_in_words(call("f"), ground_truth, 1.0) == ()
