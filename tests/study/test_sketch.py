"""The count-sketch: linear, from its seed alone, and its inner products are right on average."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rest_verl.study.gradients.sketch import CountSketch

SHAPES = [(7, 5), (300,), (2, 3, 4)]


def gradients(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]).double()


def parameters() -> list[Tensor]:
    return [torch.empty(shape) for shape in SHAPES]


def test_it_is_linear() -> None:
    sketch = CountSketch(parameters(), 64, seed=3)
    first, second = gradients(0), gradients(1)
    combined = [2 * one - 3 * other for one, other in zip(first, second, strict=True)]
    torch.testing.assert_close(sketch(combined), 2 * sketch(first) - 3 * sketch(second))


def test_each_parameter_has_one_place_and_a_sign() -> None:
    sketch = CountSketch([torch.empty(500)], 64, seed=3)
    ones = torch.stack([sketch([one]) for one in torch.eye(500)])
    assert torch.equal(ones.abs().sum(1), torch.ones(500))
    assert ones.sum(0).count_nonzero() > 32  # places are spread
    assert 150 < int((ones.sum(1) > 0).sum()) < 350  # and signs are mixed


def test_the_seed_decides() -> None:
    numbers = gradients(0)
    first, again, other = (CountSketch(parameters(), 64, seed=s)(numbers) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_absent_gradient_is_zero() -> None:
    sketch = CountSketch(parameters(), 64, seed=3)
    first, _, third = gradients(0)
    assert torch.equal(sketch([first, None, third]), sketch([first, torch.zeros(300), third]))


def test_half_precision_is_added_up_in_single() -> None:
    sketch = CountSketch([torch.empty(4096)], 16, seed=3)
    halves = torch.full((4096,), 0.1, dtype=torch.bfloat16)
    assert torch.equal(sketch([halves]), sketch([halves.float()]))


@pytest.mark.parametrize("other", [0, 1], ids=["a squared length", "an inner product"])
def test_inner_products_are_unbiased_with_the_stated_error(other: int) -> None:
    """Over many draws: the mean is the exact product, the variance at most the stated bound."""
    size, num_draws = 64, 600
    first, second = gradients(0), gradients(other)
    exact = float(flat(first) @ flat(second))
    products = []
    for seed in range(num_draws):
        sketch = CountSketch(parameters(), size, seed)
        products.append(float(sketch(first).double() @ sketch(second).double()))
    squares = [float(flat(numbers) @ flat(numbers)) for numbers in (first, second)]
    bound = (squares[0] * squares[1] + exact**2) / size
    drawn = torch.tensor(products).double()
    assert abs(drawn.mean() - exact) < 4 * (bound / num_draws) ** 0.5
    assert drawn.var() < 1.3 * bound
