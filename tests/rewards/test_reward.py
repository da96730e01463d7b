"""The whole reward: numbers worked out by hand, and text that must not break it."""

import inspect
import json
import pickle
import subprocess
import sys

import pytest

from rest_verl.rewards import RewardConfig, RewardResult, compute_score, tool_call_reward

THINK = "<think>t</think>"


def call(name: str, key: str = "parameters", /, **arguments: object) -> str:
    return json.dumps({"name": name, key: arguments})


def block(*calls: str) -> str:
    return "<tool_call>\n" + "\n".join(calls) + "\n</tool_call>"


def record(expect: str, *calls: dict[str, object], format: str = "toolrl") -> str:
    return json.dumps({"format": format, "expect": expect, "calls": calls})


F = call("f", x=1, y="a")
TRUTH = THINK + block(F)


# Points of one call with two parameters: names 1, keys 1, values 2; correctness = 6·points/4 − 3.
@pytest.mark.parametrize(
    ("calls", "correctness"),
    [
        ([F], 3.0),
        ([call("f", y="a", x=1)], 3.0),  # order of keys
        ([call("f", "arguments", x=1, y="a")], 3.0),  # the other word for them
        ([call("f", x=1.0, y="a")], 3.0),  # 1.0 is 1
        ([call("f", x=True, y="a")], 1.5),  # true is not: 1 + 1 + 1
        ([call("f", x=1, y="A")], 1.5),  # equality is exact: 1 + 1 + 1
        ([call("f", x=1)], 0.75),  # 1 + 1/2 + 1
        ([call("f", x=1, z="a")], 0.5),  # 1 + 1/3 + 1
        ([call("f", x=1, y="a", z=0)], 2.5),  # 1 + 2/3 + 2
        ([call("f")], -1.5),  # 1
        ([call("g", x=1, y="a")], -3.0),
        ([F, F], 2.25),  # 1/2 + 3
        ([F, call("g")], 2.25),
        ([call("g"), F], 2.25),
        ([F] + [call("g")] * 10, 1.5 + 6 / 44),  # 1/11 + 3
    ],
)
def test_one_call(calls: list[str], correctness: float) -> None:
    result = tool_call_reward(THINK + block(*calls), TRUTH)
    assert result.correctness == pytest.approx(correctness, abs=1e-12)
    assert result.format == 1.0
    assert result.score == result.format + result.correctness
    assert result.exact_match is (correctness == 3.0)
    assert result.num_calls == len(calls)


def test_ten_spurious_calls_as_in_the_released_code() -> None:
    four = call("f", a=1, b=2, c=3, d=4)
    result = tool_call_reward(THINK + block(four, *[call("g")] * 10), THINK + block(four))
    assert result.score == pytest.approx(1 + 6 * (1 / 11 + 5) / 6 - 3)  # 3.09
    assert not result.exact_match
    assert not result.name_match


# Points of two calls with one parameter each: names 1, then 2 a call; correctness = 6·points/5 − 3.
@pytest.mark.parametrize(
    ("calls", "correctness", "name_match"),
    [
        ([call("f", x=1), call("f", x=2)], 3.0, True),
        ([call("f", x=2), call("f", x=1)], 3.0, True),  # the order of calls is free
        ([call("f", x=1), call("f", x=1)], 1.8, True),  # 1 + 2 + 1
        ([call("f", x=2)], 0.0, False),  # 1/2 + 2
        ([call("f", x=2), call("g", x=1)], -0.2, False),  # 1/3 + 2
        ([call("f", x=7), call("f", z=1)], -0.6, True),  # 1 + 1 + 0
    ],
)
def test_two_calls_of_one_name(calls: list[str], correctness: float, name_match: bool) -> None:
    truth = THINK + block(call("f", x=1), call("f", x=2))
    result = tool_call_reward(THINK + block(*calls), truth)
    assert result.correctness == pytest.approx(correctness, abs=1e-12)
    assert result.name_match is name_match


def test_matching_is_not_greedy() -> None:
    # Greedy gives the first ground-truth call the first answer, right in one value as is the
    # second, and the second ground-truth call nothing right.
    truth = THINK + block(call("f", x=1, y=1), call("f", x=1, y=2))
    answer = THINK + block(call("f", x=1, y=2), call("f", x=9, y=1))
    result = tool_call_reward(answer, truth)
    # 1 + (1 + 1) + (1 + 2) of 7; greedy: 1 + (1 + 1) + (1 + 0)
    assert result.correctness == pytest.approx(6 * 6 / 7 - 3)


def test_call_without_parameters() -> None:
    truth = THINK + block(call("f"))
    assert tool_call_reward(THINK + block(call("f")), truth).correctness == 3.0
    assert tool_call_reward(THINK + block(call("f", x=1)), truth).correctness == 0.0  # 1 of 2


# names 1, keys 1, values 2, as above; `unit` may be left out.
@pytest.mark.parametrize(
    ("arguments", "correctness"),
    [
        ({"city": "new york ny", "unit": "C"}, 3.0),
        ({"city": "NYC"}, 3.0),
        ({"city": "NYC", "unit": ""}, 3.0),
        ({"city": "NYC", "unit": "K"}, 1.5),  # 1 + 1 + 1
        ({"city": "Paris"}, 1.5),
        ({"city": "NYC", "date": "now"}, 2.25),  # 1 + 1/2 + 2
        ({"unit": "C"}, 0.75),  # 1 + 1/2 + 1
        ({}, 0.0),  # 1 + 0 + 1
    ],
)
def test_allowed_values(arguments: dict[str, object], correctness: float) -> None:
    allowed = {"city": ["New York, NY", "NYC"], "unit": ["", "C", "F"]}
    truth = record("calls", {"name": "weather", "parameters": allowed})
    result = tool_call_reward(THINK + block(call("weather", **arguments)), truth)
    assert result.correctness == pytest.approx(correctness, abs=1e-12)


CALLS = record("calls", {"name": "f", "parameters": {}})
HERMES = record("calls", {"name": "f", "parameters": {}}, format="chat_template")
BOTH = TRUTH + "<response>r</response>"
ONLY_RESPONSE = THINK + "<response>r</response>"
NO_CALL = record("no_call", format="chat_template")
f = block(call("f"))


@pytest.mark.parametrize(
    ("truth", "response", "format_ok"),
    [
        (TRUTH, f"{THINK}\n{f}", True),
        (TRUTH, f"\n Well: {THINK} then {f} done ", True),  # text around the parts
        (TRUTH, f"<think></think>{block('anything')}", True),  # calls are the other part's matter
        (TRUTH, f, False),  # no think
        (TRUTH, f"{f}{THINK}", False),  # order
        (TRUTH, f"t</think>{f}", False),  # ToolRL's prompt opens no think
        (TRUTH, f"{THINK}{THINK}{f}", False),  # twice
        (TRUTH, f"<think>t</think></think>{f}", False),
        (TRUTH, f"{THINK}{f}{f}", False),
        (TRUTH, f"{THINK}{f}<response>r</response>", False),  # not asked for
        (TRUTH, f"{THINK}<response>r</response>", False),
        (TRUTH, f"{THINK}<tool_call>{call('f')}", False),  # truncated
        (TRUTH, "<think>t", False),
        (TRUTH, "", False),
        (TRUTH, f"<think>not <response> but {f}</think>{f}", True),  # quoted in think
        (TRUTH, f"{THINK}{block(call('f', x='<response>'))}", True),  # quoted in an argument
        (TRUTH, f"{THINK}<tool_call>{f}", False),  # a second block opened
        (CALLS, f"{THINK}{f}", True),
        (BOTH, f"{THINK}{f}<response>r</response>", True),
        (BOTH, f"{THINK}<response>r</response>{f}", False),
        (BOTH, f"{THINK}{f}", False),
        (ONLY_RESPONSE, f"{THINK}<response>r</response>", True),
        (ONLY_RESPONSE, "<response>r</response>", False),
        (ONLY_RESPONSE, f"{THINK}<response>r</response>{f}", False),
        (record("no_call"), f"{THINK}<response>r</response>", True),
        (record("any_call"), f"{THINK}{f}", True),
        (HERMES, f, True),
        (HERMES, f"{THINK}\n\n{f}\n{f}", True),
        (HERMES, f"t</think>{f}", True),  # the prompt opened think
        (HERMES, f"I call it. {f} <response>", True),  # no tag of this syntax
        (HERMES, f"{f}{THINK}", False),
        (HERMES, f"<think>t{f}", False),
        (HERMES, f"{f}{block('anything')}", False),  # each block must hold a call
        (HERMES, "no call", False),
        (NO_CALL, "no call", True),
        (NO_CALL, f"{THINK}no call", True),
        (NO_CALL, "<think>t", False),
        (NO_CALL, f, False),
        (NO_CALL, "<tool_call>", False),
        (record("any_call", format="chat_template"), f"{f}{f}", True),
        (record("any_call", format="chat_template"), "no call", False),
    ],
)
def test_format(truth: str, response: str, format_ok: bool) -> None:
    result = tool_call_reward(response, truth)
    assert result.format_ok is format_ok
    assert result.format == float(format_ok)


@pytest.mark.parametrize(
    ("truth", "response", "correctness", "exact_match"),
    [
        (ONLY_RESPONSE, ONLY_RESPONSE, 0.0, True),  # as in the released code
        (ONLY_RESPONSE, "", 0.0, True),
        (ONLY_RESPONSE, f"<think>no {f}</think>", 0.0, True),
        (ONLY_RESPONSE, f"{ONLY_RESPONSE}{f}", -3.0, False),  # 0 in the released code
        (NO_CALL, "none", 0.0, True),
        (NO_CALL, f, -3.0, False),
        (NO_CALL, block("broken"), -3.0, False),
        (record("any_call"), f"{THINK}{f}", 3.0, True),
        (record("any_call"), f"{THINK}{f}{f}", 3.0, True),
        (record("any_call"), f"{THINK}{block(call('f'), 'broken')}", -3.0, False),
        (record("any_call"), ONLY_RESPONSE, -3.0, False),
    ],
)
def test_no_call_and_any_call(
    truth: str, response: str, correctness: float, exact_match: bool
) -> None:
    result = tool_call_reward(response, truth)
    assert result.correctness == correctness
    assert result.exact_match is exact_match
    assert result.name_match is exact_match


@pytest.mark.parametrize(
    ("step", "right", "wrong"),
    [
        # right: format max + correctness max; wrong: both minima
        (None, 4.0, -3.0),
        (0, 4.0, -4.0),
        (75, 4.0, -3.5),
        (150, 4.0, -4.0),
        (300, 4.0, -4.0),
    ],
)
def test_schedule(step: int | None, right: float, wrong: float) -> None:
    config = RewardConfig.preset("toolrl_scheduled")
    assert tool_call_reward(TRUTH, TRUTH, step, config).score == pytest.approx(right)
    assert tool_call_reward("", TRUTH, step, config).score == pytest.approx(wrong)


def argument(value: str) -> str:
    """A response whose call holds raw JSON text as the value of x."""
    return (
        f'{THINK}<tool_call>{{"name": "f", "parameters": {{"x": {value}, "y": "a"}}}}</tool_call>'
    )


MANY = 100_000


@pytest.mark.parametrize(
    ("response", "correctness"),
    [
        # values
        (argument("NaN"), -3.0),  # not JSON
        (argument("-Infinity"), -3.0),
        (argument("1e999"), 1.5),  # infinite, equal to nothing
        (argument("-1e999"), 1.5),
        (argument("1" * 5000), -3.0),  # past Python's limit of digits
        (argument("1." + "1" * MANY), 1.5),
        (argument("0, " + '"x": 1'), 3.0),  # the last of duplicate keys stands
        (argument(r'"\ud800"'), 1.5),  # lone surrogate, escaped
        (argument('"\ud800"'), 1.5),  # lone surrogate, raw
        (argument('"\x00"'), -3.0),  # control character
        (argument('"' + "a" * 10 * MANY + '"'), 1.5),
        # nesting
        (argument("[" * 200 + "]" * 200), 1.5),
        (argument("[" * MANY + "]" * MANY), -3.0),
        (argument('{"a":' * MANY + "1" + "}" * MANY), -3.0),
        (THINK + block("{" * MANY), -3.0),
        (THINK + block("[" * MANY), -3.0),
        # tags, over and over
        ("<tool_call>" * MANY, -3.0),
        ("</tool_call>" * MANY, -3.0),
        ("<tool_call></tool_call>" * MANY, -3.0),
        ("<think>" * MANY, -3.0),
        ("<think></think>" * MANY, -3.0),
        ("<" * 10 * MANY, -3.0),
        ("<tool_call" * MANY, -3.0),
        # calls, over and over: one of them is right
        (THINK + block(F, *[call("g")] * MANY), 1.5 + 6 / 4 / (MANY + 1)),
        (THINK + block(*[call("f")] * 1000, F), 1.5 + 6 / 4 / 1001),
        # a megabyte
        ("word " * 2 * MANY, -3.0),
        ("\n" * 10 * MANY, -3.0),
        ("<think>" + "word " * 2 * MANY + "</think>" + block(F), 3.0),
        (THINK + block(F + " " * 10 * MANY + F), 2.25),
        ("\x00\ud800\U0010ffff\u2028", -3.0),
    ],
    ids=lambda value: f"{value:.30}" if isinstance(value, str) else None,
)
def test_no_text_raises(response: str, correctness: float) -> None:
    assert tool_call_reward(response, TRUTH).correctness == pytest.approx(correctness, abs=1e-9)
    allowed = record("calls", {"name": "f", "parameters": {"x": [1], "y": ["a"]}})
    assert -3.0 <= tool_call_reward(response, allowed).score <= 4.0


def test_response_must_be_text() -> None:
    with pytest.raises(TypeError, match=r"response must be a string, the text .* got NoneType"):
        tool_call_reward(None, TRUTH)  # type: ignore[arg-type]


def test_result_is_a_value() -> None:
    result = tool_call_reward(TRUTH, TRUTH)
    assert result == RewardResult(4.0, 1.0, 3.0, True, True, True, 1, True, True, False, False, 0)
    assert result == pickle.loads(pickle.dumps(result))
    assert pickle.loads(pickle.dumps(tool_call_reward))(TRUTH, TRUTH) == result
    assert result.as_dict() == {
        "score": 4.0,
        "format": 1.0,
        "correctness": 3.0,
        "format_ok": 1.0,
        "name_match": 1.0,
        "exact_match": 1.0,
        "num_calls": 1.0,
        "tags_valid": 1.0,
        "calls_parse": 1.0,
        "unclosed": 0.0,
        "no_call": 0.0,
        "calls_repeated": 0.0,
    }
    assert {type(value) for value in result.as_dict().values()} == {float}


F = '{"name": "f", "parameters": {"x": 1, "y": [2]}}'
G = '{"name": "g", "parameters": {"x": 1, "y": [2]}}'
F_AGAIN = '{"name": "f", "parameters": {"y": [2], "x": 1}}'
OTHER_F = '{"name": "f", "parameters": {"x": true, "y": [2]}}'


@pytest.mark.parametrize(
    ("lines", "no_call", "repeated"),
    [
        pytest.param([F], False, 0, id="one call"),
        pytest.param([F, F_AGAIN, F], False, 2, id="the same three times, keys in any order"),
        pytest.param([F, G, OTHER_F], False, 0, id="another name, another value"),
        pytest.param(["not JSON"], False, 0, id="a call that cannot be read is begun all the same"),
        pytest.param([], True, 0, id="none"),
    ],
)
def test_calls_of_an_answer(lines: list[str], no_call: bool, repeated: int) -> None:
    answer = "\n".join(["<tool_call>", *lines, "</tool_call>"]) if lines else "Nothing to do."
    result = tool_call_reward(answer, TRUTH)
    assert (result.no_call, result.calls_repeated) == (no_call, repeated)


def test_compute_score() -> None:
    expected = tool_call_reward(THINK, TRUTH).as_dict()
    row = {"index": 0, "num_turns": None, "rollout_reward_scores": {}}
    verl = {"data_source": "rlla", "solution_str": THINK, "ground_truth": TRUTH, "extra_info": row}
    assert compute_score(**verl) == expected
    assert (
        compute_score(**verl, reward_router_address=None, reward_model_tokenizer=None) == expected
    )
    assert compute_score(**verl, preset="toolrl_scheduled", step=0)["score"] == -4.0
    with pytest.raises(ValueError, match="known: toolrl, toolrl_scheduled"):
        compute_score(**verl, preset="other")
    assert not inspect.iscoroutinefunction(compute_score)


def test_no_heavy_imports() -> None:
    # Scoring happens in many worker processes, and must not need verl at all.
    code = (
        "import sys, rest_verl.rewards; "
        "print(sorted({'verl', 'torch', 'transformers', 'ray'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
