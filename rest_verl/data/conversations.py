"""A task of any registered tool environment as a row that verl's agent loop can run."""

import json
from collections.abc import Mapping
from typing import Any

from rest_verl.environments.base import make_environment
from rest_verl.prompts.styles import PromptStyle, asked_syntax, check_style
from rest_verl.prompts.system import system_message

ENVIRONMENT_AGENT = "rest_tool_env"
"""The agent loop that drives environments."""


def environment_row(
    name: str,
    task: Mapping[str, Any],
    style: PromptStyle = "chat_template",
    *,
    index: int = 0,
    id: str | None = None,
    category: str | None = None,
    split: str = "train",
    version: str = "",
    data_source: str | None = None,
) -> dict[str, Any]:
    """The row of one task; its prompt shows the tools offered at the start and turn 0.

    The reward comes from the environment, so the ground truth is empty. `extra_info.task` is the
    task in JSON, `extra_info.tools` as in `rest_verl.data.prompts.verl_row`.

    Args:
        name: what the environment is registered as; its module must have been imported.
        task: what the environment is made of; JSON throughout.
        style: how the tools are shown; `chat_template` leaves that to the model's own.
        id: the row's name, in messages and results; by default the environment's and `index`.
        category: what evaluations tell apart; by default the environment's name.
        version: of the data.
        data_source: what verl's validation tells apart; by default the category.

    Raises:
        ValueError: an unknown environment or style, a task that its environment refuses, that JSON
            cannot hold, or in which the user says nothing.
    """
    check_style(style)
    id = f"{name}_{index}" if id is None else id
    category = name if category is None else category
    try:
        task_json = json.dumps(task, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{id}: JSON cannot hold the task: {error}") from None
    environment = make_environment(name, json.loads(task_json))
    question = environment.user_message(0)
    if question is None:
        raise ValueError(f"{id}: the environment {name!r} has no user message at turn 0")
    prompt = [{"role": "user", "content": question}]
    tools = environment.tools
    if style != "chat_template":
        system = system_message(tools, style, live=True)
        prompt.insert(0, {"role": "system", "content": system})
    return {
        "agent_name": ENVIRONMENT_AGENT,
        "data_source": category if data_source is None else data_source,
        "prompt": prompt,
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": ""},
        "extra_info": {
            "index": index,
            "id": id,
            "category": category,
            "split": split,
            "version": version,
            "tools": json.dumps(tools, ensure_ascii=False) if style == "chat_template" else "",
            "environment": name,
            "task": task_json,
            "syntax": asked_syntax(style),
            "prompt_style": style,
        },
    }
