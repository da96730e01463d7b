"""The objective of every loss mode, written out from its paper; nothing here calls verl.

L = -(1/G) Σ_i (1/T_i) Σ_t w_{i,t} · J_{i,t} (and the other means), where J is the mode's own term
of one token: for GRPO it is min(r A, clip(r, 1-ε, 1+ε) A). Each function below returns the J of a
response's sampled tokens, to be maximised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Shape letters: G responses of the batch, T sampled tokens of one response, N of one micro-batch.


@dataclass(frozen=True, kw_only=True)
class Response:
    """One response's sampled tokens, each field (T,); `log_prob` carries the gradient."""

    log_prob: Tensor
    old_log_prob: Tensor
    advantage: Tensor
    weight: Tensor


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of the modes, under verl's names."""

    clip_ratio_low: float = 0.2
    clip_ratio_high: float = 0.28
    clip_ratio_c: float = 3.0
    tau_pos: float = 1.0
    tau_neg: float = 1.05
    clip_cov_lb: float = 0.5
    clip_cov_ub: float = 3.0
    kl_cov_ratio: float = 0.1
    ppo_kl_coef: float = 0.7
    dro_beta: float = 0.5


def ppo(x: Response, s: Settings) -> Tensor:
    """PPO's clipped term (1707.06347, eq. 7), GRPO's per token (2402.03300); for A < 0 bounded by
    c A (dual clip, 1912.09729)."""
    ratio = torch.exp(x.log_prob - x.old_log_prob)
    term = torch.minimum(ratio * x.advantage, _clip(ratio, s) * x.advantage)
    return torch.where(x.advantage < 0, torch.maximum(term, s.clip_ratio_c * x.advantage), term)


def gspo(x: Response, s: Settings) -> Tensor:
    """GSPO-token (2507.18071, section 4.3): every token has the ratio of its sequence, the
    geometric mean of the token ratios; a token's gradient is its own."""
    sequence_ratio = torch.exp((x.log_prob - x.old_log_prob).mean()).detach()
    ratio = sequence_ratio * torch.exp(x.log_prob - x.log_prob.detach())
    return torch.minimum(ratio * x.advantage, _clip(ratio, s) * x.advantage)


def cispo(x: Response, s: Settings) -> Tensor:
    """CISPO (2506.13585): sg(clip(r)) A log π."""
    ratio = torch.exp(x.log_prob - x.old_log_prob).detach()
    return _clip(ratio, s) * x.advantage * x.log_prob


def sapo(x: Response, s: Settings) -> Tensor:
    """SAPO (2511.20347): a soft gate of the ratio, (4/τ) σ(τ (r - 1)) A."""
    tau = torch.where(x.advantage > 0, s.tau_pos, s.tau_neg)
    ratio = torch.exp(x.log_prob - x.old_log_prob)
    return 4 / (tau * (1 + torch.exp(-tau * (ratio - 1)))) * x.advantage


def gpg(x: Response, s: Settings) -> Tensor:
    """GPG (2504.02546): the plain policy gradient, A log π."""
    return x.advantage * x.log_prob


def dro(x: Response, s: Settings) -> Tensor:
    """DRO (2405.19107): the squared distance of β log r from A; over β, for the gradient of A."""
    distance = x.advantage - s.dro_beta * (x.log_prob - x.old_log_prob)
    return -distance.square() / (2 * s.dro_beta)


def dppo_tv(x: Response, s: Settings) -> Tensor:
    """DPPO (2602.04879) with binary total variation: no gradient beyond a change of probability
    in the advantage's direction."""
    change = (x.log_prob.exp() - x.old_log_prob.exp()).detach()
    kept = torch.where(x.advantage > 0, change <= s.clip_ratio_high, -change <= s.clip_ratio_low)
    return _dppo(x, kept, s)


def dppo_kl(x: Response, s: Settings) -> Tensor:
    """DPPO with the KL divergence of the two-outcome distributions (token, any other)."""
    p, q = x.log_prob.exp().detach(), x.old_log_prob.exp()
    divergence = q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
    up = (divergence <= s.clip_ratio_high) | (p <= q)
    down = (divergence <= s.clip_ratio_low) | (p >= q)
    return _dppo(x, torch.where(x.advantage > 0, up, down), s)


def _dppo(x: Response, kept: Tensor, s: Settings) -> Tensor:
    ratio = torch.exp(x.log_prob - x.old_log_prob).detach().clamp(max=s.clip_ratio_c)
    return kept * ratio * x.advantage * x.log_prob


def _clip(ratio: Tensor, s: Settings) -> Tensor:
    return ratio.clamp(1 - s.clip_ratio_low, 1 + s.clip_ratio_high)


TERM: dict[str, Callable[[Response, Settings], Tensor]] = {
    "vanilla": ppo,
    "rest": ppo,
    "gspo": gspo,
    "cispo": cispo,
    "sapo": sapo,
    "gpg": gpg,
    "dro": dro,
    "dppo_tv": dppo_tv,
    "dppo_kl": dppo_kl,
}


def clip_cov(batch: list[Response], s: Settings) -> list[Tensor]:
    """Clip-Cov (2505.22617): tokens whose covariance of log π and A lies between the bounds lose
    their gradient (all of them here; a share drawn at random in training)."""
    without_dual_clip = replace(s, clip_ratio_c=1e9)
    terms = [ppo(x, without_dual_clip) for x in batch]
    dropped = []
    for x, covariance in zip(batch, _covariances(batch), strict=True):
        ratio = torch.exp(x.log_prob - x.old_log_prob)
        clipped = ratio * x.advantage > _clip(ratio, s) * x.advantage
        inside = (covariance > s.clip_cov_lb) & (covariance < s.clip_cov_ub)
        dropped.append(inside & ~clipped)
    return [term * ~drop for term, drop in zip(terms, dropped, strict=True)]


def kl_cov(batch: list[Response], s: Settings) -> list[Tensor]:
    """KL-Cov (2505.22617): r A, and less β |log r| at the tokens of the largest covariance."""
    covariance_N = torch.cat(_covariances(batch))
    chosen_N = torch.zeros_like(covariance_N, dtype=torch.bool)
    chosen_N[covariance_N.topk(max(1, int(len(chosen_N) * s.kl_cov_ratio))).indices] = True
    terms = []
    for x, chosen in zip(batch, chosen_N.split([len(x.weight) for x in batch]), strict=True):
        log_ratio = x.log_prob - x.old_log_prob
        terms.append(log_ratio.exp() * x.advantage - s.ppo_kl_coef * log_ratio.abs() * chosen)
    return terms


def _covariances(batch: list[Response]) -> list[Tensor]:
    """(A - mean A)(log π - mean log π), with the means over the micro-batch's N tokens."""
    advantage = torch.cat([x.advantage for x in batch]).mean()
    log_prob = torch.cat([x.log_prob for x in batch]).detach().mean()
    return [(x.advantage - advantage) * (x.log_prob.detach() - log_prob) for x in batch]


def terms_of(mode: str, batch: list[Response], settings: Settings) -> list[Tensor]:
    """J of every sampled token of one micro-batch; only the two covariance modes look across it."""
    if mode in ("clip_cov", "kl_cov"):
        across = clip_cov if mode == "clip_cov" else kl_cov
        return across(batch, settings)
    return [TERM[mode](x, settings) for x in batch]


def mean_of(
    aggregation: str,
    losses: list[Tensor],
    *,
    num_tokens: int,
    num_responses: int,
    scale: int | None = None,
) -> Tensor:
    """verl's `loss_agg_mode`: per-token losses of some responses -> their part of the batch's loss.

    Args:
        losses: Per response, (T,).
        num_tokens, num_responses: Of the whole batch, all micro-batches together.
        scale: Constant length of `seq-mean-token-sum-norm` (Dr.GRPO, 2503.20783).
    """
    sums = torch.stack([loss.sum() for loss in losses])
    match aggregation:
        case "token-sum":
            return sums.sum()
        case "token-mean":
            return sums.sum() / num_tokens
        case "seq-mean-token-sum":
            return sums.sum() / num_responses
        case "seq-mean-token-sum-norm":
            assert scale is not None
            return sums.sum() / num_responses / scale
        case "seq-mean-token-mean":
            lengths = torch.tensor([max(1, len(loss)) for loss in losses])
            return (sums / lengths).sum() / num_responses
    raise AssertionError(aggregation)
