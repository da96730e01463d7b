"""Which steps a value before and after is a mean of: windows that share no step, named truly."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.viewing.report.change import change, edge, ends, span
from rest_verl.viewing.report.groups import Group
from rest_verl.viewing.report.page import comparison, rows
from rest_verl.viewing.report.sources import Run
from rest_verl.viewing.report.write import write_report

REWARD = "reward/total/mean"

# steps of a run whose reward is its step; first window, last window and their means
WINDOWS = [
    (2, "step 1", 1.0, "step 2", 2.0),
    (3, "step 1", 1.0, "step 3", 3.0),
    (9, "steps 1–4", 2.5, "steps 6–9", 7.5),
    (10, "steps 1–5", 3.0, "steps 6–10", 8.0),
    (40, "steps 1–8", 4.5, "steps 33–40", 36.5),
]
each_run = pytest.mark.parametrize(
    ("num_steps", "first", "before", "last", "after"),
    WINDOWS,
    ids=[f"{case[0]} steps" for case in WINDOWS],
)


def run_of(num_steps: int, **more: float) -> Run:
    records = [{"step": step, REWARD: float(step), **more} for step in range(1, num_steps + 1)]
    return Run(name="run", records=records, remarks=[])


def report_of(folder: Path, run: Run) -> tuple[str, str]:
    """The page and the Markdown of a run's report."""
    lines = "".join(json.dumps(record) + "\n" for record in run.records)
    (folder / "metrics.jsonl").write_text(lines)
    page = write_report(folder)
    return page.read_text(encoding="utf-8"), page.with_suffix(".md").read_text(encoding="utf-8")


def cells(html: str) -> list[str]:
    return re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", html)


@each_run
def test_both_ends_in_page_and_markdown(
    tmp_path: Path, num_steps: int, first: str, before: float, last: str, after: float
) -> None:
    page, text = report_of(tmp_path, run_of(num_steps))
    shown = f"{before:.2f} ({first})", f"{after:.2f} ({last})", f"+{after - before:.2f}"
    assert cells(page)[4:] == ["Mean training reward", *shown]
    assert f'<td data-head="Change" class="up">+{after - before:.2f}</td>' in page
    assert f"| Mean training reward | {' | '.join(shown)} |" in text
    unit = "mean per response"
    curve = f"{before:g} ({first}) | {after:g} ({last})"
    assert f"| Reward and its components | {unit} | {curve} |" in text


@each_run
def test_both_ends_side_by_side(
    num_steps: int, first: str, before: float, last: str, after: float
) -> None:
    run = run_of(num_steps, **{"response_length/mean": 50.0})
    table = dict(comparison([Group(name="a", runs=(run,)), Group(name="b", runs=(run_of(1),))]))
    assert table["Mean training reward"] == [
        f"{before:.2f} ({first}) → {after:.2f} ({last})",
        "1.00 (step 1), no change: one step",
    ]
    assert table["Mean response length"] == [f"50 tokens ({last})", "–"]


def test_one_step_has_no_change(tmp_path: Path) -> None:
    page, text = report_of(tmp_path, run_of(1))
    shown = ["Mean training reward", "1.00 (step 1)", "–", "no change: one step"]
    assert cells(page)[4:] == shown
    assert f"| {' | '.join(shown)} |" in text
    assert "| Reward and its components | mean per response | 1 (step 1) | – |" in text
    assert "+0.00" not in page + text


@each_run
def test_remarks_name_the_same_windows(
    num_steps: int, first: str, before: float, last: str, after: float
) -> None:
    found = change(run_of(num_steps).records, (REWARD,))
    if num_steps < 10:  # the scatter of so few is not known
        assert found is None
    else:
        assert found is not None
        assert found.seen == f"from {before:.2f} ({first}) to {after:.2f} ({last})"
        assert found.rises


@pytest.mark.parametrize(
    ("records", "row"),
    [
        pytest.param([(0, 0.5), (8, 0.75)], ("50.0% (step 0)", "75.0% (step 8)"), id="two"),
        pytest.param(
            [(0, 0.5), (4, 0.1), (8, 0.75)], ("50.0% (step 0)", "75.0% (step 8)"), id="three"
        ),
        pytest.param([(0, 0.5)], None, id="one alone is neither before nor after"),
    ],
)
def test_validations_name_their_step(records: list, row: tuple[str, str] | None) -> None:
    name = "val-aux/x/format_ok/mean@1"
    run = Run(name="run", records=[{"step": step, name: v} for step, v in records], remarks=[])
    found = [(shown.before, shown.after) for shown in rows(Group(name="run", runs=(run,)))]
    assert found == ([] if row is None else [row])


def test_seeds_are_compared_over_the_steps_that_all_have() -> None:
    (row,) = rows(Group(name="g", runs=(run_of(40), run_of(10))))
    assert (row.before, row.after) == ("3.00 (steps 1–5)", "8.00 (steps 6–10)")
    without = Run(name="b", records=[{"step": 1, "actor/entropy": 1.0}], remarks=[])
    assert rows(Group(name="g", runs=(run_of(40), without))) == []


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([3], "step 3"),
        ([3, 4], "steps 3–4"),
        ([0, 5, 10, 15], "4 of steps 0–15"),
        ([1, 2, 4], "3 of steps 1–4"),
    ],
)
def test_steps_in_words(steps: list[int], words: str) -> None:
    assert span(steps) == words


@given(st.sets(st.integers(0, 10_000), min_size=1).map(sorted))
def test_no_step_is_in_both_windows(steps: list[int]) -> None:
    first, last = ends(steps, [float(step) for step in steps])
    assert first.steps[0] == steps[0]
    if len(steps) == 1:
        assert last is None
        return
    assert last is not None
    assert len(first.steps) == len(last.steps) == edge(len(steps)) <= len(steps) / 2
    assert last.steps[-1] == steps[-1]
    assert first.steps[-1] < last.steps[0]
    assert first.mean < last.mean  # a rise is never hidden


def live_table(records: list[dict[str, Any]]) -> list[list[str]]:
    """The words of the live view's table but for the curves."""
    pytest.importorskip("rich", reason="the live view needs rich")
    from rich.console import Console

    from rest_verl.viewing.report.live import frame

    console = Console(file=io.StringIO(), width=80)
    console.print(frame(Run(name="run", records=records, remarks=[]), 0.0, 80))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    lines = output.partition("over the run")
    table = [lines[0].splitlines()[-1] + lines[1] + lines[2].splitlines()[0]]
    table += lines[2].splitlines()[1:]
    assert all(len(line) <= 80 for line in table)
    return [re.sub("[▁▂▃▄▅▆▇█]+", "", line).split() for line in table]


@pytest.mark.parametrize("num_steps", [2, 3, 9, 10, 40])
def test_the_live_view_names_first_and_last_step(num_steps: int) -> None:
    head, reward = live_table(run_of(num_steps).records)
    assert head == ["over", "the", "run", "step", "1", "step", str(num_steps)]
    assert reward == ["reward", "1.000", f"{num_steps}.000"]


def test_the_live_view_of_one_step_has_one_column() -> None:
    assert live_table(run_of(1).records) == [
        ["over", "the", "run", "step", "1"],
        ["reward", "1.000"],
    ]


def test_the_live_view_names_a_curve_that_ends_elsewhere() -> None:
    records = run_of(3, **{"actor/grad_norm": 1.0}).records
    records[1]["actor/entropy"] = 0.5
    assert live_table(records)[1:] == [
        ["reward", "1.000", "3.000"],
        ["entropy", "(step", "2)", "0.500", "0.500"],
        ["gradient", "norm", "1", "1"],
    ]
