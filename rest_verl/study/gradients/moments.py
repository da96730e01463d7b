"""Moments of group gradients from a stream of prompts, kept by block of prompts.

Of P prompts with independent gradients g_p of mean μ, the mean of <g_p, h_q> over pairs p ≠ q
estimates <E g, E h> without bias, where a prompt with itself would add its own noise. Sums by block
are all that such pairs need: <Σ g_p, Σ h_q> less the Σ <g_p, h_p>. So the memory depends on the
number of blocks, not of prompts; leaving out blocks gives the replicates that intervals are
made of (`intervals`).

Shape letters: M blocks, C columns (gradients of one prompt), D numbers of a sketch, A replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

NUM_BLOCKS = 64
"""Enough for an interval, few enough to leave out each two of them."""
LEAST_PROMPTS = 8
"""With fewer, nothing is left to judge the spread by."""


@dataclass(frozen=True)
class Replicates:
    """Estimates from all blocks, without each one, and without each two of them."""

    signal_ACC: np.ndarray
    """<E g_c, E g_d>, unbiased."""
    square_ACC: np.ndarray
    """E <g_c, g_d>: of a column with itself, signal and variance together."""
    num_blocks: int
    num_prompts: int

    def split(self, values_A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A figure's replicates as: from all (…), without one (M, …), without two (M(M-1)/2, …)."""
        return values_A[0], values_A[1 : self.num_blocks + 1], values_A[self.num_blocks + 1 :]


class Moments:
    """Sums over prompts, by block; prompt p of P belongs to block p · M // P."""

    def __init__(self, num_prompts: int, num_columns: int, size: int) -> None:
        """Empty.

        Raises:
            ValueError: too few prompts.
        """
        check_enough(num_prompts)
        num_blocks = min(NUM_BLOCKS, num_prompts)
        self._num_prompts, self._num_added = num_prompts, 0
        self._sum_MCD = np.zeros((num_blocks, num_columns, size))
        self._own_MCC = np.zeros((num_blocks, num_columns, num_columns))
        self._count_M = np.zeros(num_blocks, dtype=np.int64)

    @property
    def num_blocks(self) -> int:
        """M."""
        return self._sum_MCD.shape[0]

    @property
    def num_columns(self) -> int:
        """C."""
        return self._sum_MCD.shape[1]

    def add(self, gradients_CD: np.ndarray | None) -> None:
        """Takes in the next prompt's gradients; None: all zero."""
        block = self._num_added * len(self._count_M) // self._num_prompts
        self._num_added += 1
        self._count_M[block] += 1
        if gradients_CD is not None:
            self._sum_MCD[block] += gradients_CD
            self._own_MCC[block] += gradients_CD @ gradients_CD.T

    def replicates(self, blocks: np.ndarray | None = None) -> Replicates:
        """From those blocks, by default all; three are the least."""
        chosen = np.arange(self.num_blocks) if blocks is None else blocks
        sum_MCD, own_MCC = self._sum_MCD[chosen], self._own_MCC[chosen]
        count_M = self._count_M[chosen]
        num_blocks, num_columns, size = sum_MCD.shape
        flat = sum_MCD.reshape(-1, size)
        inner_MCMC = (flat @ flat.T).reshape(num_blocks, num_columns, num_blocks, num_columns)

        one_M = inner_MCMC.sum(2)  # a block's sum with that of all, (M, C, C)
        one_M = one_M + one_M.swapaxes(1, 2) - np.einsum("mcmd->mcd", inner_MCMC)
        first, second = np.array(list(combinations(range(num_blocks), 2))).T
        # what two blocks have with each other is in the sums of both, and is taken out once
        both = inner_MCMC[first, :, second] + inner_MCMC[second, :, first]
        pairs_ACC = inner_MCMC.sum((0, 2)) - np.concatenate(
            [np.zeros_like(one_M[:1]), one_M, one_M[first] + one_M[second] - both]
        )
        own_ACC = own_MCC.sum(0) - np.concatenate(
            [np.zeros_like(own_MCC[:1]), own_MCC, own_MCC[first] + own_MCC[second]]
        )
        count_A = count_M.sum() - np.concatenate([[0], count_M, count_M[first] + count_M[second]])
        count_A = count_A[:, None, None]
        return Replicates(
            signal_ACC=(pairs_ACC - own_ACC) / (count_A * (count_A - 1)),
            square_ACC=own_ACC / count_A,
            num_blocks=num_blocks,
            num_prompts=int(count_M.sum()),
        )


def check_enough(num_prompts: int) -> None:
    """ValueError for fewer prompts than can say anything."""
    if num_prompts < LEAST_PROMPTS:
        raise ValueError(
            f"{num_prompts} prompts are too few to tell signal from noise; give at least "
            f"{LEAST_PROMPTS}, better hundreds"
        )
