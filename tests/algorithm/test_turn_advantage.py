"""Credit by turns: values by hand, properties, and its bias over an exactly enumerated process."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rest_verl.algorithm.advantage import rest_advantage, turn_advantage

ROOT = Path(__file__).parents[2]

# Two conversations of three turns and of one, two tokens a turn, an observation after each.
TURNS = torch.tensor([[0, 0, -1, 1, 1, -1, 2, 2], [0, 0, -1, -1, -1, -1, -1, -1]])
REWARDS = torch.tensor([[1.0, 0.0, 4.0], [2.0, 9.0, 9.0]])


def test_by_hand() -> None:
    advantages, returns = turn_advantage(
        REWARDS, TURNS, ["p", "p"], outcomes=torch.tensor([10.0, 20.0]), turn_gamma=0.5
    )
    # From the turns on: 1 + 0 + 4/4 + 10, 0 + 4/2 + 10, 4 + 10; and 2 + 20, nothing, nothing.
    assert returns.tolist() == [[12, 12, 0, 12, 12, 0, 14, 14], [22, 22, 0, 0, 0, 0, 0, 0]]
    assert advantages.tolist() == [
        [-10, -10, 0, 12, 12, 0, 14, 14],
        [10, 10, 0, 0, 0, 0, 0, 0],
    ]


def test_outcome_weight_and_token_weights() -> None:
    outcomes, weights = torch.tensor([10.0, 20.0]), torch.rand(TURNS.shape)
    plain, _ = turn_advantage(REWARDS, TURNS, [0, 0])
    zero, _ = turn_advantage(REWARDS, TURNS, [0, 0], outcomes=outcomes, outcome_weight=0.0)
    weighted, _ = turn_advantage(REWARDS, TURNS, [0, 0], weights=weights)
    assert torch.equal(plain, zero)
    assert torch.equal(weighted, plain * weights)


def test_a_group_of_one_has_no_baseline() -> None:
    advantages, returns = turn_advantage(REWARDS, TURNS, [0, 1], norm_by_std=True)
    assert torch.equal(advantages, returns)


def test_a_group_of_equal_returns_has_no_advantage() -> None:
    turns, rewards = TURNS[:1].repeat(3, 1), REWARDS[:1].repeat(3, 1)
    for norm_by_std in (False, True):
        advantages, _ = turn_advantage(rewards, turns, [0, 0, 0], norm_by_std=norm_by_std)
        assert torch.equal(advantages, torch.zeros(turns.shape))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="up to turn 2"):
        turn_advantage(REWARDS[:, :2], TURNS, [0, 0])
    with pytest.raises(ValueError, match="do not fit"):
        turn_advantage(REWARDS[:1], TURNS, [0, 0])
    with pytest.raises(ValueError, match=r"each of the 2 responses, as .*got"):
        turn_advantage(REWARDS, TURNS, [0])


sizes = st.integers(2, 5)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, list[int], Tensor]:
    """Rewards (B, K), turns (B, T), groups and outcomes; turns are runs of tokens and gaps."""
    num_rows, num_turns = draw(sizes), draw(st.integers(1, 4))
    rows = []
    for _ in range(num_rows):
        row: list[int] = []
        for turn in range(draw(st.integers(1, num_turns))):
            row += [turn] * draw(st.integers(1, 3)) + [-1] * draw(st.integers(0, 2))
        rows.append(row)
    width = max(map(len, rows))
    turns = torch.tensor([row + [-1] * (width - len(row)) for row in rows])
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(num_rows, num_turns, generator=generator, dtype=torch.float64)
    outcomes = torch.randn(num_rows, generator=generator, dtype=torch.float64)
    groups = draw(st.lists(st.integers(0, 1), min_size=num_rows, max_size=num_rows))
    return rewards, turns, groups, outcomes


@given(batches(), st.booleans(), st.sampled_from([1.0, 0.7, 0.0]))
def test_order_padding_and_rewards_of_turns_never_reached_do_not_matter(
    batch: tuple[Tensor, Tensor, list[int], Tensor], norm_by_std: bool, gamma: float
) -> None:
    rewards, turns, groups, outcomes = batch
    options = {"norm_by_std": norm_by_std, "turn_gamma": gamma}
    advantages, returns = turn_advantage(rewards, turns, groups, outcomes=outcomes, **options)

    order = torch.arange(len(rewards)).flip(0)
    permuted, _ = turn_advantage(
        rewards[order],
        turns[order],
        [groups[i] for i in order],
        outcomes=outcomes[order],
        **options,
    )
    torch.testing.assert_close(permuted, advantages[order])

    reached = torch.arange(rewards.shape[1]) <= turns.amax(dim=1)[:, None]
    wide_rewards = torch.cat([torch.where(reached, rewards, 7.0), rewards[:, :1]], dim=1)
    wide_turns = torch.cat([turns, torch.full((len(turns), 3), -1)], dim=1)
    wide, _ = turn_advantage(wide_rewards, wide_turns, groups, outcomes=outcomes, **options)
    torch.testing.assert_close(wide[:, : turns.shape[1]], advantages)
    assert not wide[:, turns.shape[1] :].any()
    assert not advantages[turns < 0].any()
    assert not returns[turns < 0].any()


@given(batches(), st.booleans())
def test_with_one_turn_it_is_grpo_times_a_constant(
    batch: tuple[Tensor, Tensor, list[int], Tensor], norm_by_std: bool
) -> None:
    rewards, turns, groups, outcomes = batch
    turns = turns.clamp_max(0)
    advantages, _ = turn_advantage(
        rewards[:, :1], turns, groups, outcomes=outcomes, norm_by_std=norm_by_std
    )
    grpo, _ = rest_advantage(
        rewards[:, 0] + outcomes, (turns >= 0).double(), groups, norm_by_std=norm_by_std
    )
    num = torch.tensor([groups.count(group) for group in groups], dtype=torch.float64)
    factor = torch.where(num > 1, num / (num - 1).clamp_min(1), 1.0)
    if norm_by_std:
        # A response alone keeps its reward: both divide it by 1, rest by 1 + epsilon.
        factor = torch.where(num > 1, factor, 1 + 1e-6)
    torch.testing.assert_close(advantages, grpo * factor[:, None])


# A policy of three choices a turn, "stop" the first of them, at most three turns; the last turn
# cannot be stopped. Reward of a turn and outcome follow from the path of choices.
STOP, NUM_CHOICES, NUM_TURNS, GROUP = 0, 3, 3, 3
Path = tuple[int, ...]


def paths(prefix: Path = ()) -> list[Path]:
    """All conversations: a stop is taken at its turn, which earns nothing."""
    found = []
    for choice in range(NUM_CHOICES):
        path = (*prefix, choice)
        ends = choice == STOP or len(path) == NUM_TURNS
        found += [path] if ends else paths(path)
    return found


def turn_reward(path: Path) -> float:
    """What the last turn of `path` earned."""
    return 0.0 if path[-1] == STOP else 0.5 + 0.25 * path[-1] + 0.125 * len(path)


def outcome(path: Path) -> float:
    return math.cos(sum(path)) + 0.3 * len(path)


PATHS = paths()
PREFIXES = sorted({path[:k] for path in PATHS for k in range(len(path))})
LOGITS = torch.linspace(-1, 1, len(PREFIXES) * NUM_CHOICES, dtype=torch.float64).sin() * 2
REWARDS_OF_PATHS = torch.zeros(len(PATHS), NUM_TURNS, dtype=torch.float64)
TURNS_OF_PATHS = torch.full((len(PATHS), NUM_TURNS), -1)
for _row, _path in enumerate(PATHS):
    for _turn in range(len(_path)):
        REWARDS_OF_PATHS[_row, _turn] = turn_reward(_path[: _turn + 1])
        TURNS_OF_PATHS[_row, _turn] = _turn
OUTCOMES = torch.tensor([outcome(path) for path in PATHS], dtype=torch.float64)


def log_policy(logits: Tensor) -> Tensor:
    """log-probability of each turn of each path, (paths, turns), 0 behind its end."""
    table = logits.reshape(len(PREFIXES), NUM_CHOICES).log_softmax(dim=1)
    rows = [
        [
            table[PREFIXES.index(path[:k]), path[k]] if k < len(path) else table.new_zeros(())
            for k in range(NUM_TURNS)
        ]
        for path in PATHS
    ]
    return torch.stack([torch.stack(row) for row in rows])


def expected_gradient(estimate: Callable[[Tensor, Tensor, list[int], Tensor], Tensor]) -> Tensor:
    """The exact mean of the policy gradient over all groups of GROUP conversations."""
    logits = LOGITS.clone().requires_grad_()
    log_probs = log_policy(logits)
    probability = log_probs.sum(dim=1).exp().detach()
    drawn = torch.tensor(list(itertools.product(range(len(PATHS)), repeat=GROUP)))
    flat = drawn.flatten()
    groups = np.repeat(np.arange(len(drawn)), GROUP).tolist()
    advantages = estimate(REWARDS_OF_PATHS[flat], TURNS_OF_PATHS[flat], groups, OUTCOMES[flat])
    weight = probability[drawn].prod(dim=1).repeat_interleave(GROUP) / GROUP
    (weight[:, None] * advantages * log_probs[flat]).sum().backward()
    assert logits.grad is not None
    return logits.grad


def exact_gradient() -> Tensor:
    logits = LOGITS.clone().requires_grad_()
    values = REWARDS_OF_PATHS.sum(dim=1) + OUTCOMES
    (log_policy(logits).sum(dim=1).exp() * values).sum().backward()
    assert logits.grad is not None
    return logits.grad


def relative_bias(gradient: Tensor) -> float:
    exact = exact_gradient()
    return float((gradient - exact).norm() / exact.norm())


def ours(rewards: Tensor, turns: Tensor, groups: list[int], outcomes: Tensor) -> Tensor:
    return turn_advantage(rewards, turns, groups, outcomes=outcomes)[0]


def per_index(rewards: Tensor, turns: Tensor, groups: list[int], outcomes: Tensor) -> Tensor:
    """Each turn's reward is centred among the conversations that reached it, then summed from a
    turn on; the outcome is centred over the group. As MT-GRPO, but for the division by a spread."""
    reached = (turns >= 0).reshape(-1, GROUP, NUM_TURNS).double()
    by_group = rewards.reshape(-1, GROUP, NUM_TURNS)
    mean = (by_group * reached).sum(1, keepdim=True) / reached.sum(1, keepdim=True).clamp_min(1)
    centred = ((by_group - mean) * reached).reshape(-1, NUM_TURNS)
    whole = outcomes.reshape(-1, GROUP)
    whole = (whole - whole.mean(1, keepdim=True)).reshape(-1, 1)
    return (centred.flip(1).cumsum(1).flip(1) + whole) * (turns >= 0)


def smeared(rewards: Tensor, turns: Tensor, groups: list[int], outcomes: Tensor) -> Tensor:
    """Each turn's progress is spread backwards over the turns up to it, with weights 0.5^distance
    that sum to 1, as prime-rl's turn_credit describes; the outcome is leave-one-out centred."""
    credit = torch.zeros_like(rewards)
    for k in range(NUM_TURNS):
        share = 0.5 ** torch.arange(k, -1, -1, dtype=torch.float64)
        credit[:, : k + 1] += rewards[:, k : k + 1] * share / share.sum()
    mean = outcomes.reshape(-1, GROUP).mean(1, keepdim=True)
    whole = (outcomes.reshape(-1, GROUP) - mean).reshape(-1, 1) * GROUP / (GROUP - 1)
    return (credit + whole) * (turns >= 0)


def test_no_bias_where_the_policy_decides_when_to_stop() -> None:
    assert len(PATHS) > 10
    assert relative_bias(expected_gradient(ours)) < 1e-12


@pytest.mark.parametrize(("peer", "bias"), [(per_index, 0.78), (smeared, 0.54)])
def test_the_peers_have_a_bias(
    peer: Callable[[Tensor, Tensor, list[int], Tensor], Tensor], bias: float
) -> None:
    assert round(relative_bias(expected_gradient(peer)), 2) == bias
    assert f"| {bias} |" in (ROOT / "docs" / "turn-credit.md").read_text()


def test_normalising_by_index_takes_away_what_going_on_earns() -> None:
    """Its bias is against going on: the mean of what came later is taken off whoever went on."""
    bias = (expected_gradient(per_index) - exact_gradient()).reshape(len(PREFIXES), NUM_CHOICES)
    first = bias[PREFIXES.index(())]
    assert first[STOP] > 0
    assert (first[1:] < 0).all()


def test_one_spread_a_group_keeps_the_direction_of_turns_to_each_other() -> None:
    """The division is by one number a group, so the ratios within a response stay."""
    plain, _ = turn_advantage(REWARDS, TURNS, [0, 0], norm_by_std=False)
    divided, _ = turn_advantage(REWARDS, TURNS, [0, 0], norm_by_std=True)
    spread = torch.tensor([5.0, 2.0]).std() + 1e-6
    torch.testing.assert_close(divided, plain / spread)
