"""A shop with stock and orders: a complete environment of one's own.

A task is `{"stock": {item: count}, "turns": [{"user": text, "counted": [item], "orders": {item:
count}}, …]}`: what the customer says, and what must have been counted in the turn and be on order
once it is over.
"""

from collections import Counter
from typing import Any

from rest_verl.environments.base import Verdict, register_environment
from rest_verl.environments.methods import MethodTools


@register_environment("shop")
class Shop(MethodTools):
    """One customer's visit."""

    tool_methods = ("count", "order", "cancel")

    def __init__(self, task: dict[str, Any]) -> None:
        self.stock, self.turns = dict(task["stock"]), task["turns"]
        self.counted: list[str] = []
        self.orders: dict[str, int] = {}
        self.verdicts: list[Verdict] = []
        self.rewards: list[float] = []

    def count(self, item: str) -> str:
        """Count what is in stock.

        Args:
            item: What to count.
        """
        answer = f"{self.stock.get(item, 0)} {item} in stock"
        self.counted.append(item)
        return answer

    def order(self, item: str, quantity: int) -> str:
        """Order an item for the customer.

        Args:
            item: What to order.
            quantity: How many.
        """
        if not 0 < quantity <= self.stock.get(item, 0):
            return f"Error: only {self.stock.get(item, 0)} {item} in stock"
        self.stock[item] -= quantity
        self.orders[item] = self.orders.get(item, 0) + quantity
        return f"{quantity} {item} ordered"

    def cancel(self, item: str) -> str:
        """Cancel all orders of an item.

        Args:
            item: What not to order after all.
        """
        quantity = self.orders.pop(item, 0)
        self.stock[item] = self.stock.get(item, 0) + quantity
        return f"{quantity} {item} cancelled"

    def user_message(self, turn: int) -> str | None:
        return self.turns[turn]["user"] if turn < len(self.turns) else None

    def end_turn(self) -> None:
        turn = self.turns[len(self.verdicts)]
        right = (self.counted, self.orders) == (turn["counted"], turn["orders"])
        self.verdicts.append(Verdict(right, reason="" if right else "counted or ordered otherwise"))
        wanted = Counter([*turn["counted"], *turn["orders"].items()])
        found = Counter([*self.counted, *self.orders.items()])
        either = wanted | found
        self.rewards.append((wanted & found).total() / either.total() if either else 1.0)
        self.counted = []

    def outcome(self) -> list[Verdict]:
        missing = len(self.turns) - len(self.verdicts)
        return self.verdicts + [Verdict(False, reason="not reached")] * missing

    def turn_rewards(self) -> list[float]:
        """Of all that was or should have been counted or ordered, the share that is right."""
        return self.rewards + [0.0] * (len(self.turns) - len(self.rewards))

    def score(self) -> float:
        return sum(verdict.right for verdict in self.outcome()) / len(self.turns)
