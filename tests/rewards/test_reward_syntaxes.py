"""The reward reads an answer by the model's own syntax, and sees calls in others."""

import json

import pytest

from rest_verl.rewards import compute_score, tool_call_reward
from rest_verl.syntax import ToolCall, get_syntax, syntax_names

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {"n": {"type": "string"}, "x": {"type": "integer"}},
            },
        },
    }
]
CALL = ToolCall("f", {"n": "2", "x": 3}, "functions.f:0")


def truth(expect: str = "calls", answer_format: str = "chat_template") -> str:
    calls = [{"name": "f", "parameters": {"n": ["2"], "x": [3]}}] if expect == "calls" else []
    return json.dumps({"format": answer_format, "expect": expect, "calls": calls})


@pytest.mark.parametrize("name", syntax_names())
def test_right_calls_earn_the_maximum_in_every_syntax(name: str) -> None:
    answer = get_syntax(name).write([CALL], think="so")
    result = tool_call_reward(answer, truth(), syntax=name, think_is_open=False, tools=TOOLS)
    assert (result.score, result.exact_match) == (4.0, True)
    assert tool_call_reward(answer, truth("any_call"), syntax=name).score == 4.0
    assert tool_call_reward(answer, truth("no_call"), syntax=name).correctness == -3.0


def test_the_tools_say_what_an_untyped_argument_is() -> None:
    answer = get_syntax("qwen3_coder").write([CALL])
    assert tool_call_reward(answer, truth(), syntax="qwen3_coder", tools=TOOLS).exact_match
    assert not tool_call_reward(answer, truth(), syntax="qwen3_coder").exact_match  # 2 is no "2"


def test_verls_function_takes_a_syntax_and_the_rows_tools() -> None:
    def score(answer: str, info: dict | None, **settings: str) -> float:
        return compute_score("own", answer, truth(), info, **settings)["score"]

    coder, hermes = (get_syntax(name).write([CALL]) for name in ("qwen3_coder", "hermes"))
    assert score(coder, {"tools": json.dumps(TOOLS)}, syntax="qwen3_coder") == 4.0
    assert score(coder, {"tools": ""}, syntax="qwen3_coder") < 4.0
    assert score(coder, None, syntax="qwen3_coder") < 4.0
    assert score(hermes, {"tools": "unread"}) == 4.0  # its arguments have types of their own
    with pytest.raises(ValueError, match=r"^own, row r1: "):
        score(coder, {"tools": "{", "id": "r1"}, syntax="qwen3_coder")
    with pytest.raises(ValueError, match="did you mean hermes"):
        score(coder, None, syntax="hermse")


SEED = get_syntax("seed").write([CALL])


@pytest.mark.parametrize(
    ("expect", "correctness"), [("calls", -3.0), ("any_call", -3.0), ("no_call", -3.0)]
)
@pytest.mark.parametrize("answer_format", ["chat_template", "toolrl"])
def test_a_call_in_another_syntax_is_a_call_and_a_wrong_one(
    expect: str, correctness: float, answer_format: str
) -> None:
    answer = f"<think>so</think>\n{SEED}"
    result = tool_call_reward(answer, truth(expect, answer_format), tools=TOOLS)
    assert (result.correctness, result.exact_match) == (correctness, False)
    assert result.num_calls == 0


@pytest.mark.parametrize(("opened", "right"), [(None, True), (True, True), (False, False)])
def test_a_foreign_call_in_a_thought_is_none(opened: bool | None, right: bool) -> None:
    answer = f"perhaps {SEED}</think>No."
    result = tool_call_reward(answer, truth("no_call"), think_is_open=opened)
    assert result.exact_match is right


def test_what_toolrls_prompts_ask_for_is_read_so_whatever_the_model_writes() -> None:
    answer = get_syntax("toolrl").write([CALL], think="so")
    for name in ("hermes", "gemma4"):
        assert tool_call_reward(answer, truth(answer_format="toolrl"), syntax=name).score == 4.0


@pytest.mark.parametrize(("opened", "score"), [(None, 3.0), (False, 3.0), (True, 4.0)])
def test_toolrls_format_wants_a_thought_that_someone_opened(
    opened: bool | None, score: float
) -> None:
    answer = get_syntax("toolrl").write([CALL], think="so").removeprefix("<think>")
    right = truth(answer_format="toolrl")
    assert tool_call_reward(answer, right, think_is_open=opened).score == score


@pytest.mark.parametrize("name", ["toolrl", "hermes"])
@pytest.mark.parametrize(
    "text", ["</tool_call>", "<tool_call>", "</think>", "<response></response>"]
)
def test_a_tag_in_a_string_belongs_to_the_call(name: str, text: str) -> None:
    answer = get_syntax(name).write([ToolCall("f", {"x": text})], think="so")
    answer_format = "toolrl" if name == "toolrl" else "chat_template"
    calls = [{"name": "f", "parameters": {"x": [text]}}]
    right = json.dumps({"format": answer_format, "expect": "calls", "calls": calls})
    assert tool_call_reward(answer, right).score == 4.0
    if name == "toolrl":
        assert tool_call_reward(answer, answer).score == 4.0  # a ground truth in ToolRL's text


def test_calls_in_a_closed_response_are_text_to_toolrl() -> None:
    call = get_syntax("toolrl").write([CALL])
    answer = f"<think>so</think>\n<response>{call}</response>"
    result = tool_call_reward(answer, truth("no_call", "toolrl"))
    assert (result.format_ok, result.num_calls) == (False, 0)  # its tags are there all the same
    assert tool_call_reward(answer, truth("calls", "toolrl")).correctness == -3.0


def test_an_unknown_syntax_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean hermes"):
        tool_call_reward("", truth(), syntax="hermse")
