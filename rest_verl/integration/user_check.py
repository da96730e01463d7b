"""Could the users who react reply? Asked before a run or an evaluation starts anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rest_verl.environments.base import talk_of
from rest_verl.environments.users import CanBeChecked
from rest_verl.integration.agent_loops.rows import Row


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
