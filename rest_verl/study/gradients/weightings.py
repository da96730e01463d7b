"""The weightings that are compared: presets and weights of one's own, at some moments of training.

Shape letters: B responses, T response tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import token_weights

UNIFORM = "uniform"


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """One configuration at one moment."""

    name: str
    config: ReSTConfig
    progress: float | None
    """In [0, 1]; None: the weights do not change with it."""

    @property
    def label(self) -> str:
        """What tables call it: `paper ν=0.5`."""
        return self.name if self.progress is None else f"{self.name} ν={self.progress:g}"

    @property
    def by_region(self) -> bool:
        """Whether all tokens of a region of a response weigh the same."""
        return self.config.scope != "token" and not self.config.shuffle

    def weights(self, region_BT: Tensor, entropy_BT: Tensor, total_steps: int) -> Tensor:
        """Token weights as training with this batch would have them, float32 (B, T).

        Args:
            region_BT: Regions, -1 where no token was sampled.
            entropy_BT: Of the policy (nats).
            total_steps: What progress 1 is in steps, for a configuration that counts them.
        """
        progress = self.progress or 0.0
        weights_BT, _ = token_weights(
            region_BT,
            entropy_BT,
            progress,
            step=round(progress * total_steps),
            config=self.config,
        )
        return weights_BT


def weightings(
    presets: Iterable[str], own: Iterable[tuple[str, ReSTConfig]], progress: Sequence[float]
) -> list[Weighting]:
    """All that is to be compared, `uniform` first; one entry where progress changes nothing.

    Raises:
        ValueError: no such preset, or one name twice.
    """
    named = [(name, ReSTConfig.preset(name)) for name in dict.fromkeys([UNIFORM, *presets])]
    found = []
    names = set()
    for name, config in [*named, *own]:
        if name in names:
            raise ValueError(f"--weights {name}: the name is taken; give it another")
        names.add(name)
        for moment in sorted(set(progress)) if config.has_curriculum else [None]:
            found.append(Weighting(name=name, config=config, progress=moment))
    return found


def parse_weights(text: str) -> tuple[str, ReSTConfig]:
    """Weights of one's own, `name:format=1,args=0.8`; a region that is not named weighs 1.

    As training with `algorithm.rest.gamma_<region>` has them: scaled to mean 1 over each
    response's tokens of weight above 0; 0 takes a region out.

    Raises:
        ValueError: what is wrong with the text.
    """
    name, colon, listed = text.partition(":")
    regions = [region.name.lower() for region in Region]
    gammas = dict.fromkeys(regions, 1.0)
    example = "such as mine:format=0.8,name=1.2,args=1.2,think=0.8,text=0.8"
    if not colon or not name.strip() or not listed.strip():
        raise ValueError(f"--weights {text}: name them and list the regions, {example}")
    for part in listed.split(","):
        region, _, number = (piece.strip() for piece in part.partition("="))
        if region not in gammas:
            raise ValueError(
                f"--weights {text}: {region!r} is no region; there are {', '.join(regions)}"
            )
        try:
            gammas[region] = float(number)
        except ValueError:
            raise ValueError(f"--weights {text}: {number!r} is no number; {example}") from None
    positive = [gamma for gamma in gammas.values() if gamma]
    if not all(0 <= gamma < float("inf") for gamma in gammas.values()) or not positive:
        raise ValueError(f"--weights {text}: weights are 0 or above, and one of them is above 0")
    low, high = min(positive), max(positive)
    options: dict[str, Any] = {f"gamma_{region}": gamma for region, gamma in gammas.items()}
    options |= dict.fromkeys(("alpha_format", "alpha_args", "alpha_think"), 0.0)
    config = ReSTConfig(**options, w_min=low, w_max=high if high > low else 2 * low)
    return name.strip(), config


def stacked_weights(
    found: Sequence[Weighting], region_BT: Tensor, entropy_BT: Tensor, total_steps: int
) -> Tensor:
    """Token weights of all weightings, float32 (K, B, T)."""
    return torch.stack([one.weights(region_BT, entropy_BT, total_steps) for one in found])
