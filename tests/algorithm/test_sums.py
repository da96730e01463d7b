"""Sums by region, and that working on a few rows at a time does not show."""

import math

import pytest
import torch

from rest_verl.algorithm import sums
from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.presets import PRESETS
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import token_weights

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT


def test_by_hand():
    # the masked token's value is NaN, as if never written; the last row is verl's padding
    regions = torch.tensor([[F, K, -1, K], [A, A, N, X], [-1, -1, -1, -1]], dtype=torch.int8)
    values = torch.tensor([[1, 2, math.nan, 4], [0.5, 0.25, 8, 16], [math.nan] * 4])
    summed = sums.region_sums(regions, values)
    assert summed.dtype == torch.float64
    assert summed.tolist() == [[1, 0, 0, 6, 0], [0, 8, 0.75, 0, 16], [0, 0, 0, 0, 0]]
    assert sums.region_sums(regions).tolist() == [[1, 0, 0, 2, 0], [0, 1, 2, 0, 1], [0] * 5]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_add_up(shape):
    assert sums.region_sums(torch.full(shape, -1)).tolist() == [[0.0] * 5] * shape[0]


@pytest.mark.parametrize(("chunk", "slices"), [(1, 5), (7, 5), (14, 3), (28, 2), (1 << 16, 1)])
def test_the_chunks_cover_every_row_once(monkeypatch, chunk, slices):
    # five rows of seven tokens: one row at least, and as many as fit
    monkeypatch.setattr(sums, "_CHUNK", chunk)
    rows = torch.arange(5)
    parts = [rows[part] for part in sums.row_chunks(torch.zeros(5, 7))]
    assert len(parts) == slices
    assert torch.equal(torch.cat(parts), rows)


@pytest.mark.parametrize("preset", PRESETS)
def test_chunks_do_not_show_in_the_weights(monkeypatch, preset):
    generator = torch.Generator().manual_seed(0)
    regions = torch.randint(-1, 5, (9, 11), generator=generator)
    regions[3] = -1  # a chunk of which no token takes part
    entropy = torch.rand(regions.shape, generator=generator)
    config = ReSTConfig.preset(preset)
    whole = token_weights(regions, entropy, 0.4, config=config, step=60)
    for chunk in (1, 23, 60):
        monkeypatch.setattr(sums, "_CHUNK", chunk)
        parts = token_weights(regions, entropy, 0.4, config=config, step=60)
        assert torch.equal(parts[0], whole[0])
        assert parts[1] == whole[1]
