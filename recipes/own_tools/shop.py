"""A shop with stock and orders: a complete environment of one's own.

A task is `{"stock": {item: count}, "turns": [{"user": text, "counted": [item], "cancelled": [item],
"orders": {item: count}}, …]}`: what the customer says, what must have been counted and cancelled in
the turn, and what must be on order once it is over.
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
        self.cancelled: list[str] = []
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
        self.cancelled.append(item)
        return f"{quantity} {item} cancelled"

    def user_message(self, turn: int) -> str | None:
        return self.turns[turn]["user"] if turn < len(self.turns) else None

    def end_turn(self) -> None:
        turn = self.turns[len(self.verdicts)]
        wanted = self._done(turn["counted"], turn.get("cancelled", []), turn["orders"])
        found = self._done(self.counted, self.cancelled, self.orders)
        right, either = wanted == found, wanted | found
        self.verdicts.append(Verdict(right, reason="" if right else "not as the customer asked"))
        self.rewards.append((wanted & found).total() / either.total() if either else 1.0)
        self.counted, self.cancelled = [], []

    @staticmethod
    def _done(counted: list[str], cancelled: list[str], orders: dict[str, int]) -> Counter[Any]:
        counts = [("count", item) for item in counted]
        return Counter([*counts, *(("cancel", item) for item in cancelled), *orders.items()])

    def outcome(self) -> list[Verdict]:
        missing = len(self.turns) - len(self.verdicts)
        return self.verdicts + [Verdict(False, reason="not reached")] * missing

    def turn_rewards(self) -> list[float]:
        """Of all that was or should have been counted, cancelled or on order, the right share."""
        return self.rewards + [0.0] * (len(self.turns) - len(self.rewards))

    def score(self) -> float:
        return sum(verdict.right for verdict in self.outcome()) / len(self.turns)
