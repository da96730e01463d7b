"""Which weightings are compared: presets at moments of progress, and weights of one's own."""

from __future__ import annotations

import pytest
import torch

from rest_verl.algorithm.presets import PRESETS
from rest_verl.study.gradients.weightings import parse_weights, stacked_weights, weightings


def test_uniform_comes_first_and_once() -> None:
    found = weightings(["paper", "uniform", "paper"], [], [0.0])
    assert [one.name for one in found] == ["uniform", "paper"]


def test_moments_are_in_order_and_once() -> None:
    found = weightings(["paper", "static", "official"], [], [1.0, 0.0, 1.0])
    assert [one.label for one in found] == [
        "uniform", "paper ν=0", "paper ν=1", "static", "official ν=0", "official ν=1",
    ]  # fmt: skip


def test_which_weights_belong_to_a_region() -> None:
    by_token = {one.name for one in weightings(PRESETS, [], [0.0]) if not one.by_region}
    assert by_token == {"token", "top_entropy", "shuffled"}


def test_weights_are_those_of_training() -> None:
    """`official` counts steps, of which progress is a share."""
    region = torch.tensor([[0, 1, 2, 2, 3, -1]], dtype=torch.int8)
    entropy = torch.full((1, 6), 0.3)
    found = weightings(["official"], [], [0.0, 0.5])
    weights_KBT = stacked_weights(found, region, entropy, total_steps=100)
    raw = torch.tensor([1.0, 1.2, 0.7, 0.7, 0.7])  # 0.6 + 0.002 · 50
    torch.testing.assert_close(weights_KBT[2, 0, :5], raw / raw.mean())
    assert weights_KBT[0, 0].tolist() == [1, 1, 1, 1, 1, 0]


def test_weights_of_ones_own() -> None:
    name, config = parse_weights("mine: name=2, text=0")
    assert name == "mine"
    region = torch.tensor([[0, 1, 2, 3, 4, 4]], dtype=torch.int8)
    (one,) = weightings([], [(name, config)], [0.0, 1.0])[1:]
    weights = one.weights(region, torch.zeros(1, 6), 105)[0]
    raw = torch.tensor([1.0, 2, 1, 1, 0, 0])
    torch.testing.assert_close(weights, raw / raw[:4].mean())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format=1", "name them and list the regions, such as mine:"),
        ("mine:", "name them and list"),
        (":format=1", "name them and list"),
        ("mine:thought=1", "'thought' is no region; there are format, name"),
        ("mine:format", "'' is no number"),
        ("mine:format=x", "'x' is no number"),
        ("format=1=2", "name them and list the regions, such as mine:"),
        ("mine:format=1=2", "'1=2' is no number; such as mine:"),
        ("mine:format=-1", "0 or above"),
        ("mine:format=nan", "0 or above"),
        ("mine:format=inf", "0 or above"),
        ("mine:format=0,name=0,args=0,think=0,text=0", "one of them is above 0"),
    ],
)
def test_weights_that_say_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"--weights {text}: .*{message}"):
        parse_weights(text)


def test_equal_weights_are_uniform() -> None:
    _, config = parse_weights("same:format=3,name=3,args=3,think=3,text=3")
    (one,) = weightings([], [("same", config)], [0.0])[1:]
    weights = one.weights(torch.tensor([[0, 1, 2]], dtype=torch.int8), torch.zeros(1, 3), 1)
    torch.testing.assert_close(weights, torch.ones(1, 3))


@pytest.mark.parametrize("taken", ["paper", "mine"])
def test_a_name_stands_for_one_weighting(taken: str) -> None:
    mine = parse_weights("mine:format=1")[1]
    with pytest.raises(ValueError, match=f"--weights {taken}: the name is taken"):
        weightings(["paper"], [("mine", mine), (taken, mine)], [0.0])
