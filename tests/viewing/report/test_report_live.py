"""The live view: what it shows, when it waits and when it ends."""

import argparse
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rich", reason="the live view needs rich")

from rich.console import Console

from rest_verl.viewing.report import live
from rest_verl.viewing.report.command import add_report
from rest_verl.viewing.report.live import blocks, frame, is_complete, watch
from rest_verl.viewing.report.sources import Run


def run_of(last: int, total: int, name: str = "run") -> Run:
    records = [
        {
            "step": step,
            "rest/progress": step / total,
            "reward/total/mean": 0.1 * step,
            "timing_s/step": 20.0,
            "rest/entropy/args": 1.0 / step,
        }
        for step in range(1, last + 1)
    ]
    return Run(name=name, records=records, remarks=[])


def text_of(run: Run, age: float = 0.0, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(frame(run, age, width))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in output
    return output


def test_blocks() -> None:
    assert blocks([0.0, 1.0], 2) == ["▁█"]
    assert blocks([0.0, 1.0], 4) == ["▁▁██"]  # each value takes two characters
    assert blocks([0.0, 1.0, 7.0, 7.0], 2) == ["▁█"]  # means of pairs
    assert blocks([0.0, 1.0], 2, height=2) == [" █", "▁█"]
    assert blocks([3.0], 3) == ["▅▅▅"]  # a single value stands in the middle


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50),
    st.integers(1, 40),
    st.integers(1, 4),
)
def test_blocks_fill_their_box(values: list[float], width: int, height: int) -> None:
    rows = blocks(values, width, height)
    assert [len(row) for row in rows] == [width] * height


def test_frame_shows_step_time_left_and_curves() -> None:
    text = text_of(run_of(30, 36))
    assert "run  step 30 of 36  about 2 min 00 s left" in text
    assert "reward, steps 1–30" in text
    (line,) = [line for line in text.splitlines() if line.strip().startswith("ARGS")]
    assert line.split()[-2:] == ["1.000", "0.033"]
    assert all(len(line) <= 80 for line in text.splitlines())


def test_frame_shows_remarks() -> None:
    run = run_of(40, 60)
    for record in run.records:
        record["rest/token_share/args"] = 0.3
    assert "The entropy of ARGS collapses" in text_of(run)


def test_a_run_that_has_stopped_is_noticed() -> None:
    # Five times the 20 s of a step.
    assert "nothing written for 1 min 41 s (a step took 20 s)" in text_of(run_of(3, 9), age=101.0)
    assert "nothing written" not in text_of(run_of(3, 9), age=99.0)


def test_names_with_escape_codes_show_as_text() -> None:
    assert "␛[31m[bold]x" in text_of(run_of(3, 9, name="\x1b[31m[bold]x"))


def test_a_run_without_progress_or_times_is_shown() -> None:
    run = Run(name="verl", records=[{"step": 7, "critic/score/mean": 1.0}], remarks=["Cut."])
    assert not is_complete(run)
    text = text_of(run)
    assert "verl  step 7\n" in text
    assert "Cut." in text


def line_of(step: int, total: int) -> str:
    values = {"reward/total/mean": 0.5, "rest/progress": step / total}
    return json.dumps({"step": step, "data": values}) + "\n"


def test_watch_waits_reads_on_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    path = run / "verl_metrics.jsonl"
    last = line_of(3, 3)
    # What the run writes while the view sleeps: nothing, a file, lines whole and half.
    writes = iter(["", line_of(1, 3), line_of(2, 3) + last[:20], last[20:]])
    shown: list[str] = []

    def sleep(_: float) -> None:
        shown.append(output.getvalue())
        run.mkdir(exist_ok=True)
        with path.open("a") as metrics:
            metrics.write(next(writes))

    monkeypatch.setattr(live.time, "sleep", sleep)
    output = io.StringIO()
    watch(run, Console(file=output, width=80, force_terminal=True, color_system=None))
    assert next(writes, None) is None
    new = [after[len(before) :] for before, after in zip(["", *shown], shown, strict=False)]
    assert "waiting for the first step of" in new[0]
    assert "waiting for the first step of" in new[1]  # an empty file
    assert "step 1 of 3" in new[2]
    assert "step 2 of 3" in new[3]
    assert "The last line is cut off" in new[3]
    assert "step 3 of 3  complete" in output.getvalue()


def test_watch_reads_a_wandb_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.jsonl"
    values = {"_runtime": 1.5, "reward/total/mean": 0.5}
    rows = iter([{"_step": step, "rest/progress": step / 2, **values} for step in (1, 2)])

    def sleep(_: float) -> None:
        with path.open("a") as history:
            history.write(json.dumps(next(rows)) + "\r\n")

    monkeypatch.setattr(live.time, "sleep", sleep)
    console = Console(file=io.StringIO(), width=80)
    watch(tmp_path, console)
    assert next(rows, None) is None
    assert "step 2 of 2  complete" in console.file.getvalue()  # type: ignore[attr-defined]


def test_ctrl_c_ends_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live.time, "sleep", interrupted)
    console = Console(file=io.StringIO(), width=80)
    watch(tmp_path / "absent", console)
    assert "waiting for the first step" in console.file.getvalue()  # type: ignore[attr-defined]


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_report(parser.add_subparsers())
    return parser.parse_args(["report", *arguments])


def test_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text(line_of(1, 1))
    arguments = parsed(f"x={tmp_path}", "--output", str(tmp_path / "page.html"))
    assert arguments.run_command(arguments) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert "<h1>x</h1>" in (tmp_path / "page.html").read_text()


def test_command_watches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text(line_of(1, 1))
    arguments = parsed(str(tmp_path), "--watch")
    assert arguments.run_command(arguments) == 0
    assert "step 1 of 1  complete" in capsys.readouterr().out


def test_command_watches_a_named_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=1").mkdir()
    (tmp_path / "lr=1/metrics.jsonl").write_text(line_of(1, 1))
    for argument in ("lr=1", "rest=lr=1"):
        arguments = parsed(argument, "--watch")
        assert arguments.run_command(arguments) == 0
        assert "lr=1  step 1 of 1  complete" in capsys.readouterr().out
    arguments = parsed("lr=2", "--watch")  # else it would wait for a folder "2"
    with pytest.raises(FileNotFoundError, match=r"^'lr=2': there is no '2'; .* as \./PATH$"):
        arguments.run_command(arguments)


def test_command_waits_only_when_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[Path] = []
    monkeypatch.setattr(live, "watch", watched.append)
    arguments = parsed(str(tmp_path / "later"), "--watch")
    with pytest.raises(ValueError, match="later: there is no such run; add --wait"):
        arguments.run_command(arguments)
    arguments = parsed(str(tmp_path / "later"), "--watch", "--wait")
    assert arguments.run_command(arguments) == 0
    assert watched == [tmp_path / "later"]
    arguments = parsed(str(tmp_path), "--wait")
    with pytest.raises(ValueError, match="--wait goes with --watch only"):
        arguments.run_command(arguments)


@pytest.mark.parametrize("more", [["other"], ["--output", "page.html"]])
def test_command_watches_one_run_and_writes_nothing(more: list[str]) -> None:
    arguments = parsed("run", *more, "--watch")
    with pytest.raises(ValueError, match="name one RUN and no --output"):
        arguments.run_command(arguments)
