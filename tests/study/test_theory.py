"""Lemma 2 and Theorem 1 as they are measured: by hand on a small batch, and on a policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rest_verl.study.gradients.theory import Theory

# two responses of one group: FORMAT FORMAT ARGS, and THINK masked
REGION = torch.tensor([[0, 0, 2], [3, -1, -1]], dtype=torch.int8)
ENTROPY = torch.tensor([[0.2, 0.4, 1.0], [0.5, 9.0, 9.0]])
SCORE_NORM = torch.tensor([[0.1, 0.2, 0.6], [0.3, 9.0, 9.0]])
WEIGHTS = torch.tensor([[[1.0, 1, 1], [1, 0, 0]], [[0.5, 0.5, 2], [1, 0, 0]]])
BOUND = 1 - np.exp(-ENTROPY.double().numpy())


@pytest.fixture
def theory() -> Theory:
    made = Theory(2)
    advantage = torch.tensor([0.7, -0.7]).double()
    made.add(REGION, ENTROPY, SCORE_NORM, advantage, WEIGHTS, torch.tensor([2, 2]))
    return made


def test_means_by_region(theory: Theory) -> None:
    assert theory.token_share() == [0.5, 0.0, 0.25, 0.25, 0.0]
    assert theory.entropy() == [pytest.approx(0.3), None, 1.0, 0.5, None]
    norms = [0.15, None, 0.6, 0.3, None]
    assert theory.score_norm() == [n and pytest.approx(n, abs=1e-6) for n in norms]
    bounds = [BOUND[0, :2].mean(), None, BOUND[0, 2], BOUND[1, 0], None]
    assert theory.bound() == [b and pytest.approx(b) for b in bounds]


def test_mean_weights(theory: Theory) -> None:
    assert theory.weights() == [[1.0, None, 1.0, 1.0, None], [0.5, None, 2.0, 1.0, None]]


def test_the_predicted_variance_is_theorem_1(theory: Theory) -> None:
    """Σ_i (Â_i / (G T_i))² Σ_t w_t² (1 - exp(-H_t)), over that of ones."""
    first = [(0.7 / 2 / 3) ** 2 * (w**2 * BOUND[0]).sum() for w in WEIGHTS[:, 0].numpy()]
    second = (0.7 / 2 / 1) ** 2 * BOUND[1, 0]
    expected = (first[1] + second) / (first[0] + second)
    assert theory.predicted_variance() == [1.0, pytest.approx(expected)]


def test_without_advantages_nothing_is_predicted() -> None:
    theory = Theory(1)
    theory.add(REGION, ENTROPY, SCORE_NORM, torch.zeros(2), WEIGHTS[:1], torch.tensor([2, 2]))
    assert theory.predicted_variance() == [None]
