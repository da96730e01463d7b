"""All charts in one PNG image, drawn with matplotlib on a light background."""

import io
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from rest_verl.viewing.palette import LIGHT, Theme
from rest_verl.viewing.report.charts import Chart, theme_color

DASHES: tuple[str, ...] = ("-", "--", "-.", ":", "-", "--")
_CELL = 5.2, 3.5  # inches, of one chart with its margins
_MARGINS = 0.72, 0.2, 0.55, 0.75  # inches: left, right, bottom, top
_HEADING = 0.5  # inches
_MAX_LABEL = 34  # characters; two of them fit beside each other
_MARKERS_UP_TO = 15  # points; more of them would hide the line


def picture_png(charts: Sequence[Chart], heading: str) -> bytes:
    """The charts in one PNG image; equal input gives equal bytes."""
    num_columns = min(3 if len(charts) <= 9 else 4 if len(charts) <= 20 else 5, len(charts))
    num_rows = math.ceil(len(charts) / num_columns)
    width, height = _CELL[0] * num_columns, _CELL[1] * num_rows + _HEADING
    figure = Figure(figsize=(width, height), facecolor=LIGHT.background)
    # Set by hand: a layout engine would double the time.
    left, right, bottom, top = _MARGINS
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - (top + _HEADING) / height,
        wspace=(left + right) / (_CELL[0] - left - right),
        hspace=(bottom + top) / (_CELL[1] - bottom - top),
    )
    figure.suptitle(
        heading,
        color=LIGHT.ink,
        fontsize=15,
        fontweight="bold",
        x=0.15 / width,
        y=1 - 0.15 / height,
        ha="left",
        parse_math=False,  # a folder's name may hold "$"
    )
    for index, chart in enumerate(charts, start=1):
        _draw(figure.add_subplot(num_rows, num_columns, index), chart, LIGHT)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Axes, chart: Chart, theme: Theme) -> None:
    handles: list[Line2D] = []
    for place, curve in enumerate(chart.curves):
        line, color = curve.line, theme_color(theme, curve.color)
        # The leading curve stays on top where curves meet.
        order = 3 - 0.1 * place
        if line.low != line.high:
            axes.fill_between(
                line.steps,
                line.low,
                line.high,
                color=color,
                alpha=0.18,
                linewidth=0,
                zorder=order - 1,
            )
        handles += axes.plot(
            line.steps,
            line.values,
            color=color,
            linestyle=DASHES[curve.dash],
            linewidth=1.8,
            zorder=order,
            marker="o" if len(line.steps) <= _MARKERS_UP_TO else None,
            markersize=3.5,
        )
    legend_rows = 0
    if len(handles) > 1:
        labels = [
            curve.label if len(curve.label) <= _MAX_LABEL else curve.label[: _MAX_LABEL - 1] + "…"
            for curve in chart.curves
        ]
        num_columns = len(labels) if sum(map(len, labels)) + 4 * len(labels) < 62 else 3
        legend_rows = math.ceil(len(labels) / num_columns)
        legend = axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),  # above the plot, where it covers no curve
            ncols=num_columns,
            frameon=False,
            fontsize=8.5,
            labelcolor=theme.muted,
            handlelength=1.6,
            columnspacing=1.2,
            borderaxespad=0.1,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)  # a data source's name may hold "$"
    _style(axes, chart, theme, 6.0 + 16 * legend_rows)


def _style(axes: Axes, chart: Chart, theme: Theme, title_pad: float) -> None:
    panel = chart.panel
    axes.set_facecolor(theme.background)
    title = axes.set_title(
        chart.title,
        loc="left",
        color=theme.ink,
        fontsize=11,
        fontweight="bold",
        pad=title_pad,
    )
    title.set_parse_math(False)
    axes.set_xlabel("training step", color=theme.muted, fontsize=9)
    axes.set_ylabel(panel.unit, color=theme.muted, fontsize=9, parse_math=False)
    axes.tick_params(colors=theme.muted, labelsize=8.5, length=0)
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.grid)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if panel.percent:
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    else:
        axes.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    if panel.limit is not None:
        where, saying = panel.limit
        axes.axhline(where, color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, where - 0.2 * (high - where)), high)
        axes.annotate(
            saying,
            (0.01, where),
            xycoords=("axes fraction", "data"),
            xytext=(0, -3),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=theme.muted,
        )
    if panel.from_zero:
        axes.set_ylim(0, 1.03 * axes.get_ylim()[1])
