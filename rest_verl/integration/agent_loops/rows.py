"""The row of a data set that a rollout starts from, and the environment it names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rest_verl.environments.base import ToolEnvironment, make_environment
from rest_verl.prompts.styles import PromptStyle, check_style


class EnvironmentFailed(RuntimeError):
    """An environment's own code raised, other than in a call; names row and environment."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What `rest_tool_env` reads of a row, from its `extra_info`."""

    name: str
    environment: str
    task: dict[str, Any]
    tools: list[dict[str, Any]] | None
    """For the chat template; None where the prompt shows them."""
    style: PromptStyle
    """How tools that appear later are described."""

    @classmethod
    def from_extra_info(cls, extra_info: Mapping[str, Any] | None) -> Row:
        """Reads `environment`, `task` (JSON), `tools` (JSON or empty) and `prompt_style`.

        Raises:
            ValueError: the row lacks the environment or the task, or a part cannot be read.
        """
        info = extra_info or {}
        name = str(info.get("id") or f"with index {info.get('index')}")
        for key in ("environment", "task"):
            if not isinstance(info.get(key), str) or not info[key]:
                raise ValueError(
                    f"row {name}: the agent loop rest_tool_env needs a string extra_info.{key}, "
                    f"got {info.get(key)!r}. Write the name of a registered environment and the "
                    "task as JSON, or give the row another agent_name"
                )
        try:
            style = check_style(info.get("prompt_style") or "chat_template")
        except ValueError as error:
            raise ValueError(f"row {name}: {error}") from error
        return cls(
            name=name,
            environment=info["environment"],
            task=_read_json(name, "task", info["task"], dict),
            tools=_read_json(name, "tools", info["tools"], list) if info.get("tools") else None,
            style=style,
        )

    def make_environment(self, changes: Mapping[str, Any]) -> ToolEnvironment:
        """A fresh environment for the row's task, with `changes` made to its keys.

        Raises:
            ValueError: the environment is unknown.
            EnvironmentFailed: it cannot be made of this task.
        """
        task = {**self.task, **changes}
        try:
            return make_environment(self.environment, task)
        except ValueError as error:
            raise ValueError(f"row {self.name}: {error}") from error
        except Exception as error:
            raise self._failure("making", error) from error

    @contextmanager
    def in_environment(self, what: str) -> Iterator[None]:
        """Whatever the environment's own code raises within, the error names the row and `what`."""
        try:
            yield
        except Exception as error:
            raise self._failure(what, error) from error

    def _failure(self, what: str, error: Exception) -> EnvironmentFailed:
        return EnvironmentFailed(
            f"row {self.name}: {what} in environment {self.environment!r} failed: "
            f"{type(error).__name__}: {error}"
        )


def _read_json(row: str, key: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"row {row}: extra_info.{key} is not JSON: {error}") from error
    if not isinstance(value, kind):
        raise ValueError(f"row {row}: extra_info.{key} must be a JSON {kind.__name__}")
    return value
