"""The multi-turn recipes' tasks: their own right calls earn the maximum, and they can be told."""

import json

import pytest

from recipes.own_tools.conversations import shop_conversations
from recipes.own_tools.shop import Shop
from recipes.tiny_multi_turn.conversations import bfcl_conversations
from recipes.tiny_multi_turn.prepare import STYLES, whole
from recipes.tiny_multi_turn.summarize import longest_conversation, summarise
from rest_verl.data import environment_row
from rest_verl.environments.base import make_environment
from rest_verl.syntax import get_syntax

TASK = {
    "stock": {"lamp": 3},
    "turns": [
        {"user": "How many of lamp do you have?", "counted": ["lamp"], "orders": {}},
        {"user": "I take 2 of lamp.", "counted": [], "orders": {"lamp": 2}},
        {"user": "No lamp after all.", "counted": [], "cancelled": ["lamp"], "orders": {}},
    ],
}


@pytest.mark.parametrize(
    ("turns", "right"),
    [
        ([[("count", "lamp")], [("order", "lamp", 2)], [("cancel", "lamp")]], [1, 1, 1]),
        ([[], [("order", "lamp", 2)], [("cancel", "lamp")]], [0, 1, 1]),  # did not look
        ([[("count", "lamp")], [("order", "lamp", 4)], []], [1, 0, 0]),  # more than there are
        ([[("count", "lamp")], [], [("cancel", "lamp")]], [1, 0, 1]),
        ([[("count", "lamp")], [("order", "lamp", 1)], []], [1, 0, 0]),
        ([[("count", "lamp")]], [1, 0, 0]),  # cut off
    ],
)
def test_the_shop_judges_each_turn(turns: list, right: list[int]) -> None:
    shop = Shop(TASK)
    for turn, calls in enumerate(turns):
        assert shop.user_message(turn) == TASK["turns"][turn]["user"]
        for name, *values in calls:
            shop.call(name, dict(zip(("item", "quantity"), values, strict=False)))
        shop.end_turn()
    assert [verdict.right for verdict in shop.outcome()] == [bool(r) for r in right]
    assert shop.score() == pytest.approx(sum(right) / 3)
    assert shop.user_message(3) is None


def test_every_visit_can_be_served() -> None:
    conversations = shop_conversations()
    assert len({c.dialogue.id for c in conversations}) == len(conversations)
    for conversation in conversations[:50]:
        shop = make_environment("shop", conversation.task)
        turns = iter(conversation.task["turns"])
        for message in conversation.dialogue.messages:
            if message.role == "user":
                assert message.content == next(turns)["user"]
            for call in message.calls:
                shop.call(call.name, call.arguments)
            if message.role == "assistant" and not message.calls:
                shop.end_turn()
        assert shop.score() == 1.0


@pytest.mark.parametrize("syntax", STYLES)
def test_lessons_begin_as_rollouts_do(syntax: str) -> None:
    pytest.importorskip("bfcl_eval", reason="the tasks are BFCL's")
    conversations = [*shop_conversations()[:5], *bfcl_conversations()[:20]]
    for conversation in conversations:
        lesson = whole(conversation.dialogue, syntax)
        tools = conversation.dialogue.tools
        if STYLES[syntax] == "chat_template":  # which shows the names of the tools
            shown = lesson.pop(0)
            assert all(tool["function"]["name"] in shown["content"] for tool in tools)
        row = environment_row(
            conversation.environment,
            conversation.task,
            STYLES[syntax],
            index=0,
            id="x",
            category="x",
            split="train",
            version="",
            data_source="x",
        )
        assert lesson[: len(row["prompt"])] == row["prompt"]
        said = [m["content"] for m in lesson if m["role"] == "assistant"]
        expected = [m.calls for m in conversation.dialogue.messages if m.role == "assistant"]
        read = [get_syntax(syntax).read(text, tools=tools) for text in said]
        assert all(reading.well_formed for reading in read)
        assert [tuple(reading.calls) for reading in read] == expected


def test_variants_of_a_conversation_share_a_split() -> None:
    pytest.importorskip("bfcl_eval", reason="the tasks are BFCL's")
    splits: dict[str, set[str]] = {}
    for conversation in bfcl_conversations():
        number = conversation.dialogue.id.rsplit("_", 1)[1]
        splits.setdefault(number, set()).add(conversation.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == {
        "warm_start",
        "train",
        "held_out",
    }


def test_summary_by_hand(tmp_path) -> None:
    rates = {"official": 0.0, "turns_right": 1.0, "calls": 2.0}
    # verl writes U+2028 as it is: no end of a line
    row = {"input": "p", "output": "\u2028", "score": 0.5, "dense": 0.5, "turns": 1.0, **rates}
    other = {**row, "input": "q", "output": "o", "turns": 3.0, "dense": 1.0, "official": 1.0}
    (tmp_path / "validation").mkdir()
    for step, rows in ((0, [row]), (2, [row, other])):
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
        (tmp_path / f"validation/{step}.jsonl").write_text(text, encoding="utf-8")
    records = [{"step": 0}, *({"step": n, "reward/total/mean": n / 10} for n in (1, 2))]
    summary = summarise(records, tmp_path)
    assert (summary["reward_first"], summary["reward_last"], summary["steps"]) == (0.1, 0.2, 2)
    assert summary["held_out_dense_before"] == 0.5
    assert summary["held_out_dense_after"] == 0.75
    assert summary["held_out_official_after"] == 0.5
    assert longest_conversation(tmp_path, 2) == "qo\n"
    with pytest.raises(ValueError, match="no training step"):
        summarise([{"step": 0}], tmp_path)
