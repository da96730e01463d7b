"""The gradient of a group under many weightings at once, as sketches.

g(w) = (1/G) Σ_i Â_i (1/T_i) Σ_t w_it ∇log π(t): what `rest_policy_loss` has at the old policy, up
to the sign, where each prompt's group is a batch. A weight that belongs to a region can be taken
out of the inner sum, so one backward pass a region serves every region weighting there is; a
weighting by token (`token`, `top_entropy`, `shuffled`) takes a pass of its own. One response at a
time: no padding, the forward pass shared, and each response free to have weights of its own.

Shape letters: G responses per group, T response tokens, R regions, K weightings, C columns (the K
weightings, then each region by itself), W backward passes of a response, D numbers of a sketch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.sums import NUM_REGIONS
from rest_verl.study.gradients.groups import Group, Response
from rest_verl.study.gradients.sketch import CountSketch
from rest_verl.study.policy import response_log_probs


def chosen_parameters(model: Any, pattern: str | None) -> dict[str, Tensor]:
    """The parameters whose gradient is measured, by name; the others no longer ask for any.

    Args:
        model: A causal language model of transformers.
        pattern: A regular expression that is found somewhere in the name; None: all.

    Raises:
        ValueError: no expression, or none of the names holds it.
    """
    try:
        fits = re.compile(pattern or "").search
    except re.error as error:
        raise ValueError(f"--parameters {pattern}: no regular expression ({error})") from None
    named = dict(model.named_parameters())
    chosen = {name: parameter for name, parameter in named.items() if fits(name)}
    if not chosen:
        raise ValueError(
            f"--parameters {pattern}: fits none of the model's {len(named)} parameters, such as "
            f"{', '.join(list(named)[:3])}"
        )
    for name, parameter in named.items():
        parameter.requires_grad_(name in chosen)
    return chosen


class GroupGradients:
    """Sketches of group gradients of one model."""

    def __init__(
        self, model: Any, parameters: Sequence[Tensor], sketch: CountSketch, temperature: float
    ) -> None:
        self._model, self._parameters = model, list(parameters)
        self._sketch, self._temperature = sketch, temperature

    def __call__(
        self, group: Group, weights_KGT: Tensor, by_region: Sequence[bool]
    ) -> np.ndarray | None:
        """Sketches of the group's gradient, float64 (C, D), on the CPU; None if it is zero.

        Args:
            group: The responses.
            weights_KGT: Token weights of each weighting, on the CPU.
            by_region: Of each weighting, whether all tokens of a response's region weigh the same.
        """
        if not group.has_gradient:
            return None
        total_CD = torch.zeros(len(by_region) + NUM_REGIONS, self._sketch.size).double()
        for row, (response, advantage) in enumerate(
            zip(group.responses, group.advantages().tolist(), strict=True)
        ):
            num_tokens = int((response.region >= 0).sum())
            if not advantage or not num_tokens:
                continue
            weights_KT = weights_KGT[:, row, : len(response.token_ids)]
            share_CW, columns_WT = _passes(response, weights_KT, by_region)
            sketch_WD = self._weighted(group.prompt_ids, response, columns_WT)
            scale = advantage / (len(group.responses) * num_tokens)
            total_CD += scale * (share_CW @ sketch_WD.double().cpu())
        return total_CD.numpy()

    def _weighted(
        self, prompt_ids: Sequence[int], response: Response, columns_WT: Tensor
    ) -> Tensor:
        """The sketches of ∇ Σ_t column_t log π(t), float32 (W, D)."""
        ids_1T = torch.from_numpy(response.token_ids)[None].to(self._model.device)
        log_prob_1T, _ = response_log_probs(
            self._model, [prompt_ids], ids_1T, temperature=self._temperature
        )
        columns_WT = columns_WT.to(log_prob_1T)
        sketches = []
        for number, column_T in enumerate(columns_WT, start=1):
            gradients = torch.autograd.grad(
                (column_T * log_prob_1T[0]).sum(),
                self._parameters,
                retain_graph=number < len(columns_WT),
                allow_unused=True,
            )
            sketches.append(self._sketch(gradients))
        return torch.stack(sketches)


def _passes(
    response: Response, weights_KT: Tensor, by_region: Sequence[bool]
) -> tuple[Tensor, Tensor]:
    """What each backward pass sums up, float64 (W, T), and its share in each column, (C, W)."""
    region_T = torch.from_numpy(response.region)
    present = [region for region in Region if (region_T == region).any()]
    by_token = [row for row, is_by_region in enumerate(by_region) if not is_by_region]
    columns_WT = torch.stack(
        [(region_T == region).double() for region in present]
        + [weights_KT[row].double() for row in by_token]
    )
    share_CW = torch.zeros(len(by_region) + NUM_REGIONS, len(columns_WT), dtype=torch.float64)
    for number, region in enumerate(present):
        first = int((region_T == region).nonzero()[0])
        share_CW[: len(by_region), number] = weights_KT[:, first].double()
        share_CW[by_token, number] = 0.0
        share_CW[len(by_region) + region, number] = 1.0
    for number, row in enumerate(by_token, start=len(present)):
        share_CW[row, number] = 1.0
    return share_CW, columns_WT
