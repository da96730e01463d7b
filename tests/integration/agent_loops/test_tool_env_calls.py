"""What the loop says of a rollout's calls, and the end that invalid ones can be given."""

from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from loop_harness import call, info, make_row, run
from templates import get_model

QWEN = get_model("qwen3")
WRITE, READ, RAISE = call("write", text="a"), call("read"), call("raise")
MALFORMED = "<tool_call>"
FACTS = ("calls", "no_call", "calls_repeated", "invalid_streak", "turns_cut")


def facts(output: Any) -> list[float]:
    return [info(output)[name] for name in FACTS]


def end(output: Any) -> str:
    (name,) = [n for n, value in info(output).items() if n.startswith("limit/") and value]
    return name.removeprefix("limit/")


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param(["a", "b"], [0, 1, 0, 0, 0], id="none in two turns"),
        pytest.param([WRITE + READ, WRITE, "a", WRITE, "b"], [4, 0, 2, 0, 0], id="repeated"),
        pytest.param(
            [RAISE, MALFORMED, RAISE + READ, "a", RAISE, "b"], [4, 0, 2, 3, 0], id="invalid"
        ),
        pytest.param(["a", MALFORMED, "b"], [0, 0, 0, 1, 0], id="none that can be read"),
    ],
)
def test_facts(messages: list[str], expected: list[float]) -> None:
    output, _ = run(QWEN, messages, make_row(["u", "v"]))
    assert (facts(output), end(output)) == (expected, "none")


@pytest.mark.parametrize(
    ("messages", "most", "calls", "steps"),
    [
        pytest.param([RAISE, RAISE], 2, 2, 2, id="in two messages"),
        pytest.param([RAISE + RAISE + WRITE], 2, 2, 1, id="in one, the rest of which never runs"),
        pytest.param([RAISE, MALFORMED], 2, 1, 2, id="one of them malformed"),
        pytest.param(["a", MALFORMED], 1, 0, 2, id="the first one"),
        pytest.param([RAISE, WRITE, RAISE, READ + RAISE, RAISE], 2, 6, 5, id="others in between"),
    ],
)
def test_invalid_calls_end_a_rollout(
    messages: list[str], most: int, calls: int, steps: int
) -> None:
    output, _ = run(QWEN, messages, make_row(["u", "v"]), {"max_invalid_calls": most})
    assert end(output) == "invalid_calls"
    assert (info(output)["calls"], info(output)["steps"]) == (calls, steps)
    assert output.response_mask[-1] == 1  # nothing after the last sampled token
    assert info(output)["turns_cut"] == 2 - (messages[0] == "a")


def test_what_was_done_before_them_is_judged() -> None:
    messages = [WRITE, RAISE]
    output, _ = run(QWEN, messages, make_row(["u"]), {"max_invalid_calls": 1})
    assert (output.reward_score, info(output)["turns_right"]) == (1.0, 1)


def test_without_the_option_they_do_not() -> None:
    output, _ = run(QWEN, [RAISE] * 9 + ["a"], make_row(["u"]))
    assert (end(output), info(output)["invalid_streak"]) == ("none", 9)


def test_calls_of_the_tools_offered() -> None:
    row = make_row(["u", "v"], late={"1": "raise"})
    output, _ = run(QWEN, [WRITE + WRITE + call("made_up"), "a", RAISE, "b"], row)
    assert output.extra_fields["tool_calls"] == {"raise": 1, "read": 0, "write": 2}
    output, _ = run(QWEN, [], row, prompt_length=10)
    assert output.extra_fields["tool_calls"] == {}
