"""All settings of the token weights in one frozen dataclass, and its presets by name.

The options `algorithm.rest.*` of a verl command line are the fields of `ReSTConfig` plus `preset`.
A preset is nothing but a set of field values: one weighting function serves them all.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal, get_args

Scope = Literal["batch", "sequence", "token"]
EntropyRule = Literal["score_norm", "inverse"]
Clock = Literal["progress", "step"]


@dataclass(frozen=True, kw_only=True)
class ReSTConfig:
    """How token weights are made (method, section 3). The defaults are the preset `paper`.

    Raises `ValueError`, with a message that starts with the field's name, for a value of the
    wrong type or out of range.
    """

    scope: Scope = "batch"
    """Tokens that an entropy is averaged over: a region's in the `batch` (steadier), a region's in
    one `sequence`, or the single `token` (Theorem 2 without regions). The paper leaves it open."""
    entropy_rule: EntropyRule = "score_norm"
    """Weight before scaling, of an entropy H: `score_norm` 1 / (1 - exp(-H)), the inverse of the
    bound on the score's squared norm; `inverse` 1 / H. Both are the paper's."""
    entropy_floor: float = 1e-3
    """Least entropy (nats) that the rule sees, so that a certain region has a finite weight. Below
    it, entropies are mostly rounding of the logits. Not stated in the paper."""
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
    """What the alphas multiply: `progress` (step / total steps, 0 to 1) or the `step` itself."""
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

    def __post_init__(self) -> None:
        for name, choices in (("scope", Scope), ("entropy_rule", EntropyRule), ("clock", Clock)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(choices))}, "
                    f"got {getattr(self, name)!r}"
                )
        self._check_numbers()
        if self.entropy_floor <= 0:
            raise ValueError(f"entropy_floor must be above 0, got {self.entropy_floor}")
        if not 0 <= self.w_min < self.w_max:
            raise ValueError(
                f"w_min, w_max: need 0 <= w_min < w_max, got {self.w_min}, {self.w_max}"
            )
        for name in ("alpha_format", "alpha_args", "alpha_think"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("cap_args", "cap_think"):
            cap = getattr(self, name)
            if cap is not None and not self.w_min <= cap <= self.w_max:
                raise ValueError(
                    f"{name} must be null or lie in [w_min, w_max] = [{self.w_min}, {self.w_max}], "
                    f"got {cap}"
                )
        self._check_gammas()

    def _check_numbers(self) -> None:
        for name in _NUMBERS + _OPTIONAL_NUMBERS:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL_NUMBERS:
                continue
            # bool is a Real to Python, and a mistake in a weight
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
                or_null = " or null" if name in _OPTIONAL_NUMBERS else ""
                raise ValueError(f"{name} must be a finite number{or_null}, got {value!r}")

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
        if self.scope == "token" and (self.has_curriculum or any(map(self._is_fixed, _GAMMAS))):
            raise ValueError(
                "scope token knows no regions: set alpha_* to 0 and gamma_* to null, "
                "or take scope batch or sequence"
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
        return any((self.alpha_format, self.alpha_args, self.alpha_think))

    @classmethod
    def preset(cls, name: str) -> ReSTConfig:
        """The preset of that name; `ValueError` with the known names for any other."""
        return cls(**_preset_values(name))

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ReSTConfig:
        """The configuration that the options `algorithm.rest.*` describe.

        Args:
            options: `preset` (default `paper`) and any fields, which override the preset's.

        Raises:
            ValueError: Unknown option (named, with the nearest known one), wrong type or range.
        """
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
                f"{_nearest(str(name), known, 'algorithm.rest.')}"
                f"known: {', '.join(known)}; remove or correct it"
            )


_GAMMAS = ("gamma_format", "gamma_name", "gamma_args", "gamma_think", "gamma_text")
_OPTIONAL_NUMBERS = (*_GAMMAS, "cap_args", "cap_think")
_NUMBERS = ("entropy_floor", "w_min", "w_max", "alpha_format", "alpha_args", "alpha_think")

_NO_CURRICULUM = {"alpha_format": 0.0, "alpha_args": 0.0, "alpha_think": 0.0}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": {},
        # The released code's constants. THINK stops at FORMAT's weight; TEXT is never trained.
        "official": {
            "w_min": 0.001,
            "w_max": 8.0,
            "gamma_format": 1.0,
            "gamma_name": 1.2,
            "gamma_args": 0.6,
            "gamma_think": 0.6,
            "gamma_text": 0.0,
            "clock": "step",
            "alpha_format": 0.0,
            "alpha_args": 0.002,
            "alpha_think": 0.002,
            "cap_args": 1.2,
            "cap_think": 1.0,
        },
        "static": _NO_CURRICULUM,
        "no_think": {"gamma_think": 0.0},
        "uniform": {**dict.fromkeys(_GAMMAS, 1.0), **_NO_CURRICULUM},
        "token": {"scope": "token", **_NO_CURRICULUM},
    }
)
"""The fields in which each preset differs from `paper` (method, section 3)."""


def _preset_values(name: object) -> Mapping[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(
            f"preset {name!r} is unknown; {_nearest(str(name), PRESETS)}known: {', '.join(PRESETS)}"
        )
    return PRESETS[name]


def _nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    match = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {prefix}{match[0]}? " if match else ""
