"""What the shop's turns earn: a measure of its own, beside its verdicts."""

import pytest

from recipes.own_tools.shop import Shop

TURN = {"user": "Count tea, and I take two; one cup as well.", "counted": ["tea"]}
TASK = {"stock": {"tea": 3, "cup": 9}, "turns": [{**TURN, "orders": {"tea": 2, "cup": 1}}] * 2}
COUNT = ("count", {"item": "tea"})
TEA = ("order", {"item": "tea", "quantity": 2})
CUP = ("order", {"item": "cup", "quantity": 1})


@pytest.mark.parametrize(
    ("calls", "reward", "right"),
    [
        ([COUNT, TEA, CUP], 1.0, True),
        ([TEA, CUP, COUNT], 1.0, True),
        ([COUNT, TEA], 2 / 3, False),
        ([COUNT, TEA, CUP, ("count", {"item": "cup"})], 3 / 4, False),
        ([COUNT, COUNT, TEA, CUP], 3 / 4, False),
        ([COUNT, ("order", {"item": "tea", "quantity": 1}), CUP], 2 / 4, False),  # wrong: on both
        ([], 0.0, False),
        ([TEA, CUP, ("cancel", {"item": "cup"})], 1 / 4, False),
    ],
)
def test_a_turn_earns_its_share_of_what_should_be(
    calls: list[tuple[str, dict]], reward: float, right: bool
) -> None:
    shop = Shop(TASK)
    assert shop.turn_rewards() == [0.0, 0.0]
    for name, arguments in calls:
        shop.call(name, arguments)
    assert shop.turn_rewards() == [0.0, 0.0]  # the turn has not ended
    shop.end_turn()
    assert shop.turn_rewards() == [pytest.approx(reward), 0.0]
    assert shop.outcome()[0].right is right


def test_a_turn_that_wants_nothing_is_earned_by_nothing() -> None:
    shop = Shop({"stock": {"tea": 3}, "turns": [{"user": "Hm.", "counted": [], "orders": {}}]})
    shop.end_turn()
    assert shop.turn_rewards() == [1.0]
