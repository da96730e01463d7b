"""The paper's Lemma 2 and Theorem 1, held against what a policy does.

- Lemma 2: the score of a softmax step has E‖s_t‖² = 1 - Σ_v p_v² ≤ 1 - exp(-H_t). Both sides are
  worked out from the policy's predictions. (1 - π(id) of the sampled id has the same expectation,
  but not among the tokens of a region: the id itself decides the region.)
- Theorem 1: Var(g) ≤ E[Â²] Σ_t β_t w_t², β_t = E[‖J_t‖² (1 - exp(-H_t))]. With the Jacobians J_t
  taken as alike, as the method does when it goes by entropy, the bound of one weighting over
  uniform's has no unknown left, and can be held against the ratio of the variances.

Shape letters: B responses, T response tokens, R regions, K weightings.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rest_verl.algorithm.sums import NUM_REGIONS, region_sums


class Theory:
    """Sums over batches."""

    def __init__(self, num_weightings: int) -> None:
        self.count_R = torch.zeros(NUM_REGIONS, dtype=torch.float64)
        """Tokens."""
        self._entropy_R = torch.zeros_like(self.count_R)
        self._score_norm_R = torch.zeros_like(self.count_R)
        self._bound_R = torch.zeros_like(self.count_R)
        self._weight_KR = torch.zeros(num_weightings, NUM_REGIONS, dtype=torch.float64)
        self._predicted_K = torch.zeros(num_weightings, dtype=torch.float64)

    def add(
        self,
        region_BT: Tensor,
        entropy_BT: Tensor,
        score_norm_BT: Tensor,
        advantage_B: Tensor,
        weights_KBT: Tensor,
        group_size_B: Tensor,
    ) -> None:
        """Takes in a batch of whole groups.

        Args:
            region_BT: Regions, -1 where no token was sampled.
            entropy_BT: Of the policy (nats).
            score_norm_BT: 1 - Σ p² of its predictions.
            advantage_B: Advantages.
            weights_KBT: Token weights.
            group_size_B: Responses in each one's group.
        """
        bound_BT = -torch.expm1(-entropy_BT.double())
        count_BR = region_sums(region_BT)
        self.count_R += count_BR.sum(0)
        self._entropy_R += region_sums(region_BT, entropy_BT).sum(0)
        self._score_norm_R += region_sums(region_BT, score_norm_BT).sum(0)
        self._bound_R += region_sums(region_BT, bound_BT).sum(0)
        scale_B = advantage_B / (group_size_B * count_BR.sum(1).clamp_min(1))
        for row, weights_BT in enumerate(weights_KBT.double()):
            self._weight_KR[row] += region_sums(region_BT, weights_BT).sum(0)
            noise_B = region_sums(region_BT, weights_BT**2 * bound_BT).sum(1)
            self._predicted_K[row] += (scale_B**2 * noise_B).sum()

    def entropy(self) -> list[float | None]:
        """Mean entropy (nats) by region; None: absent."""
        return self._means(self._entropy_R)

    def score_norm(self) -> list[float | None]:
        """Lemma 2's left side by region."""
        return self._means(self._score_norm_R)

    def bound(self) -> list[float | None]:
        """Lemma 2's right side by region."""
        return self._means(self._bound_R)

    def token_share(self) -> list[float]:
        """Of all tokens, by region."""
        return (self.count_R / self.count_R.sum().clamp_min(1)).tolist()

    def weights(self) -> list[list[float | None]]:
        """Mean weight of each weighting by region."""
        return [self._means(weight_R) for weight_R in self._weight_KR]

    def predicted_variance(self) -> list[float | None]:
        """Theorem 1's bound with equal Jacobians, over the first weighting's; None: no noise."""
        first = float(self._predicted_K[0])
        return [float(value) / first if first else None for value in self._predicted_K]

    def _means(self, sum_R: Tensor) -> list[float | None]:
        pairs = zip(sum_R.tolist(), self.count_R.tolist(), strict=True)
        return [total / count if count else None for total, count in pairs]
