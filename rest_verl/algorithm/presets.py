"""The presets by name: what each sets, from where, and what it takes for granted.

A preset is nothing but the fields of `ReSTConfig` in which it differs from `paper`, whose values
are the dataclass's defaults: one weighting function serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named set of options of `algorithm.rest`."""

    values: Mapping[str, Any]
    """Fields of `ReSTConfig` that differ from the preset `paper`."""
    formula: str
    """A token's weight before normalisation; H_r: the mean entropy of its region r, ν: progress."""
    source: str
    assumption: str
    """What has to hold for it to help."""


def _preset(formula: str, source: str, assumption: str, **values: Any) -> Preset:
    return Preset(
        values=MappingProxyType(values), formula=formula, source=source, assumption=assumption
    )


_NO_CURRICULUM = {"alpha_format": 0.0, "alpha_args": 0.0, "alpha_think": 0.0}
_ALL_ONE = {f"gamma_{name}": 1.0 for name in ("format", "name", "args", "think", "text")}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "paper": _preset(
            "clip(s / (1 − exp(−H_r)), 0.6, 1.2), s: mean 1 before clipping; FORMAT − 0.2 ν, ARGS, "
            "THINK and TEXT + 0.2 ν",
            "ResT (arXiv 2509.21826), Theorem 1 and its curriculum; constants of the released code",
            "a token's gradient noise goes with its region's entropy",
        ),
        "calibrated": _preset(
            "as paper, with s such that the clipped weights have mean 1, and NAME constant after "
            "normalisation",
            "ours: the paper's rule with bounds that flatten less of it",
            "as paper",
            scale="calibrated",
            constant_name="after",
        ),
        "official": _preset(
            "NAME 1.2, FORMAT 1, ARGS min(0.6 + 0.002 step, 1.2), THINK min(0.6 + 0.002 step, 1), "
            "TEXT 0",
            "the authors' released code (recipe/custom/token_weighting.py), without its bugs",
            "arguments and thoughts matter later than names; response text does not matter",
            w_min=0.001,
            w_max=8.0,
            gamma_format=1.0,
            gamma_name=1.2,
            gamma_args=0.6,
            gamma_think=0.6,
            gamma_text=0.0,
            clock="step",
            alpha_format=0.0,
            alpha_args=0.002,
            alpha_think=0.002,
            cap_args=1.2,
            cap_think=1.0,
        ),
        "static": _preset(
            "as paper at ν = 0",
            "ResT, ablation without curriculum",
            "the order of the regions does not change over training",
            **_NO_CURRICULUM,
        ),
        "no_think": _preset(
            "as paper, THINK 0",
            "ResT, ablation without gradient on the thoughts",
            "calls can be learnt without training the thoughts",
            gamma_think=0.0,
        ),
        "uniform": _preset(
            "1",
            "GRPO (arXiv 2402.03300)",
            "none: plain GRPO to the last bit",
            **_ALL_ONE,
            **_NO_CURRICULUM,
        ),
        "token": _preset(
            "clip(s / (1 − exp(−H_t)), 0.6, 1.2), H_t: the token's own entropy",
            "ResT, Theorem 2",
            "one sampled entropy tells a token's noise; for study",
            scope="token",
            **_NO_CURRICULUM,
        ),
        "tool_tokens": _preset(
            "1 for FORMAT, NAME and ARGS, 0 for THINK and TEXT",
            "baseline: train on the call alone, as masked fine-tuning does",
            "what the reward reads is all there is to learn",
            **{**_ALL_ONE, "gamma_think": 0.0, "gamma_text": 0.0},
            **_NO_CURRICULUM,
        ),
        "top_entropy": _preset(
            "1 for the fifth of the batch's tokens with the highest entropy, else 0",
            "baseline: Beyond the 80/20 Rule (arXiv 2506.01939); TRL's top_entropy_quantile=0.8",
            "learning happens where the policy forks, the opposite of ResT's",
            scope="token",
            entropy_rule="top",
            scale="none",
            **_NO_CURRICULUM,
        ),
        "shuffled": _preset(
            "paper's weights, permuted among the tokens of each response",
            "control: what any reweighting of the same spread does",
            "none: where it does as well as paper, the regions do nothing",
            shuffle=True,
        ),
    }
)
