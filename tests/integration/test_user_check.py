"""Users who could not reply stop a run before Ray starts; other rows and users are let through."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="the checks of a run's rows")
from chat_server import ChatServer, serving
from omegaconf import DictConfig, OmegaConf

import recipes.own_tools.shop  # noqa: F401 (registers the environment `shop`)
from recipes.own_tools.customer import CustomerVisit, visits
from rest_verl.data import environment_row
from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset
from rest_verl.environments.base import register_environment
from rest_verl.environments.served_user import ServedUser
from rest_verl.environments.users import Talk
from rest_verl.integration.run_checks import AT_START, CHECKS
from rest_verl.integration.user_check import users_answer

VISIT = next(iter(visits().values()))
SHOP = {"stock": {"tea": 3}, "turns": [{"user": "Tea?", "counted": ["tea"], "orders": {}}]}


@register_environment("customer of a server")
class OfServer(CustomerVisit):
    """Its user is a served model."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__(task)
        self.talk = Talk(ServedUser(instructions="Buy.", model="customer", **task["server"]))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as chat:
        yield chat


def run_on(
    folder: Path, chat: ChatServer, *, loop: str = "rest_tool_env", **task: Any
) -> DictConfig:
    """The configuration of a run whose rows have a user at the server."""
    served = {**VISIT, "server": {"base_url": chat.base_url}}
    rows = [
        environment_row("shop", SHOP),
        environment_row("shop_customer", VISIT),
        environment_row("customer of a server", served),
    ]
    rows = [{**row, "agent_name": loop} for row in rows]
    write_dataset(folder, {"train": rows}, ENVIRONMENT_EXTRA_INFO, {})
    rollout = {"agent": {}, "custom": {"rest_tool_env": {"task": task}}}
    return OmegaConf.create(
        {
            "data": {"train_files": str(folder / "train.parquet")},
            "actor_rollout_ref": {"rollout": rollout},
        }
    )


def test_it_is_asked_at_the_start_and_not_by_a_dry_run() -> None:
    assert users_answer in AT_START
    assert users_answer not in CHECKS


def test_a_user_who_is_there(tmp_path: Path, server: ChatServer) -> None:
    assert users_answer(run_on(tmp_path, server)) is None


def test_a_user_who_is_not_there(tmp_path: Path, server: ChatServer) -> None:
    server.models = (503, b"starting")
    message = users_answer(run_on(tmp_path, server))
    assert message is not None
    assert message.startswith("row customer of a server_0: the user's model customer at http://")
    assert "status 503: starting; start its server, or correct" in message


def test_the_option_for_all_tasks_counts(tmp_path: Path, server: ChatServer) -> None:
    config = run_on(tmp_path, server, server={"base_url": "http://127.0.0.1:1/v1"})
    assert "at http://127.0.0.1:1/v1 does not answer: ConnectError" in (users_answer(config) or "")


def test_rows_of_another_loop_are_its_own_matter(tmp_path: Path, server: ChatServer) -> None:
    server.models = (503, b"starting")
    assert users_answer(run_on(tmp_path, server, loop="mine")) is None
