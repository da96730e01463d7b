"""The average of region entropies over steps: by hand, over a checkpoint, and in the weights."""

import json
import math
from dataclasses import replace

import pytest
import torch

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import token_weights

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
PAPER = replace(ReSTConfig.preset("paper"), entropy_ema=0.75)
LN2, LN4 = math.log(2), math.log(4)


def float64(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_average_by_hand():
    memory = EntropyMemory(share=0.75)
    # the first entropy starts the average; THINK and TEXT have not been seen: 0, which none reads
    first = memory.update(float64(1.0, 0.2, 0.4, 0, 0), float64(5, 1, 2, 0, 0))
    assert first.tolist() == [1.0, 0.2, 0.4, 0.0, 0.0]
    # FORMAT 0.75 · 1 + 0.25 · 2; NAME is absent and keeps 0.2; ARGS 0.3 + 0.05; THINK starts
    second = memory.update(float64(2.0, math.nan, 0.2, 3.0, 0), float64(9, 0, 1, 4, 0))
    assert second.tolist() == pytest.approx([1.25, 0.2, 0.35, 3.0, 0.0], rel=1e-15)
    assert second[N] == 0.2
    # NAME comes back: 0.15 + 0.25 · 1, from the average of before
    third = memory.update(float64(0, 1.0, 0, 0, 0), float64(0, 1, 0, 0, 0))
    assert third.tolist() == pytest.approx([1.25, 0.4, 0.35, 3.0, 0.0], rel=1e-15)
    assert third.dtype == torch.float64


def test_the_number_of_tokens_does_not_weigh():
    # a region's step counts the same whether it had 1 token or 1,000
    few, many = EntropyMemory(share=0.5), EntropyMemory(share=0.5)
    for entropy, count in ((1.0, 1), (3.0, 1000)):
        few.update(float64(entropy, 0, 0, 0, 0), float64(1, 0, 0, 0, 0))
        many.update(float64(entropy, 0, 0, 0, 0), float64(count, 0, 0, 0, 0))
    assert few.entropy == many.entropy == {"format": 2.0}


def test_two_updates_a_step_of_half_the_step_each():
    # a step's share of 0.25 is 0.5 for each of its two batches: 1 -> 1.5 -> 1.75, as in one update
    memory = EntropyMemory(share=0.25, updates_per_step=2)
    count = float64(1, 0, 0, 0, 0)
    values = [float(memory.update(float64(entropy, 0, 0, 0, 0), count)[F]) for entropy in (1, 2, 2)]
    assert values == [1.0, 1.5, 1.75]
    once = EntropyMemory(share=0.25)
    once.update(float64(1, 0, 0, 0, 0), count)
    assert float(once.update(float64(2, 0, 0, 0, 0), count)[F]) == 1.75


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7, 0.9, 0.99])
def test_a_steady_entropy_stays_to_the_last_bit(share):
    memory = EntropyMemory(share=share, updates_per_step=3)
    entropy = float64(0.3, 0.1, 0.7, 1 / 3, 2.3)
    for _ in range(20):
        assert torch.equal(memory.update(entropy, torch.ones(5)), entropy)


def test_a_share_of_nothing_is_each_step_by_itself():
    memory = EntropyMemory(share=0.0)
    for seed in range(5):
        entropy = torch.rand(5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert torch.equal(memory.update(entropy, torch.ones(5)), entropy)


def test_what_is_given_is_not_changed():
    entropy, memory = float64(1.0, 1.0, 1.0, 1.0, 1.0), EntropyMemory(share=0.5)
    memory.update(entropy * 3, torch.ones(5))
    memory.update(entropy, torch.ones(5))
    assert entropy.tolist() == [1.0] * 5


def recorded_steps():
    """Ten batches with regions that come and go."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(10):
        regions = torch.randint(-1, 5, (3, 7), generator=generator)
        regions[regions == torch.randint(0, 5, (), generator=generator)] = K
        yield regions, torch.rand(3, 7, generator=generator) * 2


def test_a_resumed_run_has_the_same_weights_to_the_last_bit():
    straight = EntropyMemory(share=PAPER.entropy_ema)
    resumed = EntropyMemory(share=PAPER.entropy_ema)
    for step, (regions, entropy) in enumerate(recorded_steps()):
        if step == 5:
            state = json.loads(json.dumps(resumed.state()))
            resumed = EntropyMemory(share=PAPER.entropy_ema)
            resumed.load(state)
        expected = token_weights(regions, entropy, step / 9, config=PAPER, memory=straight)
        found = token_weights(regions, entropy, step / 9, config=PAPER, memory=resumed)
        assert torch.equal(found[0], expected[0])
        assert found[1] == expected[1]
    assert resumed.entropy == straight.entropy


def test_a_checkpoint_is_a_copy():
    memory = EntropyMemory(share=0.5)
    memory.update(float64(1, 1, 1, 1, 1), torch.ones(5))
    state = memory.state()
    memory.update(float64(3, 3, 3, 3, 3), torch.ones(5))
    assert state["name"] == 1.0
    other = EntropyMemory(share=0.5)
    other.load(state)
    other.update(float64(5, 5, 5, 5, 5), torch.ones(5))
    assert state["name"] == 1.0


@pytest.mark.parametrize(
    "state",
    [{"naem": 0.3}, {"name": math.nan}, {"name": math.inf}, {"name": "much"}],
    ids=["no region", "not a number", "infinite", "not even a number"],
)
def test_a_foreign_state_is_refused_and_changes_nothing(state):
    memory = EntropyMemory(share=0.5, entropy={"args": 1.0})
    with pytest.raises(ValueError, match=r"name|naem|much"):
        memory.load({"args": 2.0, **state})
    assert memory.entropy == {"args": 1.0}


def test_weights_come_from_the_average_statistics_from_the_batch():
    memory = EntropyMemory(share=0.5, entropy={"format": 1.5 * LN4, "think": LN4})
    config = replace(ReSTConfig.preset("static"), entropy_ema=0.5)
    # FORMAT: half of 1.5 ln 4 and half of ln 2 = 0.5 ln 4 make ln 4, which is THINK's: equal
    # averages give equal weights, though FORMAT is the more certain one in this batch
    weights, stats = token_weights(
        torch.tensor([[F, K]]), torch.tensor([[LN2, LN4]], dtype=torch.float64),
        config=config, memory=memory,
    )  # fmt: skip
    assert weights.tolist() == [[1.0, 1.0]]
    assert stats["rest/entropy/format"] == pytest.approx(LN2)
    assert memory.entropy == {"format": pytest.approx(LN4), "think": pytest.approx(LN4)}


def test_an_absent_regions_average_does_not_show_in_the_others():
    config = replace(ReSTConfig.preset("static"), entropy_ema=0.5)
    batch = torch.tensor([[F, K, K]]), torch.tensor([[LN2, LN4, LN4]])
    plain, _ = token_weights(*batch, config=config, memory=EntropyMemory(share=0.5))
    memory = EntropyMemory(share=0.5, entropy={"name": 0.001})
    beside, _ = token_weights(*batch, config=config, memory=memory)
    assert torch.equal(beside, plain)
    assert memory.entropy["name"] == 0.001


def test_the_first_step_weighs_as_without_memory():
    regions, entropy = next(recorded_steps())
    config = replace(PAPER, entropy_ema=0.0)
    without, _ = token_weights(regions, entropy, 0.3, config=config)
    first, _ = token_weights(
        regions, entropy, 0.3, config=PAPER, memory=EntropyMemory(share=PAPER.entropy_ema)
    )
    assert torch.equal(first, without)


def test_the_memory_slows_the_entropies_not_the_clock():
    # all rows share the average; each row keeps its own progress
    memory = EntropyMemory(share=0.5, entropy={"format": LN2, "think": LN4})
    regions, entropy = torch.tensor([[F, K], [F, K]]), torch.tensor([[LN2, LN4], [LN2, LN4]])
    weights, _ = token_weights(
        regions, entropy, [0.0, 0.5], config=replace(PAPER, entropy_ema=0.5), memory=memory
    )
    # FORMAT 6/5 and THINK 4/5 at the start, 1.1 and 0.9 half way, as without a memory
    torch.testing.assert_close(weights, torch.tensor([[1.2, 0.8], [1.1, 0.9]]))


def test_a_memory_is_not_read_without_its_option():
    memory = EntropyMemory(share=0.5, entropy={"format": 9.0})
    batch = torch.tensor([[F, K]]), torch.tensor([[LN2, LN4]])
    beside, _ = token_weights(*batch, config=ReSTConfig.preset("static"), memory=memory)
    plain, _ = token_weights(*batch, config=ReSTConfig.preset("static"))
    assert torch.equal(beside, plain)
    assert memory.entropy == {"format": 9.0}


def test_a_missing_memory_is_refused():
    with pytest.raises(ValueError, match="pass one EntropyMemory"):
        token_weights(torch.tensor([[F, K]]), torch.ones(1, 2), 0.0, config=PAPER)
