"""What holds of the reward for any text and any calls."""

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.rewards import RewardConfig, tool_call_reward

THINK = "<think>t</think>"
SCHEDULED = RewardConfig.preset("toolrl_scheduled")

PIECES = [
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>", "\n"),
    *(
        '{"name": "f", "parameters": {"x": 1}}',
        '{"name": "g", "arguments": {}}',
        '{"name": ',
        '"f"',
    ),
    *("{", "}", "[", "]", '"', ":", ",", "NaN", "1e999", "\\ud800", "\ud800", " "),
]
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=25).map("".join)

keys = st.sampled_from(["x", "y", "z"])
scalars = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, "", "a", "A."])
)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=2) | st.dictionaries(keys, v, max_size=2),
    max_leaves=4,
)
calls = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "g"]), "parameters": st.dictionaries(keys, values, max_size=3)}
)
call_lists = st.lists(calls, min_size=1, max_size=4)


def answer(calls: list[dict[str, object]]) -> str:
    return THINK + "<tool_call>\n" + "\n".join(map(json.dumps, calls)) + "\n</tool_call>"


def allowing(calls: list[dict[str, object]], format: str = "toolrl") -> str:
    return json.dumps(
        {
            "format": format,
            "expect": "calls",
            "calls": [
                {"name": c["name"], "parameters": {k: [v] for k, v in c["parameters"].items()}}
                for c in calls
            ],
        }
    )


TRUTHS = [
    answer([{"name": "f", "parameters": {"x": 1}}, {"name": "g", "parameters": {}}]),
    THINK + "<response>r</response>",
    allowing([{"name": "f", "parameters": {"x": 1}}], "chat_template"),
    '{"format": "chat_template", "expect": "no_call", "calls": []}',
    '{"format": "toolrl", "expect": "any_call", "calls": []}',
]


@given(texts, st.sampled_from(TRUTHS), st.none() | st.integers(0, 400))
@settings(max_examples=600, deadline=None)
def test_any_text_scores_within_the_bounds(text: str, truth: str, step: int | None) -> None:
    result = tool_call_reward(text, truth, step, SCHEDULED)
    scale = SCHEDULED.scale(step)
    assert result.format in (scale.format_min, scale.format_max)
    assert scale.correctness_min <= result.correctness <= scale.correctness_max
    assert result.score == result.format + result.correctness
    assert not result.exact_match or result.name_match
    assert tool_call_reward(text, truth, step, SCHEDULED) == result


@given(call_lists)
@settings(max_examples=200, deadline=None)
def test_identity_earns_the_maximum(calls: list[dict[str, object]]) -> None:
    result = tool_call_reward(answer(calls), answer(calls))
    assert (result.score, result.exact_match, result.name_match) == (4.0, True, True)


@given(call_lists, call_lists, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_order_of_calls_is_free(
    predicted: list[dict[str, object]], expected: list[dict[str, object]], rng: random.Random
) -> None:
    once = tool_call_reward(answer(predicted), answer(expected)).correctness
    rng.shuffle(predicted)
    rng.shuffle(expected)
    again = tool_call_reward(answer(predicted), answer(expected)).correctness
    assert abs(again - once) < 1e-12


@given(call_lists, call_lists)
@settings(max_examples=200, deadline=None)
def test_only_the_ground_truth_earns_the_maximum(
    predicted: list[dict[str, object]], expected: list[dict[str, object]]
) -> None:
    def canonical(calls: list[dict[str, object]]) -> list[str]:
        # 1 and 1.0 are one number; JSON's text tells true from 1.
        text = json.dumps(calls, sort_keys=True).replace("1.0", "1")
        return sorted(json.dumps(call, sort_keys=True) for call in json.loads(text))

    result = tool_call_reward(answer(predicted), answer(expected))
    assert result.exact_match is (canonical(predicted) == canonical(expected))


@given(call_lists, calls)
@settings(max_examples=200, deadline=None)
def test_a_spurious_call_costs(calls: list[dict[str, object]], spurious: dict[str, object]) -> None:
    result = tool_call_reward(answer([*calls, spurious]), answer(calls))
    assert result.correctness < 3.0
    assert not result.name_match


allowed = st.lists(scalars, min_size=1, max_size=3)


@given(
    st.lists(
        st.tuples(st.sampled_from(["f", "g"]), st.dictionaries(keys, allowed, max_size=3)),
        min_size=1,
        max_size=3,
    ),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_allowed_values_earn_the_maximum(
    expected: list[tuple[str, dict[str, list[object]]]], data: st.DataObject
) -> None:
    truth = json.dumps(
        {
            "format": "toolrl",
            "expect": "calls",
            "calls": [{"name": name, "parameters": parameters} for name, parameters in expected],
        }
    )
    predicted = []
    for name, parameters in expected:
        arguments = {}
        for key, options in parameters.items():
            stated = [option for option in options if option != ""]
            left_out = not stated or ("" in options and data.draw(st.booleans()))
            if not left_out:
                arguments[key] = data.draw(st.sampled_from(stated))
        predicted.append({"name": name, "parameters": arguments})
    assert tool_call_reward(answer(predicted), truth).score == 4.0
