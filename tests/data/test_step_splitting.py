"""Steps of a dialogue: whole prompts by hand, and answers that earn the maximum of the reward."""

import json
from dataclasses import replace
from typing import Any

import pytest
from dialogue_samples import CLOCK, DIALOGUE, WEATHER
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.data import STYLES, Message, split_steps, step_row
from rest_verl.rewards import compute_score, tool_call_reward
from rest_verl.syntax import ToolCall, get_syntax, syntax_names

CALLS = (
    "<tool_call>\n"
    '{"name": "weather", "parameters": {"city": "Oslo"}}\n'
    '{"name": "weather", "parameters": {"city": "Rome"}}\n'
    "</tool_call>"
)
HERMES = (
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n'
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
)


def test_compact() -> None:
    system = {"role": "system", "content": "Tools:\nweather(city: str, days?: int)\n\nBe brief."}
    first = [system, {"role": "user", "content": "Oslo and Rome?"}]
    second = [
        *first,
        {"role": "assistant", "content": f"<think> Two cities. </think>\n{CALLS}"},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "sun"},
    ]
    third = [
        *second,
        {"role": "assistant", "content": "<response> Rain; sun. </response>"},
        {"role": "user", "content": "clock()\nAnd the time?"},
    ]
    steps = list(split_steps(DIALOGUE, "compact"))
    assert [step.messages for step in steps] == [first, second, third]
    assert [step.number for step in steps] == [0, 1, 2]
    assert [step.wants_calls for step in steps] == [True, False, True]
    assert [step.answer for step in steps] == [
        f"<think> Two cities. </think>\n{CALLS}",
        "<think>  </think>\n<response> Rain; sun. </response>",
        '<think>  </think>\n<tool_call>\n{"name": "clock", "parameters": {}}\n</tool_call>',
    ]
    assert [json.loads(step.ground_truth) for step in steps] == [
        {
            "format": "toolrl",
            "expect": "calls",
            "calls": [
                {"name": "weather", "parameters": {"city": "Oslo"}},
                {"name": "weather", "parameters": {"city": "Rome"}},
            ],
            "values": "equal",
        },
        {"format": "toolrl", "expect": "no_call", "calls": []},
        {
            "format": "toolrl",
            "expect": "calls",
            "calls": [{"name": "clock", "parameters": {}}],
            "values": "equal",
        },
    ]


def test_toolrl_history_is_one_user_message() -> None:
    dialogue = replace(
        DIALOGUE, messages=[*DIALOGUE.messages, Message(role="assistant", content="Noon.")]
    )
    system, user = list(split_steps(dialogue, "toolrl"))[-1].messages
    assert system["content"].endswith("what the tools returned, `<obs>`.\n\nBe brief.")
    assert user == {
        "role": "user",
        "content": "**Dialogue Records History**\n"
        "<user> Oslo and Rome? </user>\n\n"
        f"<think> Two cities. </think>\n{CALLS}\n"
        "<obs> rain </obs>\n"
        "<obs> sun </obs>\n\n"
        "<response> Rain; sun. </response>\n\n"
        "<user> 1. Name: clock\nDescription: \nParameters: {}\nAnd the time? </user>\n\n"
        '<tool_call>\n{"name": "clock", "parameters": {}}\n</tool_call>\n'
        "<response> A moment. </response>\n"
        "<obs> noon </obs>",
    }


def test_chat_template_keeps_roles_and_leaves_the_tools_to_the_template() -> None:
    steps = list(split_steps(DIALOGUE, "chat_template"))
    assert steps[2].messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Oslo and Rome?"},
        {"role": "assistant", "content": f"<think>\nTwo cities.\n</think>\n\n{HERMES}"},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "sun"},
        {"role": "assistant", "content": "Rain; sun."},
        {"role": "user", "content": f"{json.dumps(CLOCK)}\nAnd the time?"},
    ]
    assert steps[1].answer == "Rain; sun."
    row = step_row(DIALOGUE, steps[0], "chat_template", index=4, split="train")
    assert row["agent_name"] == "rest_single_turn"
    assert json.loads(row["extra_info"]["tools"]) == [WEATHER]


def test_row() -> None:
    _, step, _ = split_steps(DIALOGUE, "compact")
    assert step_row(DIALOGUE, step, "compact", index=4, split="train") == {
        "data_source": "dialogues/chats",
        "prompt": step.messages,
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": step.ground_truth},
        "extra_info": {
            "index": 4,
            "id": "d0/1",
            "category": "chats",
            "split": "train",
            "version": "",
            "tools": "",
            "later_tools": "",
            "syntax": "toolrl",
            "prompt_style": "compact",
        },
    }


@pytest.mark.parametrize("style", ["compact", "chat_template"])
def test_given_thoughts_make_the_history_the_answers(style: str) -> None:
    def thought(message: Message) -> str:
        return f"I make {len(message.calls)} calls."

    steps = list(split_steps(DIALOGUE, style, thought=thought))
    said = [m["content"] for m in steps[-1].messages if m["role"] == "assistant"]
    assert said == [step.answer for step in steps[:-1]]
    assert "I make 2 calls." in said[0]
    assert "I make 0 calls." in said[1]


def test_complaints_name_the_id_where_there_is_no_file() -> None:
    made = replace(DIALOGUE, origin="", tools=[])
    with pytest.raises(ValueError, match=r"^d0: calls weather"):
        list(split_steps(made, "compact"))


def test_calls_must_be_offered_when_they_are_made() -> None:
    early = replace(
        DIALOGUE,
        messages=[
            DIALOGUE.messages[1],
            Message(role="assistant", calls=(ToolCall("clock", {}), ToolCall("nap", {}))),
        ],
    )
    assert early.calls_not_offered() == ["clock", "nap"]
    assert DIALOGUE.calls_not_offered() == []
    with pytest.raises(ValueError, match="chats:1: calls clock, nap, not offered at that point"):
        list(split_steps(early, "compact"))


@pytest.mark.parametrize(
    ("message", "style"),
    [
        (Message(role="assistant", content="see <tool_call>"), "compact"),
        (Message(role="assistant", content="</response> and on"), "toolrl"),
        (Message(role="assistant", thought="</think>", content="Hi."), "compact"),
    ],
    ids=["tag in the text", "closing tag", "tag in the thought"],
)
def test_answers_that_the_reward_would_not_take(message: Message, style: str) -> None:
    dialogue = replace(DIALOGUE, messages=[*DIALOGUE.messages[:2], message])
    with pytest.raises(ValueError, match="chats:1, step 0: the reward would not take"):
        list(split_steps(dialogue, style))


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
texts |= st.sampled_from(["</tool_call>", "<tool_call>", "</think>", "<response>"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, width=32) | texts
scalars = scalars.filter(lambda x: x not in (float("inf"), float("-inf")))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    calls=st.lists(
        st.builds(ToolCall, st.just("weather"), st.dictionaries(texts, values, max_size=3)),
        min_size=1,
        max_size=3,
    ),
    style=st.sampled_from(STYLES),
)
def test_any_arguments_earn_the_maximum(calls: list[ToolCall], style: str) -> None:
    message = Message(role="assistant", calls=tuple(calls))
    dialogue = replace(DIALOGUE, messages=[*DIALOGUE.messages[:2], message])
    (step,) = split_steps(dialogue, style)
    assert tool_call_reward(step.answer, step.ground_truth).score == 4.0


@pytest.mark.parametrize(
    ("recorded", "given"),
    [
        ({"k": [1, 2]}, {"k": 1}),
        ({"k": {"n": [1]}}, {"k": {"n": 1}}),
        ([{"k": ["a", "b"]}], [{"k": "a"}]),
        ("7-2", "72"),
        ("1.50", "150"),
        ("Se-Cret", "secret"),
        ("", []),
        ({"a": ""}, {}),
        (1, True),
    ],
)
@pytest.mark.parametrize("syntax", ["hermes", "qwen3_coder"])
def test_a_recorded_value_is_the_right_one_alone(recorded, given, syntax: str) -> None:
    types = {str: "string", int: "integer", list: "array", dict: "object"}
    parameters = {"type": "object", "properties": {"p": {"type": types[type(recorded)]}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    call = Message(role="assistant", calls=(ToolCall("f", {"p": recorded}),))
    dialogue = replace(DIALOGUE, tools=[tool], messages=[*DIALOGUE.messages[:2], call])
    (step,) = split_steps(dialogue, "chat_template", syntax=syntax)
    row = step_row(dialogue, step, "chat_template", index=0, split="train")
    written = [
        get_syntax(syntax).write([ToolCall("f", arguments)])
        for arguments in ({"p": recorded}, {"p": given}, {})
    ]
    assert [scored(row, answer, syntax) for answer in written] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "syntax", [name for name in syntax_names() if get_syntax(name).in_templates]
)
def test_a_tool_that_comes_later_has_its_types_in_the_row(syntax: str) -> None:
    parameters = {"type": "object", "properties": {"text": {"type": "string"}}}
    late = {"type": "function", "function": {"name": "echo", "parameters": parameters}}
    dialogue = replace(
        DIALOGUE,
        messages=[
            Message(role="user", content="Now there is echo.", new_tools=(late,)),
            Message(role="assistant", calls=(ToolCall("echo", {"text": "9"}),)),
        ],
    )
    (step,) = split_steps(dialogue, "chat_template", syntax=syntax)
    row = step_row(dialogue, step, "chat_template", index=0, split="train")
    assert json.loads(row["extra_info"]["tools"]) == dialogue.tools
    assert scored(row, step.answer, syntax) == 1.0


def scored(row: dict[str, Any], answer: str, syntax: str) -> float:
    """Whether verl's scorer takes it as right."""
    truth = row["reward_model"]["ground_truth"]
    return compute_score("chats", answer, truth, row["extra_info"], syntax=syntax)["exact_match"]
