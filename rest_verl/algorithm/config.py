"""All settings of the token weights, and of credit by turns, in one frozen dataclass.

The options `algorithm.rest.*` of a verl command line are its fields plus `preset`; the presets by
name are in `rest_verl.algorithm.presets`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal, get_args

from rest_verl.algorithm.presets import PRESETS
from rest_verl.options.names import did_you_mean, is_unknown

Scope = Literal["batch", "sequence", "token"]
EntropyRule = Literal["score_norm", "inverse", "top"]
ScaleRule = Literal["mean", "calibrated", "none"]
ConstantName = Literal["before", "after"]
NormaliseOver = Literal["trained", "sampled"]
WeightsPer = Literal["response", "turn"]
Clock = Literal["progress", "step"]


@dataclass(frozen=True, kw_only=True)
class ReSTConfig:
    """How token weights are made (docs/method.md, section 3). The defaults are the preset `paper`.

    Raises `ValueError`, with a message that starts with the field's name, for a value of the
    wrong type or out of range.
    """

    scope: Scope = "batch"
    """Tokens that an entropy is averaged over: a region's in the `batch` (steadier), a region's in
    one `sequence`, or the single `token` (Theorem 2 without regions). The paper leaves it open."""
    entropy_rule: EntropyRule = "score_norm"
    """Weight before scaling, of an entropy H: `score_norm` 1 / (1 - exp(-H)), the inverse of the
    bound on the score's squared norm; `inverse` 1 / H (both the paper's); `top` 1 for the share
    `top_share` of the batch's tokens with the highest entropy, 0 for the others (scope `token`)."""
    top_share: float = 0.2
    """Share of the tokens that `top` trains, above 0 and at most 1 (arXiv 2506.01939: 0.2)."""
    entropy_floor: float = 1e-3
    """Least entropy (nats) that the rule sees, so that a certain region has a finite weight. Below
    it, entropies are mostly rounding of the logits. Not stated in the paper."""
    entropy_ema: float = 0.0
    """Share of the earlier steps' average in the region entropies, in [0, 1); 0: each step by
    itself. An absent region keeps its average. Scope `batch` only."""
    scale: ScaleRule = "mean"
    """The factor of the weights before they are clipped: `mean`, to mean 1 over the batch's tokens
    (as published); `calibrated`, so that the clipped weights have mean 1; `none`, 1."""
    w_min: float = 0.6
    """Least weight of a region before normalisation (range of the released code)."""
    w_max: float = 1.2
    """Greatest weight of a region before normalisation (range of the released code)."""
    gamma_format: float | None = None
    """Fixed base weight of FORMAT; None: from entropy; 0: no gradient, at any time."""
    gamma_name: float | None = None
    """Fixed base weight of NAME; None: from entropy; 0: no gradient, at any time."""
    gamma_args: float | None = None
    """Fixed base weight of ARGS; None: from entropy; 0: no gradient, at any time."""
    gamma_think: float | None = None
    """Fixed base weight of THINK; None: from entropy; 0: no gradient, at any time."""
    gamma_text: float | None = None
    """Fixed base weight of TEXT; None: from entropy; 0: no gradient, at any time."""
    clock: Clock = "progress"
    """What the alphas multiply: `progress` (step / horizon, 0 to 1) or the `step` itself."""
    horizon: float | None = None
    """Steps in which progress goes from 0 to 1, also for a scheduled reward; None: those that the
    run will do, the lesser of verl's steps and epochs."""
    alpha_format: float = 0.2
    """Fall of FORMAT's weight per unit of the clock (0.002 a step in the released code, over its
    105 steps, rounded; the paper's own constants are not published)."""
    alpha_args: float = 0.2
    """Rise of ARGS' weight per unit of the clock (as `alpha_format`)."""
    alpha_think: float = 0.2
    """Rise of THINK's and TEXT's weight per unit of the clock (as `alpha_format`)."""
    cap_args: float | None = None
    """Greatest weight of ARGS before normalisation; None: `w_max`."""
    cap_think: float | None = None
    """Greatest weight of THINK and TEXT before normalisation; None: `w_max`."""
    constant_name: ConstantName = "before"
    """Where the curriculum leaves NAME constant: `before` normalisation, as published, so that it
    falls in the end as other regions rise; or `after` it."""
    normalise_over: NormaliseOver = "trained"
    """The tokens of a response over which weights have mean 1: `trained`, those whose weight is
    above 0 (the released code's rule); or all that were `sampled`, which scales what is left up."""
    weights_per: WeightsPer = "response"
    """What weights have mean 1 over: the whole `response`, as published, or each `turn` of a
    conversation by itself, so that no turn takes weight from another."""
    w_cap: float = 4.0
    """Ceiling of a normalised weight, at least 1. The bounds of the presets give at most
    w_max / w_min = 2 over the trained tokens; the ceiling is for wider bounds and for `sampled`."""
    shuffle: bool = False
    """Whether each response's weights are permuted among its tokens: the control for what any
    reweighting does. The permutation follows from the response."""
    syntax: str = "auto"
    """How the model writes calls, by which regions are told apart: a name of `rest_verl.syntax`, or
    `auto`, what the model's chat template writes. Rows that ask for a format go by that."""
    turn_gamma: float = 1.0
    """Of the estimator `rest_turn`, which alone reads it: what a later turn's reward counts for
    each turn that it lies ahead, in [0, 1]."""
    outcome_weight: float = 1.0
    """Of the estimator `rest_turn`, which alone reads it: what the reward of the whole conversation
    counts beside those of its turns."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(choices))}, "
                    f"got {getattr(self, name)!r}"
                )
        if not isinstance(self.syntax, str) or not self.syntax:
            raise ValueError(f"syntax must be auto or a syntax's name, got {self.syntax!r}")
        if not isinstance(self.shuffle, bool):
            raise ValueError(f"shuffle must be true or false, got {self.shuffle!r}")
        self._check_numbers()
        self._check_ranges()
        self._check_gammas()
        self._check_scope()

    def _check_numbers(self) -> None:
        for name in _NUMBERS + _OPTIONAL_NUMBERS:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL_NUMBERS:
                continue
            # bool is a Real to Python, and a mistake in a weight
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
                or_null = " or null" if name in _OPTIONAL_NUMBERS else ""
                raise ValueError(f"{name} must be a finite number{or_null}, got {value!r}")

    def _check_ranges(self) -> None:
        for name, holds, rule in (
            ("entropy_floor", self.entropy_floor > 0, "be above 0"),
            ("entropy_ema", 0 <= self.entropy_ema < 1, "lie in [0, 1)"),
            ("top_share", 0 < self.top_share <= 1, "be above 0 and at most 1"),
            ("horizon", self.horizon is None or self.horizon > 0, "be null or above 0"),
            ("w_cap", self.w_cap >= 1, "be at least 1, the mean of the weights"),
            ("turn_gamma", 0 <= self.turn_gamma <= 1, "lie in [0, 1]"),
            *((name, getattr(self, name) >= 0, "not be negative") for name in _ALPHAS),
        ):
            if not holds:
                raise ValueError(f"{name} must {rule}, got {getattr(self, name)}")
        if not 0 <= self.w_min < self.w_max:
            raise ValueError(
                f"w_min, w_max: need 0 <= w_min < w_max, got {self.w_min}, {self.w_max}"
            )
        if not self.w_min and self.alpha_format:
            raise ValueError(
                "w_min must be above 0 where FORMAT falls: at 0 it would leave training half way"
            )
        if self.scale == "calibrated" and not self.w_min < 1 < self.w_max:
            raise ValueError(
                f"scale calibrated needs w_min < 1 < w_max, got {self.w_min}, {self.w_max}: "
                "no other bounds leave weights of mean 1"
            )
        for name in ("cap_args", "cap_think"):
            cap = getattr(self, name)
            if cap is not None and not self.w_min <= cap <= self.w_max:
                raise ValueError(
                    f"{name} must be null or lie in [w_min, w_max] = [{self.w_min}, {self.w_max}], "
                    f"got {cap}"
                )

    def _check_gammas(self) -> None:
        caps = {
            "gamma_args": self.cap_args,
            "gamma_think": self.cap_think,
            "gamma_text": self.cap_think,
        }
        for name in _GAMMAS:
            gamma, cap = getattr(self, name), caps.get(name)
            top = self.w_max if cap is None else cap
            if gamma and not self.w_min <= gamma <= top:
                raise ValueError(
                    f"{name} must be null, 0 or lie in [{self.w_min}, {top}] "
                    f"(w_min to w_max or the region's cap), got {gamma}"
                )
        if all(getattr(self, name) == 0 for name in _GAMMAS):
            raise ValueError("gamma_*: all are 0, which trains nothing; set one to null or above 0")

    def _check_scope(self) -> None:
        if self.scope == "token" and (self.has_curriculum or any(map(self._is_fixed, _GAMMAS))):
            raise ValueError(
                "scope token knows no regions: set alpha_* to 0 and gamma_* to null, "
                "or take scope batch or sequence"
            )
        if self.entropy_ema and self.scope != "batch":
            raise ValueError(
                f"entropy_ema averages the batch's region entropies: set it to 0 for scope "
                f"{self.scope}, or take scope batch"
            )
        if self.entropy_rule == "top" and (self.scope != "token" or self.scale != "none"):
            raise ValueError(
                "entropy_rule top chooses single tokens and weighs them alike: it needs scope "
                "token and scale none"
            )

    def _is_fixed(self, gamma_name: str) -> bool:
        return getattr(self, gamma_name) is not None

    @property
    def needs_entropy(self) -> bool:
        """Whether any weight is made from the old policy's entropy."""
        return not all(map(self._is_fixed, _GAMMAS))

    @property
    def has_curriculum(self) -> bool:
        """Whether any weight changes with the clock."""
        return any(getattr(self, name) for name in _ALPHAS)

    @classmethod
    def preset(cls, name: str) -> ReSTConfig:
        """The preset of that name; `ValueError` with the known names for any other."""
        return cls(**_preset_values(name))

    @classmethod
    def of(cls, config: ReSTConfig | str) -> ReSTConfig:
        """The configuration itself, or the preset of that name.

        Raises:
            ValueError: neither of them, or no such preset.
        """
        if isinstance(config, cls):
            return config
        if isinstance(config, str):
            return cls.preset(config)
        raise ValueError(
            'config must be a preset\'s name, as in config="paper", or a ReSTConfig, as of '
            f'ReSTConfig.from_options({{"preset": "paper", "w_max": 1.5}}); got {config!r}'
        )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ReSTConfig:
        """The configuration that the options `algorithm.rest.*` describe.

        Args:
            options: `preset` (default `paper`) and any fields, which override the preset's.

        Raises:
            ValueError: Unknown option (named, with the nearest known one), wrong type or range.
        """
        if not isinstance(options, Mapping):
            raise ValueError(
                f'options must be a mapping, as {{"preset": "paper", "w_max": 1}}, got {options!r}'
            )
        refuse_unknown_options(options)
        given = {str(key): value for key, value in options.items() if key != "preset"}
        try:
            return cls(**{**_preset_values(options.get("preset", "paper")), **given})
        except ValueError as error:
            raise ValueError(f"algorithm.rest.{error}") from None


def refuse_unknown_options(names: Iterable[object]) -> None:
    """ValueError for a name that `algorithm.rest` has not, with the nearest one and the list."""
    known = ["preset", *(field.name for field in fields(ReSTConfig))]
    for name in names:
        if name not in known:
            raise ValueError(
                f"unknown option algorithm.rest.{name}; "
                f"{did_you_mean(name, known, 'algorithm.rest.')}"
                f"known: {', '.join(known)}; remove or correct it"
            )


_CHOICES = {
    "scope": Scope,
    "entropy_rule": EntropyRule,
    "scale": ScaleRule,
    "clock": Clock,
    "constant_name": ConstantName,
    "normalise_over": NormaliseOver,
    "weights_per": WeightsPer,
}
_GAMMAS = ("gamma_format", "gamma_name", "gamma_args", "gamma_think", "gamma_text")
_ALPHAS = ("alpha_format", "alpha_args", "alpha_think")
_OPTIONAL_NUMBERS = (*_GAMMAS, "cap_args", "cap_think", "horizon")
_NUMBERS = (
    *("top_share", "entropy_floor", "entropy_ema", "w_min", "w_max", "w_cap"),
    *_ALPHAS,
    *("turn_gamma", "outcome_weight"),
)


def _preset_values(name: object) -> Mapping[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"preset {is_unknown(name, PRESETS)}")
    return PRESETS[name].values
