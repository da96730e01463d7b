"""Rows for any registered environment: layout, prompts in the three styles, refusals."""

import json
from typing import Any

import pytest
from dialogue_samples import WEATHER

from rest_verl.data import environment_row
from rest_verl.environments.base import register_environment


@register_environment("row_test")
class Echo:
    """Offers one tool and says what its task says."""

    def __init__(self, task: dict[str, Any]) -> None:
        if "question" not in task:
            raise ValueError("no question")
        self.task = task
        self.tools = [WEATHER]

    def user_message(self, turn: int) -> str | None:
        return self.task.pop("question")  # a row must not depend on what its own reading changes


def row(task: dict[str, Any], style: str, name: str = "row_test") -> dict[str, Any]:
    return environment_row(
        name, task, style, index=3, id="t1", category="echo", split="train", version="v1",
        data_source="own/echo",
    )  # fmt: skip


def test_compact_row() -> None:
    task = {"question": "Naïve?", "stock": [1]}
    assert row(task, "compact") == {
        "agent_name": "rest_tool_env",
        "data_source": "own/echo",
        "prompt": [
            {"role": "system", "content": "Tools:\nweather(city: str, days?: int)"},
            {"role": "user", "content": "Naïve?"},
        ],
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": ""},
        "extra_info": {
            "index": 3,
            "id": "t1",
            "category": "echo",
            "split": "train",
            "version": "v1",
            "tools": "",
            "syntax": "toolrl",
            "environment": "row_test",
            "task": '{"question": "Naïve?", "stock": [1]}',
            "prompt_style": "compact",
        },
    }
    assert task == {"question": "Naïve?", "stock": [1]}


def test_chat_template_row() -> None:
    made = row({"question": "Hi"}, "chat_template")
    assert made["prompt"] == [{"role": "user", "content": "Hi"}]
    assert json.loads(made["extra_info"]["tools"]) == [WEATHER]
    assert made["extra_info"]["syntax"] == ""  # the model's own


def test_toolrl_row_speaks_of_messages_and_not_of_records() -> None:
    system, user = row({"question": "Hi"}, "toolrl")["prompt"]
    assert user == {"role": "user", "content": "Hi"}
    assert "in your answer:\n1. Name: weather\nDescription: Current weather.\n" in system["content"]
    assert "<obs>" not in system["content"]
    assert system["content"].endswith(
        "3. What the tools return is the next message; then go on. A message without "
        "`<tool_call>` ends your turn, and the user may answer."
    )


@pytest.mark.parametrize(
    ("task", "style", "name", "message"),
    [
        ({"question": "Hi"}, "compact", "row_test_absent", "unknown environment"),
        ({"question": "Hi"}, "xml", "row_test", "unknown prompt style 'xml'"),
        ({}, "compact", "row_test", "no question"),
        ({"question": None}, "compact", "row_test", "t1: .*'row_test' has no user message"),
        ({"question": {1}}, "compact", "row_test", "t1: JSON cannot hold the task"),
        ({"question": "", "x": float("nan")}, "compact", "row_test", "t1: JSON cannot hold"),
    ],
    ids=["unknown environment", "style", "refused task", "nothing said", "a set", "NaN"],
)
def test_refused(task: dict[str, Any], style: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row(task, style, name)


def test_a_name_and_a_task_will_do() -> None:
    made = environment_row("row_test", {"question": "Hi"}, index=4)
    assert made["data_source"] == "row_test"
    info = made["extra_info"]
    assert (info["id"], info["category"], info["split"]) == ("row_test_4", "row_test", "train")
    assert info["prompt_style"] == "chat_template"
    assert environment_row("row_test", {"question": "Hi"}, category="c")["data_source"] == "c"
