"""Which cells are compared with which: levels of the arms, paired differences, weights × schedule.

Only seeds whose cells are all there enter a comparison; it carries their number.

Shape letters: A arms or conditions, S seeds, N held-out rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recipes.evidence.cells import REFERENCE, Cell, Study
from recipes.evidence.outcomes import SIDE_EFFECTS, Outcome, steps_until, training_reward
from recipes.evidence.statistics import (
    Estimate,
    SeedsNeeded,
    bootstrap,
    contrast,
    holm,
    improvement,
    interquartile_mean,
    median,
    seeds_needed,
    sign_flip_p,
)

CONTROLS = {"paper": "shuffled"}
"""Arm -> the arm with the same weights in other places."""
POINTS = (0.01, 0.02)
"""Differences of a share for which seeds are planned."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One arm minus another, seed by seed."""

    first: str
    second: str
    seeds: int
    estimate: Estimate
    """Of the mean difference."""
    p: float | None
    """None for a single pair, which shows nothing."""
    adjusted_p: float | None
    """Holm's, over all arms that are compared with the reference; None for a control."""
    improvement: Estimate
    needed: tuple[SeedsNeeded | None, ...]
    """For each of `POINTS`."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A contrast of cells with the same seed."""

    estimate: Estimate
    p: float | None


@dataclass(frozen=True, kw_only=True)
class Factorial:
    """Two arms under two rewards: what does the work?"""

    first: str
    second: str
    seeds: int
    weights: Effect
    """First arm minus second, mean over the two rewards."""
    schedule: Effect
    """Second reward minus first, mean over the two arms."""
    interaction: Effect
    """How much more the arm adds under the second reward than under the first."""


@dataclass(frozen=True, kw_only=True)
class Reaching:
    """Steps until the reference's final training reward of the same seed; infinite: not reached."""

    seeds: int
    reached: int
    steps: Estimate
    """The median."""


class Comparisons:
    """Everything that is compared within one task."""

    def __init__(self, study: Study, task: str) -> None:
        self.study = study
        self.task = study.tasks[task]

    def cells(self, reward: str, arm: str) -> dict[int, Cell]:
        """Seed -> cell."""
        return self.study.of(self.task.name, reward, arm)

    def arms(self, reward: str) -> list[str]:
        """The arms of which something was run, in the declared order."""
        return [arm for arm in self.task.arms if self.cells(reward, arm)]

    def values(self, conditions: Sequence[tuple[str, str]], outcome: Outcome) -> np.ndarray | None:
        """(A, S, N) outcomes of (reward, arm) pairs, of the seeds that all have; None without."""
        cells = [self.cells(*condition) for condition in conditions]
        seeds = [seed for seed in cells[0] if all(seed in of_arm for of_arm in cells)]
        rows = [[outcome.per_row(of_arm[seed]) for seed in seeds] for of_arm in cells]
        if not seeds or any(value is None for of_arm in rows for value in of_arm):
            return None
        return np.array(rows)

    def level(self, reward: str, arm: str, outcome: Outcome) -> Estimate | None:
        """The arm's interquartile mean; None where it has no such outcome."""
        values_1SN = self.values([(reward, arm)], outcome)
        return None if values_1SN is None else bootstrap(values_1SN, interquartile_mean)

    def reaching(self, reward: str, arm: str) -> Reaching | None:
        """None where no seed of the arm has its reference."""
        reference = self.cells(reward, REFERENCE)
        steps_S = [
            steps_until(cell, training_reward(reference[seed])[-1])
            for seed, cell in self.cells(reward, arm).items()
            if seed in reference
        ]
        if not steps_S:
            return None
        return Reaching(
            seeds=len(steps_S),
            reached=int(np.isfinite(steps_S).sum()),
            steps=bootstrap(np.array(steps_S)[None, :, None], median),
        )

    def differences(self, reward: str, outcome: Outcome) -> list[Difference]:
        """Every arm minus the reference; then the arms that have a control minus that."""
        found = [self._difference(reward, pair, outcome) for pair in self._pairs()]
        present = [difference for difference in found if difference is not None]
        family = {d.first: d.p for d in present if d.second == REFERENCE and d.p is not None}
        adjusted = dict(zip(family, holm(list(family.values())), strict=True))
        return [
            replace(d, adjusted_p=adjusted.get(d.first)) if d.second == REFERENCE else d
            for d in present
        ]

    def _pairs(self) -> list[tuple[str, str]]:
        others = [arm for arm in self.task.arms if arm != REFERENCE]
        controlled = [arm for arm in others if CONTROLS.get(arm) in others]
        return [(arm, REFERENCE) for arm in others] + [(arm, CONTROLS[arm]) for arm in controlled]

    def _difference(
        self, reward: str, pair: tuple[str, str], outcome: Outcome
    ) -> Difference | None:
        values_2SN = self.values([(reward, arm) for arm in pair], outcome)
        if values_2SN is None:
            return None
        first_S, second_S = values_2SN.mean(axis=-1)
        differences_S = first_S - second_S
        effect = _effect(values_2SN, 1, -1)
        return Difference(
            first=pair[0],
            second=pair[1],
            seeds=len(differences_S),
            estimate=effect.estimate,
            p=effect.p,
            adjusted_p=None,
            improvement=bootstrap(values_2SN, improvement).within(0, 1),
            needed=tuple(seeds_needed(differences_S, points) for points in POINTS),
        )

    def factorials(self, outcome: Outcome) -> list[Factorial]:
        """Each arm against the reference, then against its control; empty without two rewards."""
        if len(self.task.rewards) != 2:
            return []
        found = []
        for first, second in self._pairs():
            conditions = [(reward, arm) for reward in self.task.rewards for arm in (first, second)]
            values_4SN = self.values(conditions, outcome)
            if values_4SN is not None:
                found.append(
                    Factorial(
                        first=first,
                        second=second,
                        seeds=values_4SN.shape[1],
                        weights=_effect(values_4SN, 0.5, -0.5, 0.5, -0.5),
                        schedule=_effect(values_4SN, -0.5, -0.5, 0.5, 0.5),
                        interaction=_effect(values_4SN, -1, 1, 1, -1),
                    )
                )
        return found

    def side_effect(self, reward: str, arm: str, name: str) -> float | None:
        """Interquartile mean over the seeds in which it is defined; None if in none of them."""
        values = [SIDE_EFFECTS[name](cell) for cell in self.cells(reward, arm).values()]
        known = [value for value in values if value is not None]
        return float(interquartile_mean(np.array([known]))) if known else None


def _effect(values_ASN: np.ndarray, *coefficients_A: float) -> Effect:
    """The contrast of conditions, with its exact test over seeds."""
    contrasts_S = np.tensordot(coefficients_A, values_ASN.mean(axis=-1), axes=1)
    return Effect(
        estimate=bootstrap(values_ASN, contrast(*coefficients_A)),
        p=sign_flip_p(contrasts_S) if len(contrasts_S) > 1 else None,
    )
