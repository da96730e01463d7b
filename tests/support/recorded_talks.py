"""Conversations of a scripted policy with real environments, through verl's real agent loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from omegaconf import OmegaConf
from recorded_dumps import queue_row
from templates import Model

from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop

STEP = 5


class Policy:
    """Says the messages in order, each with the token that ends it; bytes are cut off there."""

    def __init__(self, model: Model, messages: Iterable[str | bytes]) -> None:
        self._encode = model.tokenizer.encode
        self._end = self._encode(model.end)
        self._messages = iter(messages)

    async def generate(self, sampling_params: dict[str, Any], **_: Any) -> Any:
        said = next(self._messages)
        is_whole = isinstance(said, str)
        text = said if isinstance(said, str) else said.decode()
        ids = [*self._encode(text, add_special_tokens=False), *(self._end if is_whole else [])]
        return SimpleNamespace(
            token_ids=ids[: sampling_params["max_tokens"]],
            log_probs=None,
            num_preempted=None,
            routed_experts=None,
            extra_fields={"min_global_steps": STEP - 1, "max_global_steps": STEP - 1},
            stop_reason="completed" if is_whole else "aborted",
        )


def talk(
    model: Model,
    row: dict[str, Any],
    messages: Iterable[str | bytes],
    options: dict[str, Any] | None = None,
    *,
    response_length: int = 4096,
    prompt_length: int = 4096,
) -> dict[str, Any]:
    """The queue's fields of one conversation about a row of a data set."""
    rollout = {"prompt_length": prompt_length, "response_length": response_length}
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"rollout": {**rollout, "custom": {"rest_tool_env": options}}},
            "data": {"apply_chat_template_kwargs": {}},
        }
    )
    columns = {**row, "raw_prompt": row["prompt"], "global_steps": STEP}

    async def run() -> Any:
        loop = ToolEnvironmentLoop(
            trainer_config=SimpleNamespace(config=config),
            server_manager=Policy(model, messages),
            tokenizer=model.tokenizer,
            processor=None,
            dataset_cls=None,
            data_config=SimpleNamespace(config=config.data),
            hf_model_type=model.model_type,
        )
        return await loop.run({}, **columns)

    output = asyncio.run(run())
    return queue_row(
        list(output.prompt_ids),
        list(output.response_ids),
        output.reward_score,
        mask=list(output.response_mask),
        parts=output.extra_fields["reward_extra_info"],
        raw_prompt=row["prompt"],
        extra_info=row["extra_info"],
        reward_model=row["reward_model"],
        global_steps=STEP,
    )


def call(name: str, **parameters: Any) -> str:
    """A message with one call in ToolRL's format."""
    return f"<tool_call>\n{json.dumps({'name': name, 'parameters': parameters})}\n</tool_call>"
