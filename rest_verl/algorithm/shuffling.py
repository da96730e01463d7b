"""Permutes each response's weights among its tokens: the control for what any reweighting does."""

from __future__ import annotations

import numpy as np

# Shape letters: B responses, T response tokens.

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def shuffled_within_rows(
    values_BT: np.ndarray, is_sampled_BT: np.ndarray, signature_B: np.ndarray
) -> np.ndarray:
    """The values of each row's sampled tokens in another order; 0 elsewhere.

    A row's permutation follows from its signature and length alone, so neither the batch around it
    nor the padding behind it changes it, and a resumed run draws it again.

    Args:
        values_BT: What to permute.
        is_sampled_BT: bool; the tokens that take part.
        signature_B: uint64, what tells the rows apart.
    """
    result_BT = np.zeros_like(values_BT)
    for row, is_sampled in enumerate(is_sampled_BT):
        place = np.flatnonzero(is_sampled)
        order = np.argsort(_hashed(signature_B[row], len(place)), kind="stable")
        result_BT[row, place] = values_BT[row, place[order]]
    return result_BT


def _hashed(signature: np.uint64, count: int) -> np.ndarray:
    """`count` pseudo-random numbers (splitmix64), uint64."""
    with np.errstate(over="ignore"):
        state = signature + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
        for factor, shift in zip(_MIX, (30, 27), strict=True):
            state = (state ^ (state >> np.uint64(shift))) * factor
        return state ^ (state >> np.uint64(31))
