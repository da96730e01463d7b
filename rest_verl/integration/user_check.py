"""Could the users who react reply? Asked before a run or an evaluation starts anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig

from rest_verl.environments.base import talk_of
from rest_verl.environments.users import CanBeChecked
from rest_verl.integration.agent_loops.options import tool_environment_options
from rest_verl.integration.agent_loops.rows import EnvironmentFailed, Row
from rest_verl.integration.row_checks import environment_rows


def check_users(rows: Iterable[Row], changes: Mapping[str, Any]) -> None:
    """Asks the user of the first row of each environment.

    Args:
        rows: of registered environments.
        changes: to their tasks (`ToolEnvironmentOptions.task`).

    Raises:
        ValueError: such a user could not reply; names the row.
    """
    first = {row.environment: row for row in reversed(list(rows))}
    for row in first.values():
        talk = talk_of(row.make_environment(changes))
        if talk is None or not isinstance(talk.user, CanBeChecked):
            continue
        try:
            talk.user.check()
        except ValueError as error:
            raise ValueError(f"row {row.name}: {error}") from error


def users_answer(config: DictConfig) -> str | None:
    """Could the users in the first rows of the run's files reply? A check of `run_checks`, at the
    start only: a dry run may come before their servers."""
    rows = [Row.from_extra_info(row["extra_info"]) for _, row in environment_rows(config)]
    try:
        check_users(rows, tool_environment_options(config).task)
    except (ValueError, EnvironmentFailed) as error:
        return str(error)
    return None
