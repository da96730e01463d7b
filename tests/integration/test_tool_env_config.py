"""`+tool_env=<name>` composes on verl's own config and spells out every option."""

from dataclasses import fields

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from rest_verl.integration.agent_loops.options import (
    ToolEnvironmentOptions,
    tool_environment_options,
)
from rest_verl.integration.checks import ReSTConfigError, check_arguments, check_config


@pytest.fixture
def composed():
    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        yield lambda *more, name="bfcl": compose(
            "ppo_trainer", overrides=["+rest=paper", f"+tool_env={name}", *more]
        )
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("name", ["bfcl", "default"])
def test_every_option_is_spelt_out(composed, name) -> None:
    rollout = composed(name=name).actor_rollout_ref.rollout
    given = set(rollout.custom.rest_tool_env)
    assert given == {field.name for field in fields(ToolEnvironmentOptions)}
    assert rollout.agent.default_agent_loop == "rest_tool_env"


def test_the_default_is_the_options_own(composed) -> None:
    assert tool_environment_options(composed(name="default")) == ToolEnvironmentOptions()


def test_options_can_be_overridden(composed) -> None:
    path = "actor_rollout_ref.rollout.custom.rest_tool_env"
    config = composed(f"{path}.reward=score", f"+{path}.task.judge_empty_turns=True")
    options = tool_environment_options(config)
    assert options.reward == "score"
    assert options.task == {"judge_empty_turns": True}
    check_config(config)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_step=3", "unknown option .*max_step; known: max_steps_per_turn"),
        ("reward=sparse", "reward must be one of score, dense"),
        ("max_steps_per_turn=0", "max_steps_per_turn must be a whole number above 0"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(composed, override, message) -> None:
    path = "actor_rollout_ref.rollout.custom.rest_tool_env"
    with pytest.raises(ReSTConfigError, match=message):
        check_config(composed(f"++{path}.{override}"))
    # Without "+" Hydra itself would refuse an unknown key, with advice that does not help.
    with pytest.raises(ReSTConfigError, match=message):
        check_arguments([f"{path}.{override}", "trainer.v1.trainer_mode=rest_sync"])


def test_a_parser_that_verl_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "actor_rollout_ref.rollout.custom.rest_tool_env"
    options = OmegaConf.from_dotlist([f"{path}.parser=qwen3_codr"])
    monkeypatch.delenv("VERL_USE_EXTERNAL_MODULES", raising=False)
    with pytest.raises(ValueError, match="no such tool parser; did you mean qwen3_coder"):
        tool_environment_options(options)
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "mine")  # it may register one
    assert tool_environment_options(options).parser == "qwen3_codr"
