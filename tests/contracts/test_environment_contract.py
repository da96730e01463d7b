"""Every environment that rest_verl brings keeps the ToolEnvironment protocol of its host."""

import asyncio
import copy
import importlib
import importlib.util
import inspect
import json
from dataclasses import dataclass
from typing import Any

import pytest
from bfcl_record import ADD, LS, MKDIR, MV, record

import recipes.own_tools.shop  # noqa: F401 (registers the environment `shop`)
from rest_verl.environments.base import (
    RewardsTurns,
    ToolEnvironment,
    Verdict,
    dense_score,
    make_environment,
    verdict_reward,
)
from rest_verl.environments.execution import run_call

ODD = [None, True, -1, 1e300, "", "\ud800", [], [[]], {}, {"": None}]


@dataclass(frozen=True)
class Example:
    """A task, the calls of each of its turns that are right, and one call that does no harm."""

    name: str
    task: dict[str, Any]
    right: list[list[tuple[str, dict[str, Any]]]]
    harmless: tuple[str, dict[str, Any]]
    never_raises: bool
    """The environment itself; what another one raises, the host turns into an observation."""


SHOP = Example(
    name="shop",
    task={
        "stock": {"tea": 3},
        "turns": [
            {"user": "How much tea?", "counted": ["tea"], "orders": {}},
            {"user": "Two, please.", "counted": [], "orders": {"tea": 2}},
        ],
    },
    right=[[("count", {"item": "tea"})], [("order", {"item": "tea", "quantity": 2})]],
    harmless=("cancel", {"item": "tea"}),
    never_raises=False,
)
BFCL = Example(
    name="bfcl", task=record(), right=[[MKDIR, MV], [], [ADD]], harmless=LS, never_raises=True
)


@pytest.fixture(params=[SHOP, BFCL], ids=lambda example: example.name)
def example(request):
    if request.param is BFCL:
        for package in ("verl", "bfcl_eval", "mpmath"):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{package} is not installed")
        importlib.import_module("rest_verl.plugin")
        # With verl's module of agent loops come the environments of rest_verl.
        importlib.import_module("verl.experimental.agent_loop.agent_loop")
    return request.param


def make(example) -> ToolEnvironment:
    return make_environment(example.name, example.task)


def play(environment, turns) -> None:
    for calls in turns:
        for name, arguments in calls:
            environment.call(name, copy.deepcopy(arguments))
        environment.end_turn()


def test_it_has_what_the_host_calls(example):
    environment = make(example)
    for name, promised in vars(ToolEnvironment).items():
        if inspect.isfunction(promised) and not name.startswith("_"):
            parameters = list(inspect.signature(promised).parameters)
            ours = inspect.signature(getattr(type(environment), name)).parameters
            assert list(ours) == parameters, name
    assert isinstance(environment.tools, list)


def test_tools_are_in_openais_layout(example):
    tools = make(example).tools
    assert tools
    for tool in json.loads(json.dumps(tools)):
        assert tool["type"] == "function"
        function = tool["function"]
        assert isinstance(function["name"], str)
        assert isinstance(function["description"], str)
        schema = function["parameters"]
        assert schema["type"] == "object"
        assert set(schema.get("required", [])) <= set(schema["properties"])
    assert len({tool["function"]["name"] for tool in tools}) == len(tools)


def test_tools_fit_verls_schema(example):
    """Some of verl's tool parsers go by the types of the tools."""
    schemas = pytest.importorskip("verl.tools.schemas", reason="verl is not installed")
    for tool in make(example).tools:
        read = schemas.OpenAIFunctionToolSchema.model_validate(tool)
        given = tool["function"]["parameters"]["properties"]
        assert {name: p.type for name, p in read.function.parameters.properties.items()} == {
            name: p["type"] for name, p in given.items()
        }


def test_the_user_speaks_once_a_turn_and_then_no_more(example):
    environment = make(example)
    for turn in range(len(example.right)):
        message = environment.user_message(turn)
        assert isinstance(message, str)
        assert message
        play(environment, [example.right[turn]])
    assert environment.user_message(len(example.right)) is None


def judged(environment, num_turns) -> tuple[list[Verdict], float]:
    outcome, score = environment.outcome(), environment.score()
    assert len(outcome) == num_turns  # also of turns that were not reached
    for verdict in outcome:
        assert isinstance(verdict, Verdict)
        assert isinstance(verdict.right, bool)
        assert 0 <= verdict.right_calls <= 1
        assert isinstance(verdict.reason, str)
    assert isinstance(score, float)
    assert 0 <= score <= 1
    assert 0 <= dense_score(outcome, 0.5) <= 1
    return outcome, score


def test_one_is_best_and_every_moment_has_a_verdict(example):
    environment, num_turns = make(example), len(example.right)
    for turn, calls in enumerate(example.right):
        outcome, score = judged(environment, num_turns)
        assert score < 1
        assert [verdict.right for verdict in outcome[turn:]] == [False] * (num_turns - turn)
        play(environment, [calls])
    outcome, score = judged(environment, num_turns)
    assert score == 1
    assert all(verdict.right for verdict in outcome)


def turn_rewards(environment) -> list[float]:
    assert isinstance(environment, RewardsTurns)
    given = environment.turn_rewards()
    assert len(given) == len(environment.outcome())
    values = [verdict_reward(x, 0.5) if isinstance(x, Verdict) else x for x in given]
    assert all(0 <= value <= 1 for value in values)
    return values


def test_a_turn_earns_most_where_it_is_right(example):
    environment, num_turns = make(example), len(example.right)
    for turn, calls in enumerate(example.right):
        assert turn_rewards(environment) == [1.0] * turn + [0.0] * (num_turns - turn)
        play(environment, [calls])
    assert turn_rewards(environment) == [1.0] * num_turns
    silent = make(example)
    play(silent, [[] for _ in example.right])
    for reward, verdict in zip(turn_rewards(silent), silent.outcome(), strict=True):
        assert (reward == 1) is verdict.right


def test_silence_does_not_win(example):
    environment = make(example)
    play(environment, [[] for _ in example.right])
    outcome, score = judged(environment, len(example.right))
    assert score < 1
    assert not all(verdict.right for verdict in outcome)


def odd_calls(environment):
    for tool in environment.tools:
        name = tool["function"]["name"]
        parameters = tool["function"]["parameters"]["properties"]
        yield name, {}
        yield name, {"no such parameter": 1}
        for value in ODD:
            yield name, dict.fromkeys(parameters, value)
    yield from (("no such tool", {}), ("", {}), ("__init__", {"task": {}}), ("\ud800", {"x": 1}))


def test_odd_calls_are_answered(example):
    environment = make(example)
    for name, arguments in odd_calls(environment):
        if example.never_raises:
            assert isinstance(environment.call(name, copy.deepcopy(arguments)), str)
        given = copy.deepcopy(arguments)
        observation = asyncio.run(run_call(environment.call, name, given, limit=60.0))
        assert isinstance(observation.text, str)
        observation.text.encode()
        assert given == arguments
    assert isinstance(environment.call(*example.harmless), str)  # it bears that
    environment.end_turn()
    judged(environment, len(example.right))


def test_rollouts_share_nothing(example):
    task = copy.deepcopy(example.task)
    one, other = make(example), make(example)
    play(one, example.right)
    assert example.task == task
    play(other, example.right)
    assert one.score() == other.score() == 1
    assert make(example).score() < 1
