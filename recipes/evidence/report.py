"""The comparisons of one task as Markdown: what was run, levels, differences, weights × schedule.

Every table says how many seeds a line rests on; what was declared and not run is listed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from recipes.evidence.cells import REFERENCE, Study
from recipes.evidence.comparisons import (
    POINTS,
    Comparisons,
    Difference,
    Effect,
    Factorial,
    Reaching,
)
from recipes.evidence.outcomes import AREA, OUTCOMES, SIDE_EFFECTS, WINDOW, Outcome
from recipes.evidence.statistics import Estimate, SeedsNeeded
from rest_verl.evaluation.comparison import p_value
from rest_verl.evaluation.table import CONFIDENCE_LABEL, code, markdown_table

NONE = "–"


def task_report(study: Study, task: str) -> str:
    """Everything that was found in one task, as Markdown without headings."""
    comparisons = Comparisons(study, task)
    parts = [completeness(study, task)]
    rewards = [reward for reward in comparisons.task.rewards if comparisons.arms(reward)]
    if not rewards:
        return parts[0]
    parts.insert(0, _setting(study, task))
    parts.append(_notes(comparisons))
    for reward in rewards:
        parts += [f"**Outcomes under {code(reward)}**", _levels(comparisons, reward)]
    for reward in rewards:
        if rows := comparisons.differences(reward, AREA):
            parts += [f"**Differences in {AREA.name} under {code(reward)}**", _first_outcome(rows)]
    if effects := comparisons.factorials(AREA):
        first, second = map(code, comparisons.task.rewards)
        title = f"**Weights and schedule in {AREA.name}** (schedule: {second} minus {first})"
        parts += [title, _factorials(effects)]
    for reward in rewards:
        if table := _other_outcomes(comparisons, reward):
            parts += _folded(f"Differences in the other outcomes under {reward}", table)
    for reward in rewards:
        title = f"Side effects under {reward}, last {WINDOW} steps of training"
        parts += _folded(title, _side_effects(comparisons, reward))
    return "\n\n".join(part.strip() for part in parts)


def completeness(study: Study, task: str) -> str:
    """How many of the declared cells there are, and which are not."""
    declared, missing = list(study.tasks[task].declared()), study.not_run(task)
    if not missing:
        return f"All {len(declared)} declared cells were run."
    if len(missing) == len(declared):
        return f"Not run: none of the {len(declared)} declared cells."
    seeds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for key in missing:
        seeds[key.reward, key.arm].append(key.seed)
    by_reward: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (reward, arm), numbers in seeds.items():
        by_reward[reward][_ranges(numbers)].append(code(arm))
    lines = [
        f"- under {code(reward)}: "
        + "; ".join(f"{', '.join(arms)} (seeds {ranges})" for ranges, arms in groups.items())
        for reward, groups in by_reward.items()
    ]
    head = f"{len(declared) - len(missing)} of {len(declared)} declared cells were run. Not run:"
    return "\n".join([head, "", *lines])


def _folded(title: str, content: str) -> list[str]:
    """What a reader opens where it is wanted."""
    return [f"<details><summary>{title}</summary>", content, "</details>"]


def _ranges(numbers: Iterable[int]) -> str:
    """0, 1, 2, 5 as `0–2, 5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _setting(study: Study, task: str) -> str:
    """What all cells of the task have in common, and how long one took."""
    declared = study.tasks[task]
    cells = [cell for key, cell in study.cells.items() if key.task == task]
    rates = sorted({cell.learning_rate for cell in cells})
    minutes = np.median([cell.seconds for cell in cells]) / 60
    return (
        f"{declared.steps} steps, an evaluation on {len(cells[0].evaluations[0].exact_N)} held-out "
        f"rows every {declared.evaluate_every}; learning rate "
        f"{', '.join(f'{rate:g}' for rate in rates)}; a cell took {minutes:.1f} minutes (median)."
    )


def _notes(comparisons: Comparisons) -> str:
    """How to read the tables."""
    counts = {
        len(comparisons.cells(reward, arm))
        for reward in comparisons.task.rewards
        for arm in comparisons.arms(reward)
    }
    fewest = min(counts)
    lines = [
        f"In brackets: {CONFIDENCE_LABEL} bootstrap intervals over seeds and held-out rows; of "
        "rewards and steps, over seeds alone. Levels are interquartile means over seeds. "
        f"Differences are means over seeds that both arms have, arm minus {code(REFERENCE)} (or "
        "minus the control, where that is named), in percentage points. p: exact sign-flip test "
        "over the pairs of seeds; Holm: adjusted for all arms of the table. P(better): the "
        "probability that a run of the arm beats one of the other, whatever their seeds. Seeds to "
        "see 1 or 2: pairs with which a difference of so many points is found with 80 % power, at "
        "the observed spread of the pairs and at the ends of that spread's interval. The training "
        f"reward to reach is {code(REFERENCE)}'s own last one, which it therefore always reaches.",
    ]
    if 1 in counts:
        lines.append("One seed: no interval, no p.")
    if 1 < fewest < 6:
        lines.append(f"With {fewest} pairs p cannot be below {p_value(2.0 ** (1 - fewest))}.")
    return " ".join(lines)


def _levels(comparisons: Comparisons, reward: str) -> str:
    rows, shown = [], _shown(comparisons, reward)
    for arm in comparisons.arms(reward):
        levels = [_level(comparisons.level(reward, arm, outcome), outcome) for outcome in shown]
        seeds = f"{len(comparisons.cells(reward, arm))}"
        rows.append([code(arm), seeds, *levels, _reaching(comparisons.reaching(reward, arm))])
    names = [outcome.name for outcome in shown]
    return markdown_table(
        ["arm", "seeds", *names, f"steps until {code(REFERENCE)}'s final training reward"], rows
    )


def _shown(comparisons: Comparisons, reward: str) -> list[Outcome]:
    """The outcomes that some arm has."""
    arms = comparisons.arms(reward)
    return [
        outcome
        for outcome in OUTCOMES
        if any(comparisons.values([(reward, arm)], outcome) is not None for arm in arms)
    ]


def _first_outcome(rows: Sequence[Difference]) -> str:
    head = ["arm", "pairs", "points", "p", "Holm", "P(better)"]
    head += [f"seeds to see {points * 100:g}" for points in POINTS]
    return markdown_table(
        head,
        [
            [
                _compared(row),
                f"{row.seeds}",
                _difference(row.estimate, AREA),
                _p(row.p),
                _p(row.adjusted_p),
                _estimate(row.improvement, "{:.2f}", "–"),
                *map(_needed, row.needed),
            ]
            for row in rows
        ],
    )


def _other_outcomes(comparisons: Comparisons, reward: str) -> str:
    """Empty without pairs."""
    shown = [outcome for outcome in _shown(comparisons, reward) if outcome is not AREA]
    cells: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for outcome in shown:
        for row in comparisons.differences(reward, outcome):
            found = [_difference(row.estimate, outcome), _p(row.p), _p(row.adjusted_p)]
            cells[_compared(row)][outcome.name] = found
    if not cells:
        return ""
    head = [title for outcome in shown for title in (outcome.name, "p", "Holm")]
    rows = [
        [arm, *(text for outcome in shown for text in found.get(outcome.name, [NONE] * 3))]
        for arm, found in cells.items()
    ]
    return markdown_table(["arm", *head], rows)


def _factorials(rows: Sequence[Factorial]) -> str:
    head = ["arms", "seeds", "weights", "p", "schedule", "p", "interaction", "p"]
    return markdown_table(
        head,
        [
            [
                f"{code(row.first)} − {code(row.second)}",
                f"{row.seeds}",
                *_effect(row.weights),
                *_effect(row.schedule),
                *_effect(row.interaction),
            ]
            for row in rows
        ],
    )


def _side_effects(comparisons: Comparisons, reward: str) -> str:
    arms = comparisons.arms(reward)
    columns = {
        name: [comparisons.side_effect(reward, arm, name) for arm in arms] for name in SIDE_EFFECTS
    }
    known = {name: column for name, column in columns.items() if any(v is not None for v in column)}
    rows = [
        [code(arm), *(NONE if value is None else f"{value:.3g}" for value in values)]
        for arm, *values in zip(arms, *known.values(), strict=True)
    ]
    return markdown_table(["arm", *known], rows)


def _compared(row: Difference) -> str:
    name = code(row.first)
    return name if row.second == REFERENCE else f"{name} − {code(row.second)}"


def _level(estimate: Estimate | None, outcome: Outcome) -> str:
    if estimate is None:
        return NONE
    if outcome.is_share:
        return _estimate(_scaled(estimate, 100), "{:.1f}", "–", " %")
    return _estimate(estimate, "{:.3f}", " to ")


def _difference(estimate: Estimate, outcome: Outcome) -> str:
    if outcome.is_share:
        return _estimate(_scaled(estimate, 100), "{:+.1f}", " to ")
    return _estimate(estimate, "{:+.3f}", " to ")


def _effect(effect: Effect) -> tuple[str, str]:
    return _difference(effect.estimate, AREA), _p(effect.p)


def _reaching(reaching: Reaching | None) -> str:
    if reaching is None:
        return NONE
    count = f"{reaching.reached} of {reaching.seeds} seed{'s' * (reaching.seeds > 1)}"
    value, interval = reaching.steps
    if interval is None or not reaching.reached:
        return f"{_steps(value)}, {count}"
    return f"{_steps(value)} ({_steps(interval.low)} to {_steps(interval.high)}), {count}"


def _steps(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else "not reached"


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    interval = estimate.interval
    if interval is not None:
        interval = type(interval)(interval.low * factor, interval.high * factor)
    return Estimate(estimate.value * factor, interval)


def _estimate(estimate: Estimate, form: str, between: str, unit: str = "") -> str:
    text = f"{form.format(estimate.value)}{unit}"
    if estimate.interval is None:
        return text
    low, high = map(form.format, estimate.interval)
    return f"{text} ({low}{between}{high})"


def _p(p: float | None) -> str:
    return NONE if p is None else p_value(p)


def _needed(needed: SeedsNeeded | None) -> str:
    return NONE if needed is None else f"{needed.number:,} ({needed.low:,}–{needed.high:,})"
