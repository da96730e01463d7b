"""The report's panels as data (what is drawn from which metrics), and how one is drawn."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from rest_verl.viewing.metrics import Record, series
from rest_verl.viewing.palette import LIGHT, REGION_NAMES, Theme

_DASHES: tuple[str, ...] = ("-", "--", "-.", ":")
_MAX_VALIDATION_CURVES = 4
_MAX_LABEL = 34  # characters; two of them fit beside each other
_MARKERS_UP_TO = 15  # points; more of them would hide the line


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve of a panel."""

    names: tuple[str, ...]
    """Metric names; the first that the run has is drawn."""
    label: str
    region: str | None = None
    """Region whose colour it takes; None: a neutral colour and dash by its place in the panel."""
    dash: str = "-"
    """Matplotlib line style of a region's curve."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot over the training steps."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    percent: bool = False
    """Values are shares of 1, shown as percentages."""
    from_zero: bool = False
    """The axis starts at 0, so that heights compare as ratios."""
    limit: tuple[float, str] | None = None
    """A horizontal line that values should not cross: where, and what it says."""

    sparse: bool = False
    """Steps without a value are normal: a region without tokens, a step without validation."""


def _by_region(group: str, dash: str = "-") -> tuple[Curve, ...]:
    return tuple(
        Curve(names=(f"rest/{group}/{region}",), label=region.upper(), region=region, dash=dash)
        for region in REGION_NAMES
    )


def _curve(label: str, *names: str) -> Curve:
    return Curve(names=names, label=label)


PANELS = (
    Panel(
        title="Reward and its components",
        unit="mean per response",
        curves=(
            _curve("total", "reward/total/mean", "critic/score/mean"),
            _curve("format", "reward/format/mean"),
            _curve("correctness", "reward/correctness/mean"),
        ),
    ),
    Panel(
        title="Region entropy",
        unit="nats per token",
        curves=_by_region("entropy"),
        from_zero=True,
        sparse=True,
    ),
    Panel(title="Region weight", unit="mean weight", curves=_by_region("weight"), sparse=True),
    Panel(
        title="Share of tokens (dashed) and of weight (solid)",
        unit="share of the batch",
        curves=_by_region("weight_share") + _by_region("token_share", dash="--"),
        percent=True,
        from_zero=True,
        sparse=True,
    ),
    Panel(
        title="Clip fraction",
        unit="share of tokens",
        curves=(
            _curve("clipped", "actor/pg_clipfrac"),
            _curve("dual clip", "actor/pg_clipfrac_lower"),
        ),
        percent=True,
        from_zero=True,
    ),
    Panel(
        title="Gradient norm",
        unit="L2 norm before clipping",
        curves=(_curve("gradient norm", "actor/grad_norm"),),
        from_zero=True,
    ),
    Panel(
        title="Response length",
        unit="mean tokens per response",
        curves=(_curve("mean", "response_length/mean"),),
        from_zero=True,
    ),
    Panel(
        title="Sampler and trainer: agreement of probabilities",
        unit="Pearson correlation",
        curves=(_curve("correlation", "training/rollout_actor_probs_pearson_corr"),),
        limit=(0.99, "healthy above 0.99"),
    ),
    Panel(
        title="Time per step",
        unit="seconds",
        curves=(
            _curve("whole step", "timing_s/step"),
            _curve("sampling", "timing_s/gen"),
            _curve("update", "timing_s/update_actor"),
            _curve("old log-probs", "timing_s/old_log_prob"),
        ),
        from_zero=True,
    ),
)


def panels_with_data(records: Sequence[Record]) -> list[Panel]:
    """The panels and curves that `records` have values for, validation second."""
    panels = [PANELS[0], *_validation(records), *PANELS[1:]]
    present = [
        replace(panel, curves=tuple(c for c in panel.curves if series(records, c.names)[0]))
        for panel in panels
    ]
    return [panel for panel in present if panel.curves]


def panel_svg(panel: Panel, records: Sequence[Record], theme: Theme) -> bytes:
    """One panel as a stand-alone SVG image; equal input gives equal bytes."""
    width, height = 5.6, 3.3  # inches
    figure = Figure(figsize=(width, height), facecolor=theme.background)
    axes = figure.add_subplot()
    title_pad = _draw(axes, panel, records, theme)
    # Set by hand: a layout engine would double the time of a report.
    figure.subplots_adjust(
        left=0.125, right=0.985, bottom=0.135, top=1 - (title_pad + 20) / (72 * height)
    )
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": panel.title}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def overview_png(panels: Sequence[Panel], records: Sequence[Record], heading: str) -> bytes:
    """All panels in one PNG image, on a light background."""
    num_columns = min(3, len(panels))
    num_rows = math.ceil(len(panels) / num_columns)
    figure = Figure(
        figsize=(5.6 * num_columns, 3.4 * num_rows + 0.5),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12),
        facecolor=LIGHT.background,
    )
    figure.suptitle(
        heading,
        color=LIGHT.ink,
        fontsize=15,
        fontweight="bold",
        x=0.01,
        ha="left",
        parse_math=False,  # a folder's name may hold "$"
    )
    for index, panel in enumerate(panels, start=1):
        _draw(figure.add_subplot(num_rows, num_columns, index), panel, records, LIGHT)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _validation(records: Sequence[Record]) -> list[Panel]:
    """One panel of verl's `val-core/{data source}/{variable}/{statistic}`, if there are any."""
    names = sorted({name for record in records for name in record if name.startswith("val-core/")})
    if not names:
        return []
    shown = names[:_MAX_VALIDATION_CURVES]
    sources, statistics = zip(*(_split_validation(name) for name in shown), strict=True)
    alike = len(set(statistics)) == 1
    labels = sources if alike else map("/".join, zip(sources, statistics, strict=True))
    more = f" (first {len(shown)} of {len(names)})" if len(names) > len(shown) else ""
    return [
        Panel(
            title=f"Validation{more}",
            unit=statistics[0] if alike else "value",
            curves=tuple(map(_curve, labels, shown)),
            sparse=True,
        )
    ]


def _split_validation(name: str) -> tuple[str, str]:
    """`"val-core/org/data/reward/mean@1"` into `("org/data", "reward/mean@1")`."""
    parts = name.split("/")[1:]
    return "/".join(parts[:-2]), "/".join(parts[-2:])


def _draw(axes: Axes, panel: Panel, records: Sequence[Record], theme: Theme) -> float:
    """Draws a panel; gives the distance from the plot up to its title, in points."""
    handles: dict[str, Line2D] = {}
    for place, curve in enumerate(panel.curves):
        steps, values = series(records, curve.names)
        if curve.region is None:
            color, dash = theme.neutrals[place], _DASHES[place]
        else:
            color, dash = theme.regions[curve.region], curve.dash
        (line,) = axes.plot(
            steps,
            values,
            color=color,
            linestyle=dash,
            linewidth=1.8,
            # The leading curve stays on top where curves meet.
            zorder=3 - 0.1 * place,
            marker="o" if len(steps) <= _MARKERS_UP_TO else None,
            markersize=3.5,
        )
        handles.setdefault(curve.label, line)
    legend_rows = 0
    if len(handles) > 1:
        num_columns = len(handles) if sum(map(len, handles)) < 48 else 2
        legend_rows = math.ceil(len(handles) / num_columns)
        legend = axes.legend(
            handles.values(),
            [
                label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 1] + "…"
                for label in handles
            ],
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
    title_pad = 6.0 + 16 * legend_rows
    _style(axes, panel, theme, title_pad)
    return title_pad


def _style(axes: Axes, panel: Panel, theme: Theme, title_pad: float) -> None:
    axes.set_facecolor(theme.background)
    axes.set_title(
        panel.title,
        loc="left",
        color=theme.ink,
        fontsize=11,
        fontweight="bold",
        pad=title_pad,
    )
    axes.set_xlabel("training step", color=theme.muted, fontsize=9)
    axes.set_ylabel(panel.unit, color=theme.muted, fontsize=9)
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
