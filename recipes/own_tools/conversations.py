"""The shop's tasks, made at random, each with the dialogue of its right calls."""

import random
from typing import Any

from recipes.own_tools.shop import Shop
from recipes.tiny_multi_turn.conversations import Conversation, split_of
from rest_verl.data import Dialogue, Message
from rest_verl.syntax import ToolCall

NUM_TASKS = 400
SEED = 0
ITEMS = ("lamp", "chair", "desk", "vase", "clock", "sofa", "rug", "mirror", "shelf", "bench")


def shop_conversations() -> list[Conversation]:
    """NUM_TASKS visits of two or three turns: ask, order, and sometimes cancel."""
    rng = random.Random(SEED)
    return [_visit(number, rng) for number in range(NUM_TASKS)]


def _visit(number: int, rng: random.Random) -> Conversation:
    items = rng.sample(ITEMS, 3)
    stock = {item: rng.randint(2, 9) for item in items}
    item = items[0]
    quantity = rng.randint(1, stock[item])
    turns: list[dict[str, Any]] = [
        {"user": f"How many of {item} do you have?", "counted": [item], "orders": {}},
        {"user": f"I take {quantity} of {item}.", "counted": [], "orders": {item: quantity}},
    ]
    calls = [
        ToolCall("count", {"item": item}),
        ToolCall("order", {"item": item, "quantity": quantity}),
    ]
    if rng.random() < 0.5:
        last = {"counted": [], "cancelled": [item], "orders": {}}
        turns.append({"user": f"No {item} after all.", **last})
        calls.append(ToolCall("cancel", {"item": item}))
    task = {"stock": stock, "turns": turns}
    return Conversation("shop", task, _played(f"shop_{number}", task, calls), split_of(str(number)))


def _played(name: str, task: dict[str, Any], calls: list[ToolCall]) -> Dialogue:
    shop = Shop(task)
    messages = []
    for turn, call in zip(task["turns"], calls, strict=True):
        messages += [
            Message(role="user", content=turn["user"]),
            Message(role="assistant", calls=(call,)),
            Message(role="tool", content=shop.call(call.name, call.arguments)),
            Message(role="assistant", content="Done."),
        ]
    return Dialogue(
        id=name,
        category="shop",
        data_source="shop",
        split_key=name,
        tools=shop.tools,
        messages=messages,
    )
