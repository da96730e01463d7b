"""Token weights: each token takes the weight of its region, low entropy weighing more.

A pipeline of small steps, each in a module of its own and chosen by an option of `ReSTConfig`:
entropies (`memory`) → rule, scale, bounds (`scaling`) → `curriculum` → `normalisation`. Weights
depend on a token only through its row and region, so all steps work on (B, R) tables; the only
(B, T) work is a sum by region and a look-up, a few rows at a time. Sums are in float64: the order
of the rows and the padding do not show in the float32 result. Where each turn is normalised by
itself (`weights_per`), the last step is taken for one turn of all responses after the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.curriculum import scheduled_weights
from rest_verl.algorithm.inputs import PerRow, checked_batch, checked_turns, clock_of, per_row
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.algorithm.normalisation import normalised
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.scaling import base_weights
from rest_verl.algorithm.shuffling import shuffled_within_rows
from rest_verl.algorithm.statistics import batch_statistics, progress_statistic
from rest_verl.algorithm.sums import NUM_REGIONS, bins, region_sums, row_chunks

__all__ = ["EntropyMemory", "PerRow", "ReSTConfig", "region_weights", "token_weights"]

# Shape letters: B responses, T response tokens, R regions, N labelled tokens laid flat.


@torch.no_grad()
def token_weights(
    regions: Tensor | np.ndarray,
    entropy: Tensor | np.ndarray | None = None,
    progress: PerRow | None = None,
    *,
    config: ReSTConfig | str,
    step: PerRow | None = None,
    memory: EntropyMemory | None = None,
    turns: Tensor | np.ndarray | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Per-token weights of the policy loss, and what to log about them (docs/method.md, section 3).

    Args:
        regions: `Region` of each token, integers, (B, T); -1 where the token does not train: not
            sampled by the policy, or rejected since. Labels come from all sampled tokens; what is
            masked here has no part in entropies, weights or statistics.
        entropy: The old policy's entropy (nats), (B, T); read at labelled tokens only. May be None
            where `config.needs_entropy` is false.
        progress: Training progress, in [0, 1]; one number, or (B,) where policies of several steps
            sampled the rows. May be None where `config` has no curriculum or counts in steps.
        config: A configuration, or a preset's name, such as `paper`.
        step: Training step, not negative; one number or (B,); needed where `config.clock` is
            `step`.
        memory: Region entropies of the steps before, brought up to date here; needed where
            `config.entropy_ema` is above 0, else not read.
        turns: The turn of each token, integers from 0, (B, T); read at labelled tokens only, and
            where `config.weights_per` is `turn`. None: a response is one turn.

    Returns:
        Weights, float32, (B, T), at most `w_cap` and of mean 1 over each row's (or turn's) tokens
        of weight above 0 (`normalise_over`), 0 at masked tokens; where every labelled token of a
        row (or turn) weighs 0, it stays 0. And a flat dict of floats: `rest/entropy/<region>` (mean
        of this batch, nats) and `rest/weight/<region>` (mean), left out for a region without
        tokens, since absent is not zero; `rest/token_share/<region>` and
        `rest/weight_share/<region>` (fractions of the batch); `rest/zero_weight_share` and
        `rest/ceiling_share` (fractions of labelled tokens that weigh 0 and `w_cap`);
        `rest/format_only_share` (fraction of the responses, of more than tags, in which tags alone
        train); `rest/progress` (mean over rows with labelled tokens).

    Raises:
        ValueError: No such preset, shapes differ, a label is no region, an entropy at a labelled
            token is not finite, a labelled token is in no turn, or what `config` needs is missing
            or out of range.
    """
    config = ReSTConfig.of(config)
    region_BT, entropy_BT = checked_batch(regions, entropy, config)
    turn_BT = checked_turns(turns, region_BT, config)
    progress, step = per_row("progress", progress, region_BT), per_row("step", step, region_BT)
    clock = clock_of(progress, step, config)
    if config.entropy_ema and memory is None:
        raise ValueError(
            "entropy_ema is above 0: pass one EntropyMemory(share=config.entropy_ema) at every step"
        )
    count_BR = region_sums(region_BT)
    entropy_BR = None if entropy_BT is None else _entropy_sums(region_BT, entropy_BT)

    if config.scope == "token":
        assert entropy_BT is not None
        weights_BT = _token_scope(region_BT, entropy_BT, turn_BT, config)
        weights, count = weights_BT, region_BT >= 0
    elif turn_BT is None:
        weights = region_weights(entropy_BR, count_BR, clock, config, memory).float()
        weights_BT, count = _looked_up(weights, region_BT), count_BR
    else:
        base_BR = _base_weights(entropy_BR, count_BR, config, memory)
        weights_BT = torch.zeros(region_BT.shape, dtype=torch.float32, device=region_BT.device)
        for part_BT in _by_turn(region_BT, turn_BT):
            weight_BR = _normalised_regions(base_BR, region_sums(part_BT), clock, config)
            weights_BT += _looked_up(weight_BR.float(), part_BT)
        weights, count = weights_BT, region_BT >= 0
    if config.shuffle:
        ordered_BT, weights_BT = weights_BT, torch.zeros_like(weights_BT)
        for part_BT in _by_turn(region_BT, turn_BT):
            weights_BT += _shuffled(ordered_BT, part_BT, count_BR, entropy_BR)
    has_table = config.scope != "token" and turn_BT is None and not config.shuffle
    weight_BR = weights.double() * count_BR if has_table else region_sums(region_BT, weights_BT)

    stats = batch_statistics(weights, count, weight_BR, count_BR, entropy_BR, cap=config.w_cap)
    if progress is not None:
        stats.update(progress_statistic(progress, count_BR))
    return weights_BT, stats


def region_weights(
    entropy_BR: Tensor | None,
    count_BR: Tensor,
    clock: float | Tensor,
    config: ReSTConfig | str,
    memory: EntropyMemory | None = None,
) -> Tensor:
    """Weights of each row's regions, normalised, float64, (B, R) (scopes `batch` and `sequence`).

    Args:
        entropy_BR: Sums of the old policy's entropy (nats) over each row's tokens of each region;
            None where `config` needs none.
        count_BR: Number of those tokens.
        clock: Progress or step, whichever `config.clock` says; one number or (B, 1).
        config, memory: As for `token_weights`.
    """
    config = ReSTConfig.of(config)
    base_BR = _base_weights(entropy_BR, count_BR, config, memory)
    return _normalised_regions(base_BR, count_BR, clock, config)


def _base_weights(
    entropy_BR: Tensor | None, count_BR: Tensor, config: ReSTConfig, memory: EntropyMemory | None
) -> Tensor:
    """What the curriculum starts from, (B, R), or (1, R) where all rows share it."""
    set_by_name = {region: getattr(config, f"gamma_{region.name.lower()}") for region in Region}
    gammas = {region: gamma for region, gamma in set_by_name.items() if gamma is not None}
    base_BR = count_BR.new_ones(1, NUM_REGIONS)
    if entropy_BR is not None and config.needs_entropy:
        per_row = config.scope == "sequence"
        sum_BR = entropy_BR if per_row else entropy_BR.sum(0, keepdim=True)
        tokens_BR = count_BR if per_row else count_BR.sum(0, keepdim=True)
        # an absent region has no entropy: its entry is finite, weighs nothing and is never read
        mean_BR = sum_BR / tokens_BR.clamp_min(1)
        if config.entropy_ema:
            assert memory is not None
            mean_BR = memory.update(mean_BR[0], tokens_BR[0])[None]
        scaled_BR = tokens_BR.clone()
        if config.scale == "calibrated":
            scaled_BR[:, list(gammas)] = 0  # what is set is no part of the equation
        base_BR = base_weights(mean_BR, scaled_BR, config)
    for region, gamma in gammas.items():
        base_BR[:, region] = gamma
    return base_BR


def _normalised_regions(
    base_BR: Tensor, count_BR: Tensor, clock: float | Tensor, config: ReSTConfig
) -> Tensor:
    """The weights at that moment, of mean 1 over the tokens that `count_BR` counts."""

    def at(moment: float | Tensor, held_BR: Tensor | None = None) -> Tensor:
        weights_BR = scheduled_weights(base_BR, moment, config)
        return normalised(
            weights_BR, count_BR, over=config.normalise_over, cap=config.w_cap, held_BC=held_BR
        )

    if config.constant_name == "before" or not config.has_curriculum:
        return at(clock)
    held_BR = torch.full_like(count_BR, torch.nan)
    held_BR[:, Region.NAME] = at(0.0)[:, Region.NAME]
    # A row of which only names train has nothing else to take up what they leave.
    return at(clock, held_BR)


def _by_turn(region_BT: Tensor, turn_BT: Tensor | None) -> Iterator[Tensor]:
    """The regions of one turn after the other, -1 at the others' tokens; None: all is one turn."""
    if turn_BT is None:
        yield region_BT
        return
    for turn in range(int(turn_BT.max()) + 1 if turn_BT.numel() else 0):
        yield region_BT.masked_fill(turn_BT != turn, -1)


def _token_scope(
    region_BT: Tensor, entropy_BT: Tensor, turn_BT: Tensor | None, config: ReSTConfig
) -> Tensor:
    """The rule at each token by itself (Theorem 2; or the highest entropies)."""
    is_labelled_BT = region_BT >= 0
    base_N = entropy_BT[is_labelled_BT].double()
    base_N = base_weights(base_N, torch.ones_like(base_N), config)
    weights_BT = torch.zeros(region_BT.shape, dtype=torch.float32, device=region_BT.device)
    first = 0
    for rows in row_chunks(region_BT):
        mask_bT = is_labelled_BT[rows]
        last = first + int(mask_bT.sum())
        base_bT = base_N.new_zeros(mask_bT.shape).masked_scatter_(mask_bT, base_N[first:last])
        for part_bT in _by_turn(region_BT[rows], None if turn_BT is None else turn_BT[rows]):
            mask_bT = part_bT >= 0
            weights_BT[rows] += normalised(
                base_bT * mask_bT, mask_bT.double(), over=config.normalise_over, cap=config.w_cap
            ).float()
        first = last
    return weights_BT


def _looked_up(table_BR: Tensor, region_BT: Tensor) -> Tensor:
    """Each token's entry of its row, 0 where masked."""
    table_BR = F.pad(table_BR, (1, 0))
    weights_BT = torch.empty(region_BT.shape, dtype=table_BR.dtype, device=region_BT.device)
    for rows in row_chunks(region_BT):
        torch.gather(table_BR[rows], 1, bins(region_BT[rows]), out=weights_BT[rows])
    return weights_BT


def _shuffled(
    weights_BT: Tensor, region_BT: Tensor, count_BR: Tensor, entropy_BR: Tensor | None
) -> Tensor:
    told_apart_BR = count_BR if entropy_BR is None else entropy_BR + count_BR
    bits_BR = told_apart_BR.cpu().numpy().view(np.uint64)
    shuffled = shuffled_within_rows(
        weights_BT.cpu().numpy(),
        (region_BT >= 0).cpu().numpy(),
        np.bitwise_xor.reduce(bits_BR * np.arange(1, 2 * NUM_REGIONS, 2, dtype=np.uint64), axis=1),
    )
    return torch.from_numpy(shuffled).to(weights_BT.device)


def _entropy_sums(region_BT: Tensor, entropy_BT: Tensor) -> Tensor:
    sum_BR = region_sums(region_BT, entropy_BT)
    if not sum_BR.isfinite().all():
        row, token = ((region_BT >= 0) & ~entropy_BT.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"entropy of row {row}, token {token} is {float(entropy_BT[row, token])}: the old "
            "policy's logits are broken there; mask the token or find the cause"
        )
    return sum_BR
