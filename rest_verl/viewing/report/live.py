"""A run in the terminal while it goes: small curves, the step, the time left, and remarks."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rest_verl.syntax.terms import LABELS
from rest_verl.viewing.palette import DARK, REGION_NAMES
from rest_verl.viewing.report.change import span
from rest_verl.viewing.report.metrics import NoStepYet, Record, series
from rest_verl.viewing.report.page import duration
from rest_verl.viewing.report.panels import (
    CALLS,
    CLIPPED,
    ENTROPY,
    EXACT_RATE,
    FORMAT_RATE,
    GRAD_NORM,
    LENGTH,
    NAME_RATE,
    REWARD,
    STEP_TIME,
    TERMS,
)
from rest_verl.viewing.report.remarks import remarks
from rest_verl.viewing.report.sources import EVENTS, Run, find_metrics, read_run
from rest_verl.viewing.text import visible_text

REFRESH_SECONDS = 2.0
STALLED_AFTER = 5
"""Times the usual step: verl logs a step at its end, and validation or a checkpoint may be long."""
_RECENT_STEPS = 10  # whose median time says how long the rest will take
_MAX_REMARKS = 3
_BLOCKS = " ▁▂▃▄▅▆▇█"

_LINES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("reward", REWARD, "{:.3f}"),
    ("format as asked", FORMAT_RATE, "{:.1%}"),
    ("right names", NAME_RATE, "{:.1%}"),
    ("exact", EXACT_RATE, "{:.1%}"),
    *((LABELS[term], names, "{:.1%}") for term, names in TERMS.items()),
    ("entropy", ENTROPY, "{:.3f}"),
    *((f"  {r.upper()}", (f"rest/entropy/{r}",), "{:.3f}") for r in REGION_NAMES),
    ("length", LENGTH, "{:.1f}"),
    ("calls", CALLS, "{:.2f}"),
    ("gradient norm", GRAD_NORM, "{:.3g}"),
    ("clip fraction", CLIPPED, "{:.2%}"),
    ("seconds a step", STEP_TIME, "{:.1f}"),
)


def watch(path: Path, console: Console | None = None, seconds: float = REFRESH_SECONDS) -> None:
    """Shows a run until it is complete or Ctrl-C ends it; the run itself is left alone.

    Waits for a run that has written nothing yet; a line that is half written counts once it is
    whole.

    Args:
        path: As for `read_run`.
        console: Where to draw; default standard output.
        seconds: Time between two looks at the files.

    Raises:
        ValueError: its files cannot be read, whatever is still to be written.
    """
    console = console or Console()
    run, seen = None, None
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                files = _files(path)
                if files != seen:
                    run, seen = _read(path), files
                age = max(0.0, time.time() - max((at for _, _, at in files), default=0) / 1e9)
                shown = _waiting(path) if run is None else frame(run, age, console.width)
                live.update(shown, refresh=True)
                if run is not None and is_complete(run):
                    return
                time.sleep(seconds)
    except KeyboardInterrupt:
        return


def is_complete(run: Run) -> bool:
    """Whether nothing more is to come: its last step is there, or its summary."""
    total = run.total_steps
    return bool(run.summary) or (total is not None and run.records[-1]["step"] >= total)


def frame(run: Run, age: float, width: int) -> RenderableType:
    """What the terminal shows of a run, `width` wide, `age` seconds after it was written."""
    parts: list[RenderableType] = [_heading(run, age)]
    steps, rewards = series(run.records, REWARD)
    room = max(20, width - 12)
    if rewards:
        drawn = blocks(rewards, room, height=5)
        labels = [f"{max(rewards):8.3f} ", *[" " * 9] * 3, f"{min(rewards):8.3f} "]
        plot = Text("\n").join(
            Text(label, style="dim") + Text(row, style="bold")
            for label, row in zip(labels, drawn, strict=True)
        )
        parts += [Text(f"\nreward, {span(steps)}", style="dim"), plot]
    parts += _remarks(run)
    parts.append(_table(run.records, width))
    return Group(*parts)


def blocks(values: Sequence[float], width: int, height: int = 1) -> list[str]:
    """A curve of block characters: `height` rows, the top one first, of `width` characters.

    Of more values than characters each shows a mean; of fewer each value takes several.
    """
    columns = []
    for place in range(width):
        start = place * len(values) // width
        stop = max(start + 1, (place + 1) * len(values) // width)
        columns.append(sum(value / (stop - start) for value in values[start:stop]))
    low, high = min(columns), max(columns)
    # Halved first: the difference of huge values would overflow.
    half = high / 2 - low / 2
    shares = [(value / 2 - low / 2) / half if half > 0 else 0.5 for value in columns]
    eighths = [1 + round(share * (8 * height - 1)) for share in shares]
    return [
        "".join(_BLOCKS[min(8, max(0, level - 8 * row))] for level in eighths)
        for row in reversed(range(height))
    ]


def _heading(run: Run, age: float) -> Text:
    records = run.records
    last, total = int(records[-1]["step"]), run.total_steps
    _, times = series(records, STEP_TIME)
    usual = median(times[-_RECENT_STEPS:]) if times else None
    text = Text(visible_text(run.name), style="bold")
    text.append(f"  step {last}" + (f" of {total}" if total else ""), style="not bold")
    if is_complete(run):
        text.append("  complete", style="green")
    elif usual is not None and age > STALLED_AFTER * usual:
        text.append(
            f"  nothing written for {duration(age)} (a step took {duration(usual)}): "
            "look at the run's log",
            style="yellow",
        )
    elif usual is not None and total:
        left = max(0.0, (total - last) * usual - age)
        text.append(f"  about {duration(left)} left", style="not bold")
    return text


def _remarks(run: Run) -> list[Text]:
    found = remarks(run.records, run.options)
    lines = [
        Text("\n▌ ", style="yellow")
        + Text(visible_text(remark.title), style="bold")
        + Text(f"  {visible_text(remark.seen)}", style="not bold")
        for remark in found[:_MAX_REMARKS]
    ]
    if len(found) > _MAX_REMARKS:
        more = len(found) - _MAX_REMARKS
        lines.append(Text(f"  and {more} more: rest-verl report shows all", style="dim"))
    return [*lines, *(Text(f"  {visible_text(remark)}", style="dim") for remark in run.remarks)]


def _table(records: Sequence[Record], width: int) -> Table:
    """Each metric over the run, with its values at its first step and at its last."""
    found = [(label, *series(records, names), form) for label, names, form in _LINES]
    lines = [line for line in found if line[1]]
    ends = Counter(_ends(steps) for _, steps, _, _ in lines)
    usual = max(ends, key=lambda own: ends[own], default=())
    rows = [
        (
            label if _ends(steps) == usual else f"{label} ({', '.join(_ends(steps))})",
            *(form.format(values[place]) for place in (0, -1)[-len(usual) :]),
        )
        for label, steps, values, form in lines
    ]
    sizes = [max(map(len, column)) for column in zip(("", *usual), *rows, strict=True)]
    room = max(10, width - sum(sizes) - 2 * len(sizes) - 2)
    table = Table(box=None, padding=(0, 1), show_edge=False)
    table.add_column("")
    table.add_column("over the run")
    for head in usual:
        table.add_column(head, justify="right")
    for (label, *shown, last), (name, _, values, _) in zip(rows, lines, strict=True):
        style = DARK.regions.get(name.strip().lower()) or ""
        curve = Text(blocks(values, room)[0], style=style)
        table.add_row(label, curve, *shown, Text(last, style="bold"))
    return table


def _ends(steps: Sequence[int]) -> tuple[str, ...]:
    """First and last step in words; one step has no other end."""
    return tuple(dict.fromkeys(f"step {step}" for step in (steps[0], steps[-1])))


def _waiting(path: Path) -> Text:
    return Text(f"waiting for the first step of {visible_text(str(path))} (Ctrl-C to end)")


def _read(path: Path) -> Run | None:
    """The run; None while there is nothing to show of it."""
    try:
        return read_run(path)
    except (FileNotFoundError, NoStepYet):
        return None


def _files(path: Path) -> list[tuple[Path, int, int]]:
    """What is read of a run, with size and time of writing (ns), to see when it goes on."""
    source = find_metrics(path)
    files = sorted(source.glob(f"{EVENTS}.*")) if source.is_dir() else [source]
    files.append(path / "summary.json")
    found = []
    for file in files:
        with contextlib.suppress(OSError):  # not there yet, or just replaced
            status = file.stat()
            found.append((file, status.st_size, status.st_mtime_ns))
    return found
