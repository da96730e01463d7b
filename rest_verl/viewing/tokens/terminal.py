"""A token view in the terminal: region colours, shaded by weight.

Everything is printed through `visible_text`, so that no control character of a model's reaches the
terminal; colours are rich's own, and vanish where the output is no terminal.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from rest_verl.algorithm.regions import Region
from rest_verl.syntax.terms import FAULTS
from rest_verl.viewing.palette import DARK, REGION_NAMES
from rest_verl.viewing.text import visible_text
from rest_verl.viewing.tokens.view import TokenView

_STRENGTH = 0.55
"""Share of the region's colour behind the heaviest token; the rest is the dark page's colour."""
_PLAIN_COLORS = ("blue", "red", "yellow", "green", "magenta")


def print_view(view: TokenView, console: Console | None = None) -> None:
    """Prints every response at the stop that was asked for, and a table of each one's regions."""
    console = Console(highlight=False) if console is None else console
    heaviest = max(
        (view.weights(view.start, row).max(initial=0) for row in range(len(view.rollouts))),
        default=0,
    )
    style = _plain_style if console.color_system == "standard" else _style
    for row in range(len(view.rollouts)):
        console.print(_heading(view, row))
        console.print(_tokens(view, row, float(heaviest) or 1.0, style), soft_wrap=True)
        console.print(_table(view, row))
        console.print()


def _heading(view: TokenView, row: int) -> Text:
    rollout = view.rollouts[row]
    heading = Text(visible_text(rollout.name).replace("\n", "␊"), style="bold")
    if rollout.score is not None:
        heading.append(f"  reward {rollout.score:.2f}", style="not bold")
    for fault in view.terms[row].faults:
        heading.append(f"  {FAULTS[fault]}", style="not bold red")
    use = "as trained" if view.as_trained else "hypothetical"
    heading.append(f"  progress {view.stops[view.start]:.2f}, {use}", style="not bold dim")
    return heading


def _tokens(
    view: TokenView, row: int, heaviest: float, style: Callable[[int, float], Style]
) -> Text:
    regions = view.regions[slice(*view.offset[row : row + 2])].tolist()
    weights = view.weights(view.start, row).tolist()
    styles: dict[tuple[int, float], Style] = {}
    text = Text()
    for token, region, weight in zip(view.token_texts(row), regions, weights, strict=True):
        if (region, weight) not in styles:
            styles[region, weight] = style(region, weight / heaviest)
        text.append(token.replace("\n", "↵\n").replace("\t", "⇥   "), styles[region, weight])
    return text


def _style(region: int, shade: float) -> Style:
    """Ink on the region's colour; observations, which the policy did not sample, only dim."""
    if region < 0:
        return Style(dim=True)
    color = DARK.regions[REGION_NAMES[region]]
    return Style(color=DARK.ink, bgcolor=_mixed(color, DARK.background, _STRENGTH * shade))


def _plain_style(region: int, shade: float) -> Style:
    """The same for a terminal of 16 colours, which has no shades: light tokens dim, heavy bold."""
    if region < 0:
        return Style(dim=True)
    return Style(color=_PLAIN_COLORS[region], dim=shade < 1 / 3, bold=shade > 2 / 3)


def _mixed(color: str, other: str, share: float) -> str:
    pairs = ((int(color[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


def _table(view: TokenView, row: int) -> Table:
    here = slice(*view.offset[row : row + 2])
    regions, weights = view.regions[here], view.weights(view.start, row)
    num_tokens, total = (regions >= 0).sum(), weights.sum()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("region")
    for column in ("weight", "entropy", "of tokens", "of weight"):
        table.add_column(column, justify="right")
    for region in Region:
        of_region = regions == region
        if not of_region.any():
            continue
        entropy = "–" if view.entropy is None else f"{view.entropy[here][of_region].mean():.3f}"
        share = weights[of_region].sum() / total if total else 0.0
        name = Text.assemble(
            ("  ", Style(bgcolor=DARK.regions[REGION_NAMES[region]])), f" {REGION_NAMES[region]}"
        )
        table.add_row(
            name,
            f"{weights[of_region].mean():.3f}",
            entropy,
            f"{of_region.sum() / num_tokens:.0%}",
            f"{share:.0%}",
        )
    return table
