"""Region entropies averaged over the steps of a run: weights that do not jump with one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rest_verl.algorithm.regions import Region

# Shape letters: R regions.


@dataclass
class EntropyMemory:
    """The exponential average of each region's entropy; state of a run, one for it.

    A region's first entropy starts its average; a region that a batch lacks keeps its own.
    """

    share: float
    """Of the earlier average in the new one (`entropy_ema`), a training step."""
    updates_per_step: int = 1
    """Batches that are weighed in one training step (verl's `parameter_sync_step`)."""
    entropy: dict[str, float] = field(default_factory=dict)
    """Average entropy (nats) by the region's name, of the regions seen so far."""

    def update(self, entropy_R: Tensor, count_R: Tensor) -> Tensor:
        """Takes in one batch's region entropies (nats, float64, (R,)); returns the averages, (R,).

        `count_R` says how many tokens each is the mean of; where 0, it is not read.
        """
        share = self.share ** (1 / self.updates_per_step)
        averages = entropy_R.clone()
        for region in Region:
            name = region.name.lower()
            if count_R[region] > 0:
                new = float(entropy_R[region])
                old = self.entropy.get(name, new)
                self.entropy[name] = new + share * (old - new)  # exact where both are the same
            averages[region] = self.entropy.get(name, 0.0)
        return averages

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps; JSON holds it to the last bit."""
        return dict(self.entropy)

    def load(self, state: Mapping[str, float]) -> None:
        """Goes on from `state()`.

        Raises:
            ValueError: an entropy that is none, or of no region.
        """
        known = {region.name.lower() for region in Region}
        for name, value in state.items():
            if name not in known or not torch.tensor(float(value)).isfinite():
                raise ValueError(f"no entropy of a region: {name}={value}")
        self.entropy = {name: float(value) for name, value in state.items()}
