"""An evaluation holds the conversation that training would, the user's part included."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="its agent loop")
from chat_server import ChatServer, completion, serving
from recorded_talks import talk
from stand_in import StandIn, call_text, save_model
from templates import Model, get_model

from recipes.own_tools.customer import CustomerVisit
from rest_verl.data import environment_row
from rest_verl.environments.base import register_environment
from rest_verl.environments.served_user import END, ServedUser
from rest_verl.environments.users import Talk
from rest_verl.evaluation.conversations import Chat, Task
from rest_verl.evaluation.environments.playing import PARTS, Player
from rest_verl.evaluation.environments.rows import environment_rows
from rest_verl.evaluation.generation import GenerationOptions
from rest_verl.integration.agent_loops.options import ToolEnvironmentOptions
from rest_verl.integration.message_reader import MessageReader
from rest_verl.integration.token_builder import token_builder
from rest_verl.integration.user_check import check_users
from rest_verl.syntax import get_syntax

MESSAGES = [
    "<think>\nonly 3\n</think>\n\nHow many?",
    call_text("count", item="lamp"),
    "There are only 3.",
    "<tool_call>\n{",  # cannot be read: answered with an error, in both
    call_text("order", item="lamp", quantity=3),
    "Ordered.",
]
REPLIES = [completion("Four, please."), completion("Then three."), completion(f"Bye. {END}")]


@register_environment("served customer")
class ServedCustomer(CustomerVisit):
    """The customer, played by a served model."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__({**task, "rules": []})
        self.talk = Talk(ServedUser(instructions="You want four lamps.", **task["server"]))


def row_for(server: ChatServer) -> dict[str, Any]:
    task = {
        "stock": {"lamp": 3},
        "opening": "Some lamps.",
        "orders": {"lamp": 3},
        "told": ["only 3"],
        "server": {"base_url": server.base_url, "model": "customer", "seed": 1, "retries": 0},
    }
    return environment_row("served customer", task)


def evaluated(model: Model, row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The record of the evaluation, whose model says the messages in order."""
    engine = StandIn(model, lambda prompt, seed: MESSAGES[len(engine.prompts)], max_length=4096)
    builder = token_builder(save_model(folder, model), {})
    reader = MessageReader(builder.tokenizer, get_syntax("hermes"))
    chat = Chat(engine, builder, GenerationOptions(), reader)
    player = Player(folder, ToolEnvironmentOptions())

    async def play(chat: Chat, name: str, sample: int) -> dict[str, Any]:
        return await player.play(row, chat, name, sample)

    task = Task(id="row", category="c", messages=row["prompt"], play=play)
    return asyncio.run(chat.record(task, 0))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("name", ["qwen3", "hermes"])
def test_training_and_evaluation_hold_the_same_conversation(name: str, tmp_path: Path) -> None:
    model = get_model(name)
    with serving(*REPLIES, *REPLIES) as server:
        row = row_for(server)
        held = talk(model, row, MESSAGES)
        record = evaluated(model, row, tmp_path / "model")
        trained, asked = server.requests[:3], server.requests[3:]
    assert trained == asked
    assert trained[-1]["messages"][-1] == {"role": "user", "content": "Ordered."}
    numbers = held["extra_fields"]["reward_extra_info"]
    assert {part: record[part] for part in PARTS} == {part: numbers[part] for part in PARTS}
    assert record["official"] == 1
    assert record["output_tokens"] == int(held["response_mask"].sum())
    whole = model.tokenizer.decode(held["responses"])
    for message in record["text"]:
        assert message["content"] in whole
    users = [message["content"] for message in record["text"] if message["role"] == "user"]
    assert users == ["Four, please.", "Then three."]


def test_a_server_that_is_gone_ends_the_evaluation_with_its_name(tmp_path: Path) -> None:
    with serving(*REPLIES[:1]) as server:
        server.answers.append((404, b"gone"))
        where = rf"row served customer_0: user_message\(2\) .* at {server.base_url}"
        with pytest.raises(ValueError, match=f"{where} does not answer: status 404: gone"):
            evaluated(get_model("qwen3"), row_for(server), tmp_path / "model")


def test_a_user_who_could_not_reply_is_found_before_anything_starts(tmp_path: Path) -> None:
    from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset

    with serving() as server:
        row = row_for(server)
        write_dataset(tmp_path, {"validation": [row]}, ENVIRONMENT_EXTRA_INFO, {})
        files = [tmp_path / "validation.parquet"]
        player = Player(tmp_path, ToolEnvironmentOptions())
        (task,) = environment_rows(files, player, None).tasks
        assert task.id == "served customer_0"
        elsewhere = {**json.loads(row["extra_info"]["task"])["server"], "model": "absent"}
        changed = Player(tmp_path, ToolEnvironmentOptions(task={"server": elsewhere}))
        with pytest.raises(ValueError, match=r"row served customer_0: .*has no such model, but"):
            environment_rows(files, changed, None)
    with pytest.raises(ValueError, match="row served customer_0: the user's model customer at"):
        environment_rows(files, player, None)
    assert server.requests == []
    check_users([], {})
