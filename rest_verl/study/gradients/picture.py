"""The result as one picture: figures with intervals, Lemma 2, Theorem 1, weights by region."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rest_verl.study.gradients.result import REGIONS, Result, Row
from rest_verl.viewing.palette import LIGHT

_PANELS = {
    "variance": "variance / uniform's",
    "noise_to_signal_ratio": "noise-to-signal / uniform's",
    "cosine": "cosine with uniform",
    "gain": "gain at equal step length / uniform's",
}
_WIDEST = 3.0
"""Of a ratio's axis: what lies beyond tells nothing."""


def picture_png(result: Result) -> bytes:
    """A PNG; equal results give equal bytes."""
    rows = result.rows[1:]
    height = max(3.0, 0.27 * len(rows) + 1.0)
    figure = Figure(figsize=(15, height + 4.2), facecolor=LIGHT.background, layout="constrained")
    grid = figure.add_gridspec(2, 12, height_ratios=(height, 4.0))
    for place, (name, title) in enumerate(_PANELS.items()):
        axes = figure.add_subplot(grid[0, 3 * place : 3 * place + 3])
        _intervals(axes, rows, name, title)
        labels = [row.label if place == 0 else "" for row in rows]
        axes.set_yticks(range(len(rows)), labels, parse_math=False)
        axes.invert_yaxis()
    _lemma_2(figure.add_subplot(grid[1, :4]), result)
    _theorem_1(figure.add_subplot(grid[1, 4:8]), rows)
    _weights(figure.add_subplot(grid[1, 8:]), result)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _intervals(axes: Axes, rows: Sequence[Row], name: str, title: str) -> None:
    _style(axes, title)
    axes.axvline(1, color=LIGHT.muted, linewidth=1, linestyle=(0, (4, 3)))
    for place, row in enumerate(rows):
        ratio = getattr(row.figures, name)
        if ratio.value is None:
            continue
        told = ratio.excludes(1)
        color = LIGHT.ink if told else LIGHT.neutrals[3]
        if ratio.ends is not None:
            axes.plot(ratio.ends, [place, place], color=color, linewidth=2)
        axes.plot([ratio.value], [place], marker="o", color=color, markersize=5)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -_WIDEST), min(high, _WIDEST))


def _lemma_2(axes: Axes, result: Result) -> None:
    _style(axes, "Lemma 2: score norm² and its bound")
    present = [place for place, share in enumerate(result.token_share) if share]
    places = np.arange(len(present))
    colors = [LIGHT.regions[REGIONS[place]] for place in present]
    measured = [result.score_norm[place] or 0.0 for place in present]
    bound = [result.score_bound[place] or 0.0 for place in present]
    axes.bar(places - 0.2, measured, 0.36, color=colors, label="1 − Σ p²")
    axes.bar(
        places + 0.2,
        bound,
        0.36,
        color="none",
        edgecolor=colors,
        linewidth=1.6,
        label="1 − exp(−H)",
    )
    axes.set_xticks(places, [REGIONS[place].upper() for place in present])
    _legend(axes)


def _theorem_1(axes: Axes, rows: Sequence[Row]) -> None:
    _style(axes, "Theorem 1: variance over uniform's")
    axes.set_xlabel("Σ β w² with equal Jacobians", color=LIGHT.muted, fontsize=9)
    axes.set_ylabel("measured", color=LIGHT.muted, fontsize=9)
    for row in rows:
        predicted, ratio = row.predicted_variance, row.figures.variance
        if predicted is None or ratio.value is None:
            continue
        if ratio.ends is not None:
            axes.plot([predicted, predicted], ratio.ends, color=LIGHT.neutrals[3])
        axes.plot([predicted], [ratio.value], marker="o", color=LIGHT.ink, markersize=4.5)
    corner = (*axes.get_xlim(), *axes.get_ylim())
    ends = [min(corner), max(corner)]
    axes.plot(ends, ends, color=LIGHT.muted, linewidth=1, linestyle=(0, (4, 3)))


def _weights(axes: Axes, result: Result) -> None:
    _style(axes, "Mean weights by region")
    present = [place for place, share in enumerate(result.token_share) if share]
    lines = [(row.label, row.weights) for row in result.rows if row.name == "paper"]
    lines.append(("best here", result.best.weights))
    width = 0.8 / len(lines)
    for number, (label, weights) in enumerate(lines):
        offset = (number - (len(lines) - 1) / 2) * width
        axes.bar(
            np.arange(len(present)) + offset,
            [weights[place] or 0.0 for place in present],
            0.9 * width,
            color=LIGHT.runs[number % len(LIGHT.runs)],
            label=label,
        )
    axes.axhline(1, color=LIGHT.muted, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xticks(range(len(present)), [REGIONS[place].upper() for place in present])
    _legend(axes)


def _legend(axes: Axes) -> None:
    """In a row above the bars, which are given room for it."""
    axes.set_ylim(top=1.15 * axes.get_ylim()[1])
    axes.legend(
        loc="upper left",
        ncols=4,
        frameon=False,
        fontsize=8.5,
        labelcolor=LIGHT.muted,
        handlelength=1.2,
        columnspacing=1.0,
    )


def _style(axes: Axes, title: str) -> None:
    axes.set_facecolor(LIGHT.background)
    axes.set_title(title, loc="left", color=LIGHT.ink, fontsize=10.5, fontweight="bold")
    axes.tick_params(colors=LIGHT.muted, labelsize=8.5, length=0)
    axes.grid(color=LIGHT.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT.grid)
