"""A customer of the shop who reacts: answers what is asked, changes his mind, says goodbye.

A task is `{"stock": {item: count}, "opening": text, "rules": [{"hears": [text, …], "says": text or
null}, …], "orders": {item: count}, "told": [text, …]}`: what the customer says first and then, by
what the shop answers (`ScriptedUser`); what must be on order when he leaves, and what he must have
been told.
"""

import random
from typing import Any

from recipes.own_tools.shop import Shop
from rest_verl.environments.base import Verdict, register_environment
from rest_verl.environments.scripted_user import Rule, ScriptedUser
from rest_verl.environments.users import Talk

ITEMS = ("lamp", "chair", "desk", "vase", "clock", "sofa")
NUM_VISITS = 120
SEED = 0


@register_environment("shop_customer")
class CustomerVisit(Shop):
    """The shop's tools, and one verdict on the whole visit."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__({"stock": task["stock"], "turns": []})
        self.task = task
        self.talk = Talk(ScriptedUser(map(Rule.from_mapping, task["rules"])))

    def user_message(self, turn: int) -> str:
        return self.task["opening"]  # asked once, for turn 0

    def end_turn(self) -> None:
        """A customer judges when he leaves."""

    def outcome(self) -> list[Verdict]:
        said = [text.lower() for speaker, text in self.talk.texts if speaker == "model"]
        told = [any(fact.lower() in text for text in said) for fact in self.task["told"]]
        kept = [self.orders == self.task["orders"], *told]
        reason = "ordered otherwise" if not kept[0] else "" if all(told) else "not told"
        return [Verdict(all(kept), right_calls=sum(kept) / len(kept), reason=reason)]

    def turn_rewards(self) -> list[float]:
        """All of it for the last turn, in which the customer leaves."""
        num_turns = sum(speaker == "user" for speaker, _ in self.talk.texts)
        return [0.0] * (num_turns - 1) + [self.score()]

    def score(self) -> float:
        return float(self.outcome()[0].right)


def visits() -> dict[str, dict[str, Any]]:
    """NUM_VISITS tasks by name, the same each time.

    The customer wants more than there is of an item, or as many, and takes what there is.
    """
    rng = random.Random(SEED)
    return {f"visit_{number}": _visit(rng) for number in range(NUM_VISITS)}


def _visit(rng: random.Random) -> dict[str, Any]:
    item = rng.choice(ITEMS)
    stock = rng.randint(2, 9)
    wanted = stock + rng.choice((0, 1, 2))
    return {
        "stock": {item: stock},
        "opening": f"I would like some of your {item}s.",
        "rules": [
            {"hears": ["how many"], "says": f"{wanted}, please."},
            {"hears": ["only"], "says": f"Then I take {stock}."},
            {"hears": ["ordered"], "says": None},
            {"says": "Sorry?"},
        ],
        "orders": {item: stock},
        "told": [f"only {stock}"] if wanted > stock else [],
    }
