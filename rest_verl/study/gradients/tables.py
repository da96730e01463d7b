"""The result in words and tables: for the terminal with rich, and as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from rest_verl.study.gradients.intervals import CONFIDENCE, WANTED, Ratio
from rest_verl.study.gradients.result import REGIONS, Result

Cells = list[list[str]]

_FIGURES = {
    "variance": "variance",
    "noise_to_signal_ratio": "noise-to-signal",
    "cosine": "cosine",
    "gain": "gain",
}


def figure_table(result: Result) -> Cells:
    """Head and rows: each weighting's figures over uniform's."""
    cells = [["weighting", *_FIGURES.values(), "gain apart from 1?"]]
    for row in result.rows[1:]:
        ratios = [getattr(row.figures, name) for name in _FIGURES]
        cells.append([row.label, *map(interval, ratios), verdict(row.figures.gain)])
    return cells


def region_table(result: Result) -> Cells:
    """Head and rows: what each region is, what it weighs, and what would be best."""
    share = ["–" if not value else f"{100 * value:.1f} %" for value in result.token_share]
    lines: dict[str, Sequence[float | None]] = {
        "entropy (nats)": result.entropy,
        "score norm²": result.score_norm,
        "1 − exp(−H)": result.score_bound,
    }
    lines |= {f"weight: {row.label}": row.weights for row in result.rows if row.name == "paper"}
    lines["weight: best here"] = result.best.weights
    cells = [["", *map(str.upper, REGIONS)], ["tokens", *share]]
    for name, ratios in {"signal": result.signal_share, "noise": result.noise_share}.items():
        shown = zip(ratios, result.token_share, strict=True)
        cells.append([f"{name}, share", *(interval(r) if tokens else "–" for r, tokens in shown)])
    return cells + [[name, *map(number, values)] for name, values in lines.items()]


def remarks(result: Result) -> Iterator[str]:
    """What the tables do not say, a sentence or two each."""
    uniform = result.rows[0].figures
    yield (
        f"{result.num_prompts:,} prompts, {result.num_responses:,} responses, mean reward "
        f"{result.mean_reward:.3f}; all responses to {result.num_without_gradient:,} of the "
        "prompts have the same reward, so their gradient is zero: they are part of every mean."
    )
    if uniform.noise_to_signal.value is None:
        yield (
            "The signal of uniform is not above zero on these prompts: noise-to-signal, cosine and "
            "gain cannot be told. More prompts are needed."
        )
    else:
        yield (
            f"Uniform (plain GRPO): a prompt's noise is {interval(uniform.noise_to_signal)} of its "
            f"signal; a batch of {result.batch_prompts} prompts has 1/{result.batch_prompts} of "
            "that."
        )
    yield (
        "Variance, noise-to-signal and gain are over uniform's; gain is the first-order gain of a "
        f"step of equal length with {result.batch_prompts} prompts. Intervals are "
        f"{100 * CONFIDENCE:.0f} % for each figure by itself."
    )
    yield (
        f"The sketch of {result.sketch_size:,} numbers errs by {100 * result.sketch_error:.1f} % "
        "of a squared length (one standard deviation) at most, alike for all weightings, so that "
        "ratios err by less."
    )
    best = result.best
    yield (
        f"Best weights (mean 1, within [{best.low:g}, {best.high:g}]), chosen on half of the "
        f"prompts and judged on the other half: gain {interval(best.gain)}; apart from 1? "
        f"{verdict(best.gain)}."
    )


def interval(ratio: Ratio) -> str:
    """`0.58 [0.55, 0.61]`."""
    if ratio.value is None:
        return "–"
    if ratio.ends is None:
        return f"{number(ratio.value)} [no bound]"
    return f"{number(ratio.value)} [{number(ratio.low)}, {number(ratio.high)}]"


def verdict(ratio: Ratio) -> str:
    """Whether a ratio to uniform's is told apart from 1, and what it would take."""
    needed = (
        f"about {round_up(ratio.num_prompts_needed):,} prompts for ±{WANTED:g}"
        if ratio.num_prompts_needed
        else ""
    )
    if ratio.ends is not None and ratio.excludes(1):
        told = "above" if ratio.ends[0] > 1 else "below"
    elif ratio.value is None:
        told = "more prompts are needed"
    else:
        told = "no"
    return f"{told}; {needed}" if needed else told


def round_up(count: int) -> int:
    """To two figures: more would pretend to know."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit


def number(value: float | None) -> str:
    """Three decimals or more figures, – for None."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.3f}" if size >= 0.095 else f"{value:.2g}"


def print_result(result: Result, console: Console) -> None:
    """To the terminal."""
    for title, cells in (
        ("Gradients over uniform's", figure_table(result)),
        ("Regions", region_table(result)),
    ):
        table = Table(title=title, title_justify="left")
        for place, head in enumerate(cells[0]):
            table.add_column(head, justify="left" if place == 0 else "right", no_wrap=place == 0)
        for row in cells[1:]:
            table.add_row(*row)
        console.print(table)
    for remark in remarks(result):
        console.print(remark, highlight=False, markup=False)


def markdown(result: Result) -> str:
    """The same as a page."""
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.facts.items())
    parts = ["# Gradients", facts, _markdown_table(figure_table(result))]
    parts += ["![figures](gradients.png)", _markdown_table(region_table(result))]
    return "\n\n".join([*parts, *remarks(result)]) + "\n"


def _markdown_table(cells: Cells) -> str:
    rows = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in cells]
    rows.insert(1, " | ".join(["---"] * len(cells[0])))
    return "\n".join(f"| {row} |" for row in rows)
