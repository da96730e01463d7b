"""One picture of the study: learning curves of every arm, and its difference to plain GRPO.

A row a task, a panel a reward; beside them the paired differences.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recipes.evidence.cells import REFERENCE, Cell, Study
from recipes.evidence.comparisons import CONTROLS, Comparisons
from recipes.evidence.outcomes import AREA
from recipes.evidence.statistics import Estimate, bootstrap, interquartile_mean
from rest_verl.evaluation.table import CONFIDENCE_LABEL
from rest_verl.viewing.palette import LIGHT

STRONG = {REFERENCE, *CONTROLS, *CONTROLS.values()}
"""Arms of the least factorial. Only they have bands and full lines: more would hide each other."""
MARKERS = ("o", "s", "^", "D")
"""One a reward."""
_PANEL = 4.0, 3.4  # inches
_LEGEND = 0.6  # inches


def draw(study: Study) -> bytes:
    """PNG; equal input gives equal bytes.

    Raises:
        ValueError: no cells.
    """
    run = {key.task for key in study.cells}
    rows = [Comparisons(study, task) for task in study.tasks if task in run]
    if not rows:
        raise ValueError("no cell has been run: there is nothing to draw")
    num_columns = max(len(row.task.rewards) for row in rows) + 1
    width, height = _PANEL[0] * num_columns, _PANEL[1] * len(rows) + _LEGEND
    figure = Figure(figsize=(width, height), facecolor=LIGHT.background, layout="constrained")
    all_axes = figure.subplots(len(rows), num_columns, squeeze=False)
    arms = list(dict.fromkeys(arm for row in rows for arm in row.task.arms))
    others = [arm for arm in arms if arm != REFERENCE]
    # The first of the palette is close to the ink of the reference: it comes last.
    palette = [*LIGHT.runs[1:], LIGHT.runs[0]]
    colors = {arm: palette[place % len(palette)] for place, arm in enumerate(others)}
    colors[REFERENCE] = LIGHT.ink
    for row, (*panels, last) in zip(rows, all_axes, strict=True):
        drawn = panels[: len(row.task.rewards)]
        for axes in panels[len(drawn) :]:
            axes.set_axis_off()
        for axes, reward in zip(drawn, row.task.rewards, strict=True):
            _curves(axes, row, reward, colors)
            axes.sharey(drawn[0])
        _differences(last, row, colors)
    handles = [_line(colors, arm) for arm in arms]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(arms), 9), frameon=False,
        fontsize=9, labelcolor=LIGHT.ink, handlelength=1.8, columnspacing=1.4,
    )  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _curves(axes: Axes, row: Comparisons, reward: str, colors: Mapping[str, str]) -> None:
    """Held-out exact match over steps: interquartile mean over seeds, with its interval."""
    for arm in row.arms(reward):
        steps = row.task.evaluation_steps
        points = _curve(list(row.cells(reward, arm).values()))
        line = _line(colors, arm)
        line.set_data(steps, [100 * point.value for point in points])
        axes.add_line(line)
        ends = np.array([point.interval or (np.nan, np.nan) for point in points])
        if arm in STRONG:
            low, high = 100 * ends.T
            axes.fill_between(steps, low, high, color=colors[arm], alpha=0.13, linewidth=0)
    axes.autoscale_view()
    _style(axes, f"{row.task.name}: reward {reward}", "training step")
    axes.set_ylabel(
        f"held-out exact match, % (band: {CONFIDENCE_LABEL})", color=LIGHT.muted, fontsize=9
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _curve(cells: Sequence[Cell]) -> list[Estimate]:
    """The arm's level at every evaluation."""
    exact_SEN = np.array([[seen.exact_N for seen in cell.evaluations] for cell in cells])
    return [
        bootstrap(exact_SEN[None, :, place], interquartile_mean)
        for place in range(exact_SEN.shape[1])
    ]


def _differences(axes: Axes, row: Comparisons, colors: Mapping[str, str]) -> None:
    """Mean paired difference of the first outcome to the reference, a marker a reward."""
    rewards, others = row.task.rewards, [arm for arm in row.task.arms if arm != REFERENCE]
    for place, reward in enumerate(rewards):
        shift = 0.22 * (place - (len(rewards) - 1) / 2)
        for difference in row.differences(reward, AREA):
            if difference.second != REFERENCE:
                continue
            arm, (value, interval) = difference.first, difference.estimate
            y = others.index(arm) + shift
            if interval is not None:
                axes.hlines(
                    y, 100 * interval.low, 100 * interval.high, color=colors[arm], linewidth=1.6
                )
            axes.plot(
                100 * value, y, MARKERS[place % len(MARKERS)], color=colors[arm], markersize=6,
                markerfacecolor=LIGHT.background if place else colors[arm],
            )  # fmt: skip
    axes.axvline(0, color=LIGHT.ink, linewidth=1)
    axes.set_yticks(range(len(others)), others)
    axes.set_ylim(max(len(others), 1) - 0.5, -0.5)
    _style(
        axes, f"minus {REFERENCE}, same seed", f"area under the curve, points ({CONFIDENCE_LABEL})"
    )
    keys = [
        Line2D([], [], color=LIGHT.muted, linestyle="", marker=MARKERS[place % len(MARKERS)],
               markerfacecolor=LIGHT.background if place else LIGHT.muted, label=reward)
        for place, reward in enumerate(rewards)
    ]  # fmt: skip
    axes.legend(handles=keys, fontsize=8, labelcolor=LIGHT.muted, frameon=False, loc="best")


def _line(colors: Mapping[str, str], arm: str) -> Line2D:
    line = Line2D([], [], color=colors[arm], label=arm, linewidth=1.2, linestyle="--", zorder=2)
    if arm in STRONG:
        line.set(linewidth=2, linestyle="-", zorder=3)
    return line


def _style(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(title, loc="left", color=LIGHT.ink, fontsize=10.5, fontweight="bold")
    axes.set_xlabel(x_label, color=LIGHT.muted, fontsize=9)
    axes.tick_params(colors=LIGHT.muted, labelsize=8.5, length=0)
    axes.grid(color=LIGHT.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT.grid)
