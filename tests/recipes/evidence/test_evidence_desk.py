"""The small task: every request has one right answer, which its prompt gives away in full."""

import json
import random

import pytest

from recipes.evidence.desk import KINDS, NUM_TOOLS, SLIPS, make_request, make_requests
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import get_syntax, read_message

REQUESTS = make_requests(400, "test")


def test_the_right_answer_earns_the_maximum() -> None:
    for request in REQUESTS:
        result = tool_call_reward(request.answer, request.ground_truth)
        assert (result.score, result.exact_match, result.format_ok) == (4.0, True, True)


def test_the_prompt_shows_the_tool_and_every_value() -> None:
    for request in REQUESTS:
        system, user = (message["content"] for message in request.messages)
        (call,) = read_message(get_syntax("toolrl"), request.answer).calls
        (signature,) = [line for line in system.splitlines() if line.startswith(f"{call.name}(")]
        assert system.count("\n") == NUM_TOOLS
        for key, value in call.arguments.items():
            kind = "int" if isinstance(value, int) else "str"
            assert f"{key}: {kind}" in signature
            assert json.dumps(value) in user


def test_no_two_kinds_share_a_tool() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_the_seed_decides() -> None:
    assert make_requests(5, "a") == make_requests(5, "a") != make_requests(5, "b")
    assert make_request(random.Random(1)) == make_request(random.Random(1))


def test_thoughts_are_of_many_words() -> None:
    thoughts = {request.answer.split("</think>")[0] for request in REQUESTS}
    assert len(thoughts) > 0.95 * len(REQUESTS)


def test_lessons_are_right_as_often_as_no_slip_happens() -> None:
    results = [tool_call_reward(r.lesson, r.ground_truth) for r in make_requests(2000, "slips")]
    assert sum(SLIPS.values()) == pytest.approx(1)
    right = sum(result.exact_match and result.format_ok for result in results) / len(results)
    assert right == pytest.approx(SLIPS["none"], abs=0.04)
    wrong_names = sum(not result.name_match for result in results) / len(results)
    # another tool, a second call of it, or a call whose block is left open
    named = SLIPS["wrong tool"] + SLIPS["second call"]
    assert named - 0.04 < wrong_names < named + SLIPS["open"] + 0.04


def test_a_misreading_stands_in_thought_and_call() -> None:
    misread = [
        request
        for request in make_requests(500, "misread")
        if request.lesson.split("</think>")[0] != request.answer.split("</think>")[0]
    ]
    assert len(misread) > 30
    for request in misread:
        thought, _, call = request.lesson.partition("</think>")
        (read,) = read_message(get_syntax("toolrl"), request.lesson).calls
        assert tool_call_reward(request.lesson, request.ground_truth).name_match
        for value in read.arguments.values():
            assert json.dumps(value) in thought
            assert json.dumps(value) in call
