"""The agent loop `rest_tool_env` outside a run of verl's: for evaluations and for replays."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from omegaconf import OmegaConf

from rest_verl.integration.agent_loops.options import ToolEnvironmentOptions
from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop

Loop = TypeVar("Loop", bound=ToolEnvironmentLoop)


def standalone_loop(
    kind: type[Loop],
    *,
    server: Any,
    tokenizer: Any,
    model_type: str,
    model: str,
    options: ToolEnvironmentOptions,
    syntax: str,
    chat_template_kwargs: Mapping[str, Any],
    prompt_length: int = 0,
    response_length: int = 0,
    max_model_len: int | None = None,
) -> Loop:
    """A loop that asks `server` for messages, as it would verl's; to be made within an event loop.

    Args:
        model_type: of the model's configuration.
        model: its folder.
        syntax: how the model writes calls, or `auto`.

    Raises:
        ValueError: a tool parser that verl does not have, or a chat template that can append
            neither tool nor user messages.
    """
    custom = {"rest_tool_env": {**vars(options), "task": dict(options.task)}}
    rollout = {
        "prompt_length": prompt_length,
        "response_length": response_length,
        "max_model_len": max_model_len,
        "custom": custom,
    }
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"model": {"path": model}, "rollout": rollout},
            "algorithm": {"rest": {"syntax": syntax}},
            "data": {"apply_chat_template_kwargs": dict(chat_template_kwargs)},
        }
    )
    return kind(
        trainer_config=SimpleNamespace(config=config),
        server_manager=server,
        tokenizer=tokenizer,
        processor=None,
        dataset_cls=None,
        data_config=SimpleNamespace(config=config.data),
        hf_model_type=model_type,
    )
