"""The figures of a weighting, each a ratio of estimates over prompts.

With g the gradient of one prompt's group under a weighting w, u the same under `uniform`, and a
batch of N prompts whose mean gradient ĝ is the step:

- S = ‖E g‖², the signal; V = tr Cov g = E ‖g‖² - S, the variance; C = <E g, E u>. E u is what plain
  GRPO follows, and stands for the true gradient.
- noise-to-signal V / S: of one prompt; a batch has 1 / N of it.
- cosine C / √(S S_u).
- L² = E ‖ĝ‖² = S + V / N, the mean squared length of a step. To first order, a step of length η
  along ĝ gains η <ĝ, E u> / L where the learning rate makes the steps of all weightings equally
  long. The gain is C / L over uniform's S_u / L_u. It goes to the cosine as N grows, and where
  noise is all of the length to (C / S_u) √(V_u / V).

Shape letters: C columns, A replicates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rest_verl.study.gradients.intervals import Ratio, Variances, jackknife, ratio_interval
from rest_verl.study.gradients.moments import Replicates

Fraction = tuple[np.ndarray, np.ndarray]
"""Replicates (A,) of a numerator and of a denominator."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one weighting."""

    variance: Ratio
    """Over uniform's."""
    noise_to_signal: Ratio
    noise_to_signal_ratio: Ratio
    """Over uniform's."""
    cosine: Ratio
    """With uniform's mean gradient."""
    gain: Ratio
    """Over uniform's."""


NAMES = tuple(Figures.__dataclass_fields__)


class Quadratic:
    """S, V, C and L of linear combinations of columns, replicate by replicate."""

    def __init__(self, replicates: Replicates, uniform_C: np.ndarray, batch_prompts: int) -> None:
        """`uniform_C` is the combination that makes `uniform`."""
        self.replicates, self._uniform_C, self._batch = replicates, uniform_C, batch_prompts

    def signal(self, weights_C: np.ndarray) -> np.ndarray:
        """S, (A,); an estimate without bias can be below 0."""
        return self._form(self.replicates.signal_ACC, weights_C, weights_C)

    def variance(self, weights_C: np.ndarray) -> np.ndarray:
        """V, (A,)."""
        square_ACC, signal_ACC = self.replicates.square_ACC, self.replicates.signal_ACC
        return self._form(square_ACC - signal_ACC, weights_C, weights_C)

    def alignment(self, weights_C: np.ndarray) -> np.ndarray:
        """C, (A,)."""
        return self._form(self.replicates.signal_ACC, weights_C, self._uniform_C)

    def length(self, weights_C: np.ndarray) -> np.ndarray:
        """L, (A,)."""
        square_A = self._form(self.replicates.square_ACC, weights_C, weights_C)
        signal_A = np.maximum(self.signal(weights_C), 0.0)
        return np.sqrt(square_A / self._batch + (1 - 1 / self._batch) * signal_A)

    def gain(self, weights_C: np.ndarray) -> Fraction:
        """Of the gain over uniform's."""
        uniform_C = self._uniform_C
        return (
            self.alignment(weights_C) * self.length(uniform_C),
            self.signal(uniform_C) * self.length(weights_C),
        )

    def fractions(self, weights_C: np.ndarray) -> dict[str, Fraction]:
        """Of all figures."""
        uniform_C = self._uniform_C
        signal, signal_u = self.signal(weights_C), self.signal(uniform_C)
        variance, variance_u = self.variance(weights_C), self.variance(uniform_C)
        both = np.sqrt(np.maximum(signal, 0.0) * np.maximum(signal_u, 0.0))
        return {
            "variance": (variance, variance_u),
            "noise_to_signal": (variance, signal),
            "noise_to_signal_ratio": (variance * signal_u, variance_u * signal),
            "cosine": (self.alignment(weights_C), both),
            "gain": self.gain(weights_C),
        }

    def figures(self, weights_C: np.ndarray) -> Figures:
        """All figures, with intervals."""
        return Figures(
            **{
                name: joint_interval(
                    [(self.replicates, fraction)],
                    limits=(-1.0, 1.0) if name == "cosine" else (-math.inf, math.inf),
                    relative=name == "noise_to_signal",
                )
                for name, fraction in self.fractions(weights_C).items()
            }
        )

    def shares(self, weights_C: np.ndarray) -> tuple[Ratio, Ratio]:
        """Of uniform's signal <E g, E u> / S_u and of its variance tr Cov(g, u) / V_u.

        Of regions by themselves, whose gradients add up to uniform's, either adds up to 1.
        """
        uniform_C = self._uniform_C
        square_A = self._form(self.replicates.square_ACC, weights_C, uniform_C)
        aligned_A = self.alignment(weights_C)
        fractions = (
            (aligned_A, self.signal(uniform_C)),
            (square_A - aligned_A, self.variance(uniform_C)),
        )
        signal, noise = (joint_interval([(self.replicates, fraction)]) for fraction in fractions)
        return signal, noise

    @staticmethod
    def _form(matrix_ACC: np.ndarray, left_C: np.ndarray, right_C: np.ndarray) -> np.ndarray:
        return np.einsum("acd,c,d->a", matrix_ACC, left_C, right_C, optimize=True)


def joint_interval(
    parts: Iterable[tuple[Replicates, Fraction]],
    *,
    limits: tuple[float, float] = (-math.inf, math.inf),
    relative: bool = False,
) -> Ratio:
    """The interval of a ratio whose numerator and denominator add up over independent parts.

    `limits` and `relative` are for `ratio_interval`.
    """
    top = bottom = 0.0
    covariance, second, freedom, num_prompts = np.zeros((2, 2)), 0.0, 0, 0
    for replicates, (top_A, bottom_A) in parts:
        variances = jackknife(replicates, top_A, bottom_A)
        top, bottom = top + float(top_A[0]), bottom + float(bottom_A[0])
        weight = float(np.trace(variances.covariance))
        second += variances.second_order * weight
        covariance = covariance + variances.covariance
        freedom += variances.degrees_of_freedom
        num_prompts += replicates.num_prompts
    total = float(np.trace(covariance))
    joint = Variances(covariance, second / total if total else 0.0, freedom)
    return ratio_interval(top, bottom, joint, num_prompts, limits=limits, relative=relative)
