"""The report of runs: `report.html`, a page that needs no other file, `report.png`, `report.md`."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rest_verl.files.atomic import write_atomically
from rest_verl.viewing.palette import DARK, LIGHT
from rest_verl.viewing.report.charts import Chart, charts
from rest_verl.viewing.report.differences import differences
from rest_verl.viewing.report.groups import Group, read_groups
from rest_verl.viewing.report.hero import hero
from rest_verl.viewing.report.markdown import report_markdown
from rest_verl.viewing.report.notes import data_notes, findings
from rest_verl.viewing.report.page import chart_data, comparison, facts, rows, steady
from rest_verl.viewing.report.samples import samples
from rest_verl.viewing.text import visible_text

QUIET = (
    "Nothing stands out: reward, entropies, format, lengths, calls, weights and updates were "
    "looked at."
)
_SMOOTHING_FROM = 25  # steps; a shorter run's curves are shown as they are
_SMOOTHING = 0.6
_MOST_COLUMNS = 4
_LEAST_BLOCK = 3  # charts that get a row and a heading of their own
_READING = (
    "Point at a chart, or move with the arrow keys, to read all charts at one step; click a name "
    "to hide its curve. Smoothed curves (exponential mean) stand over the thin raw ones; a "
    "number is that of the curve, smoothed or not. "
)
_BANDS = "Several runs of one name: their mean, in a band from the lowest to the highest. "
_REGIONS = (
    "FORMAT is the tags and scaffolding of calls, NAME the tools' names, ARGS their arguments, "
    "THINK the reasoning, TEXT all other words."
)


def write_report(run: Path | str, output: Path | str | None = None) -> Path:
    """Writes the report of one run and gives the path of the page: see `write_reports`."""
    return write_reports([run], output)


def write_reports(runs: Sequence[Path | str], output: Path | str | None = None) -> Path:
    """Writes one report of all `runs` and gives the path of the page.

    Reads each run's metrics and, where they are there, `summary.json` (measures before and after)
    and `samples.json` (a list of objects with `id, prompt, ground_truth, before, after,
    before_score, after_score`). What is damaged in them is left out with a remark on the page.
    Writes `output` and, beside it, a picture of all curves (.png) and a summary (.md); each
    replaces an older one only when it is complete.

    Args:
        runs: `PATH` or `NAME=PATH` each (see `read_groups`): folders, metrics files, or folders of
            tensorboard's event files.
        output: The page; default `report.html` in the folder of a single run.

    Raises:
        FileNotFoundError: a run has no metrics.
        ValueError: a run's metrics hold no step, or `output` is missing or unusable.
    """
    groups = read_groups(runs)
    page_path = _page_path(runs, output)
    drawn = charts(groups)
    name = groups[0].name if len(groups) == 1 else " · ".join(group.name for group in groups)
    page = _render(name, groups, drawn, page_path.with_suffix(".png").name)
    text = report_markdown(
        name, groups, drawn, page_path.with_suffix(".png").name if _moving(drawn) else None
    )
    if _moving(drawn):
        from rest_verl.viewing.report.picture import (
            picture_png,  # matplotlib takes a second to load
        )

        write_atomically(page_path.with_suffix(".png"), picture_png(_moving(drawn), name))
    write_atomically(page_path.with_suffix(".md"), text)
    write_atomically(page_path, page)
    return page_path


def _page_path(runs: Sequence[Path | str], output: Path | str | None) -> Path:
    if output is None:
        if len(runs) != 1 or not Path(runs[0]).is_dir():
            raise ValueError("say where to write the report of these runs: --output report.html")
        return Path(runs[0]) / "report.html"
    path = Path(output)
    if path.is_dir():
        raise ValueError(f"--output {path}: is a folder; name the HTML file to write")
    if path.suffix in (".png", ".md"):
        raise ValueError(f"{path} would be overwritten by what goes with it: end it in .html")
    return path


def _render(name: str, groups: Sequence[Group], drawn: Sequence[Chart], picture: str) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("page.css").render(light=LIGHT, dark=DARK, colors=_colors())
    script = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    overlaid = len(groups) > 1
    moving, top = _moving(drawn), hero(groups)
    longest = max((len(curve.line.steps) for c in moving for curve in c.curves), default=0)
    bands = _BANDS if any(len(group.runs) > 1 for group in groups) else ""
    return environment.get_template("page.html").render(
        name=name,
        facts=[] if overlaid else facts(groups[0]),
        findings=findings(groups),
        quiet=QUIET,
        notes=data_notes(groups),
        groups=[group.name for group in groups] if overlaid else [],
        rows=[] if overlaid else rows(groups[0]),
        comparison=comparison(groups) if overlaid else [],
        differences=differences(groups),
        hero=[_figure(index, chart) for index, chart in enumerate(top)],
        sections=_sections(moving, len(top)),
        steady=[steady(chart) for chart in drawn if chart.is_constant],
        samples=[] if overlaid else samples(groups[0]),
        smoothing=_SMOOTHING if longest >= _SMOOTHING_FROM else 0,
        reading=_READING + bands + _REGIONS,
        picture=picture,
        data=_json_for_html({"charts": [chart_data(chart) for chart in (*top, *moving)]}),
        style=style,
        style_hash=_csp_hash(style),
        script=script,
        script_hash=_csp_hash(script),
    )


def _moving(drawn: Sequence[Chart]) -> list[Chart]:
    return [chart for chart in drawn if not chart.is_constant]


def _sections(drawn: Sequence[Chart], first: int) -> list[dict[str, Any]]:
    """Sections of blocks of charts: the parts of one panel, or single charts.

    `first` is the number of the first of them among all charts of the page.
    """
    num_parts = Counter(chart.panel.title for chart in drawn if chart.part is not None)

    def block_title(item: tuple[int, Chart]) -> str | None:
        title = item[1].panel.title
        return title if num_parts[title] >= _LEAST_BLOCK else None

    sections: list[dict[str, Any]] = []
    for name, in_section in groupby(enumerate(drawn, first), lambda item: item[1].panel.section):
        blocks = []
        for title, in_block in groupby(in_section, block_title):
            shown = list(in_block)
            blocks.append(
                {
                    "title": title,
                    "about": _about(shown[0][1]),
                    "columns": _columns(len(shown)),
                    "charts": [
                        _figure(index, chart, is_part=title is not None) for index, chart in shown
                    ],
                }
            )
        sections.append({"name": name, "blocks": blocks})
    return sections


def _figure(index: int, chart: Chart, *, is_part: bool = False) -> dict[str, Any]:
    """A chart's number, title and words; a part of a panel stands under the panel's."""
    return {
        "index": index,
        "title": visible_text((chart.part if is_part else None) or chart.title),
        "about": None if is_part else _about(chart),
        "name": visible_text(f"{chart.title}, {chart.panel.unit}"),
    }


def _columns(count: int) -> int:
    """Charts in a row, so that the last row is as full as can be."""
    if count <= _MOST_COLUMNS:
        return count
    return max((3, 4), key=lambda columns: (count % columns or columns) / columns)


def _about(chart: Chart) -> str:
    return visible_text(f"{chart.panel.about} · {chart.panel.unit}")


def _colors() -> list[tuple[str, list[tuple[Any, str]], list[tuple[Any, str]]]]:
    """Kind of colour, and place or region with its colour on light and on dark."""
    return [
        ("region", list(LIGHT.regions.items()), list(DARK.regions.items())),
        ("neutral", list(enumerate(LIGHT.neutrals)), list(enumerate(DARK.neutrals))),
        ("run", list(enumerate(LIGHT.runs)), list(enumerate(DARK.runs))),
    ]


def _csp_hash(content: str) -> str:
    """What the page's policy lets run: this text and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _json_for_html(content: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
