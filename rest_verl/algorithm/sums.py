"""Sums over each response's tokens of a region: all that the weights need to know of a batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rest_verl.algorithm.regions import Region

# Shape letters: B responses, T response tokens, R regions.

NUM_REGIONS = len(Region)
_CHUNK = 1 << 16
"""Tokens worked on at once: their 64-bit temporaries stay in the cache."""


def row_chunks(region_BT: Tensor) -> Iterator[slice]:
    """Slices of a few rows each that cover the batch."""
    num_rows, num_tokens = region_BT.shape
    rows = max(1, _CHUNK // max(1, num_tokens))
    for first in range(0, num_rows, rows):
        yield slice(first, first + rows)


def bins(region_BT: Tensor) -> Tensor:
    """Region numbers from 1, int64; bin 0 takes the masked tokens, whatever they hold."""
    return region_BT.long() + 1


def region_sums(region_BT: Tensor, values_BT: Tensor | None = None) -> Tensor:
    """Sums of values over each row's tokens of each region, float64, (B, R).

    Added up in the order of the tokens, so that padding behind them changes no bit.

    Args:
        region_BT: Regions, -1 where masked.
        values_BT: What to add up; None: ones, which counts the tokens.
    """
    sums_BR = torch.zeros(
        (len(region_BT), NUM_REGIONS + 1), dtype=torch.float64, device=region_BT.device
    )
    one = sums_BR.new_ones(())
    for rows in row_chunks(region_BT):
        bin_bT = bins(region_BT[rows])
        values = one.expand_as(bin_bT) if values_BT is None else values_BT[rows].double()
        sums_BR[rows].scatter_add_(1, bin_bT, values)
    return sums_BR[:, 1:]
