"""Options of the agent loop: where they are read, and what is refused."""

import subprocess
import sys
from typing import Any

import pytest
from omegaconf import OmegaConf

from rest_verl.integration.agent_loops.options import (
    ToolEnvironmentOptions,
    tool_environment_options,
)


def config(options: Any) -> dict[str, Any]:
    return {"actor_rollout_ref": {"rollout": {"custom": {"rest_tool_env": options}}}}


@pytest.mark.parametrize(
    "empty",
    [
        {},
        {"actor_rollout_ref": {"rollout": {}}},
        {"actor_rollout_ref": {"rollout": {"custom": None}}},
        config(None),
        config({}),
    ],
)
@pytest.mark.parametrize("make", [dict, OmegaConf.create])
def test_defaults(empty: dict[str, Any], make: Any) -> None:
    assert tool_environment_options(make(empty)) == ToolEnvironmentOptions(
        max_steps_per_turn=20,
        max_turns=None,
        max_invalid_calls=None,
        max_observation_tokens=512,
        call_timeout=10.0,
        parser="rest",
        reward="score",
        call_share=0.5,
        task={},
    )


@pytest.mark.parametrize("make", [dict, OmegaConf.create])
def test_values(make: Any) -> None:
    given = {"max_turns": 3, "call_timeout": 1, "reward": "dense", "task": {"judge": [True]}}
    options = tool_environment_options(make(config(given)))
    assert (options.max_turns, options.call_timeout, options.reward) == (3, 1, "dense")
    assert options.task == {"judge": [True]}
    assert type(options.task["judge"]) is list


def test_interpolations_are_resolved() -> None:
    composed = OmegaConf.create({**config({"max_turns": "${turns}"}), "turns": 4})
    assert tool_environment_options(composed).max_turns == 4


PATH = "actor_rollout_ref.rollout.custom.rest_tool_env"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_step": 3}, f"unknown option {PATH}.max_step; known: max_steps_per_turn, max_turns"),
        ({"max_steps_per_turn": 0}, f"{PATH}.max_steps_per_turn must be a whole number above 0"),
        ({"max_steps_per_turn": None}, "max_steps_per_turn must be .* above 0, got None"),
        ({"max_steps_per_turn": True}, "max_steps_per_turn"),
        ({"max_turns": 1.5}, "max_turns must be a whole number above 0 or null"),
        ({"max_invalid_calls": 0}, "max_invalid_calls must be a whole number above 0 or null"),
        ({"max_observation_tokens": "512"}, "max_observation_tokens"),
        ({"call_timeout": 0}, "call_timeout must be finite and above 0"),
        ({"call_timeout": float("inf")}, "call_timeout must be finite"),
        ({"call_timeout": float("nan")}, "call_timeout must be finite"),
        ({"call_timeout": "10s"}, "call_timeout must be a number"),
        ({"call_share": 1.1}, r"call_share must lie in \[0, 1\]"),
        ({"call_share": True}, "call_share must be a number"),
        ({"parser": ""}, "parser"),
        ({"parser": None}, "parser"),
        ({"reward": "sparse"}, "reward must be one of score, dense, got 'sparse'"),
        ({"task": "judge"}, "task must be a mapping"),
        ([], "must be a mapping of options"),
        ("dense", "must be a mapping of options"),
    ],
)
def test_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tool_environment_options(config(given))


def test_verl_is_not_needed() -> None:
    code = "import sys, rest_verl.integration.agent_loops.options; print('verl' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
