"""The control: each response's weights in another order, and nothing else changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.shuffling import _hashed, shuffled_within_rows
from rest_verl.algorithm.weighting import token_weights

SHUFFLED = ReSTConfig.preset("shuffled")
PAPER = ReSTConfig.preset("paper")


def signatures(*numbers):
    return np.array(numbers, dtype=np.uint64)


def test_the_numbers_are_splitmix64s():
    # the published first outputs of Vigna's splitmix64 from seed 0
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert _hashed(np.uint64(0), 3).tolist() == expected


def test_by_hand():
    # from seed 0 the three numbers above fall: their order is 2, 1, 0. The masked one stays out.
    values = np.array([[1.0, 2.0, 9.0, 3.0]])
    is_sampled = np.array([[True, True, False, True]])
    shuffled = shuffled_within_rows(values, is_sampled, signatures(0))
    assert shuffled.tolist() == [[3.0, 2.0, 0.0, 1.0]]
    assert values.tolist() == [[1.0, 2.0, 9.0, 3.0]]


@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (2, 4)])
def test_nothing_sampled(shape):
    values = np.ones(shape, dtype=np.float32)
    shuffled = shuffled_within_rows(
        values, np.zeros(shape, dtype=bool), signatures(*range(shape[0]))
    )
    assert np.array_equal(shuffled, np.zeros(shape))
    assert shuffled.dtype == np.float32


def test_every_order_is_as_likely():
    # 2,400 responses of three tokens: each of the six orders about 400 times, whose standard
    # deviation is 18
    values = np.tile(np.arange(3), (2400, 1))
    shuffled = shuffled_within_rows(values, np.ones_like(values, dtype=bool), np.arange(
        2400, dtype=np.uint64))  # fmt: skip
    _, counts = np.unique(shuffled, axis=0, return_counts=True)
    assert len(counts) == 6
    assert abs(counts - 400).max() < 80


def batch(num_rows=6, num_tokens=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    regions = torch.randint(0, 5, (num_rows, num_tokens), generator=generator)
    regions[torch.rand(regions.shape, generator=generator) < 0.2] = -1
    entropy = torch.rand(regions.shape, generator=generator)
    return regions, entropy * torch.tensor([0.1, 0.3, 0.5, 1.5, 1.0, 9.0])[regions]


def test_each_response_keeps_its_weights():
    regions, entropy = batch()
    paper, paper_stats = token_weights(regions, entropy, 0.4, config=PAPER)
    shuffled, stats = token_weights(regions, entropy, 0.4, config=SHUFFLED)
    assert torch.equal(shuffled.sort(1).values, paper.sort(1).values)
    assert torch.equal(shuffled == 0, regions < 0)
    assert not any(torch.equal(*pair) for pair in zip(shuffled, paper, strict=True))
    # the regions' own means go: each is about the mean of all
    for region in ("format", "args", "think"):
        assert abs(stats[f"rest/weight/{region}"] - 1) < 0.1
    assert abs(paper_stats["rest/weight/format"] - 1) > 0.2
    for name in ("rest/entropy/format", "rest/ceiling_share", "rest/token_share/think"):
        assert stats[name] == paper_stats[name]


def test_a_weight_of_zero_moves_too():
    # the control of `tool_tokens`: as many tokens train, but others
    config = replace(ReSTConfig.preset("tool_tokens"), shuffle=True)
    regions, _ = batch()
    shuffled, stats = token_weights(regions, config=config)
    plain, plain_stats = token_weights(regions, config=replace(config, shuffle=False))
    assert torch.equal(shuffled.sum(1), plain.sum(1))
    assert not torch.equal(shuffled, plain)
    assert stats["rest/zero_weight_share"] == plain_stats["rest/zero_weight_share"] > 0.2


def test_padding_and_the_order_of_the_rows_do_not_show():
    regions, entropy = batch()
    weights, _ = token_weights(regions, entropy, 0.4, config=SHUFFLED)
    longer = torch.nn.functional.pad(regions, (0, 9), value=-1)
    padded, _ = token_weights(
        longer, torch.nn.functional.pad(entropy, (0, 9), value=7.0), 0.4, config=SHUFFLED
    )
    assert torch.equal(padded[:, :-9], weights)
    assert (padded[:, -9:] == 0).all()
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    permuted, _ = token_weights(regions[order], entropy[order], 0.4, config=SHUFFLED)
    assert torch.equal(permuted, weights[order])


def test_the_same_again():
    regions, entropy = batch()
    first, _ = token_weights(regions, entropy, 0.4, config=SHUFFLED)
    second, _ = token_weights(regions.clone(), entropy.clone(), 0.4, config=SHUFFLED)
    assert torch.equal(first, second)


def test_responses_of_the_same_labels_are_permuted_differently():
    # eight answers to one prompt may have the same regions; their entropies tell them apart
    regions = batch(1)[0].repeat(8, 1)
    entropy = torch.rand(regions.shape, generator=torch.Generator().manual_seed(1))
    weights, _ = token_weights(regions, entropy, 0.4, config=SHUFFLED)
    assert len({tuple(row) for row in weights.tolist()}) == 8


def test_other_entropies_are_another_permutation():
    # so that a token is not drawn the same way at every step
    regions, entropy = batch(1)
    here, _ = token_weights(regions, entropy, 0.4, config=replace(SHUFFLED, gamma_think=0.0))
    there, _ = token_weights(
        regions, entropy * 1.0001, 0.4, config=replace(SHUFFLED, gamma_think=0.0)
    )
    assert not torch.equal(here == 0, there == 0)
