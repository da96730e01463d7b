"""A count-sketch of a gradient: few numbers that keep its inner products, without bias.

Charikar, Chen, Farach-Colton (2002): every parameter is added, with a random sign, to a random one
of D numbers. With signs and places independent, E<sketch x, sketch y> = <x, y> and the variance is
at most (‖x‖² ‖y‖² + <x, y>²) / D. A sketch is linear: that of a sum is the sum of the sketches.

Shape letters: D numbers of a sketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class CountSketch:
    """One draw of places and signs for the parameters of a model; 4 bytes a parameter."""

    def __init__(self, parameters: Iterable[Tensor], size: int, seed: int) -> None:
        """Draws places and signs from `seed`, in the order of the parameters."""
        self.size = size
        generator = torch.Generator().manual_seed(seed)
        # A place in 2 D holds the sign as well: the upper half is taken from the lower in the end.
        self._places = [
            torch.randint(
                2 * size, (parameter.numel(),), generator=generator, dtype=torch.int32
            ).to(parameter.device)
            for parameter in parameters
        ]

    def __call__(self, gradients: Sequence[Tensor | None]) -> Tensor:
        """The sketch of one gradient, float32 (D,), on its device.

        Args:
            gradients: Of each parameter in order; None: zero.
        """
        device = self._places[0].device
        signed = torch.zeros(2 * self.size, device=device)
        for place, gradient in zip(self._places, gradients, strict=True):
            if gradient is not None:
                signed.index_add_(0, place, gradient.reshape(-1).float())
        return signed[: self.size] - signed[self.size :]
