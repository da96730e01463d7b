"""Which runs a report is of: arguments, seeds of one name, files of every kind."""

import json
import os
import sys
from pathlib import Path

import pytest

from rest_verl.viewing.report.charts import charts
from rest_verl.viewing.report.groups import Group, read_groups
from rest_verl.viewing.report.metrics import NoStepYet
from rest_verl.viewing.report.notes import data_notes
from rest_verl.viewing.report.page import comparison, facts, rows
from rest_verl.viewing.report.sources import Run, find_metrics, read_run
from rest_verl.viewing.report.write import write_reports


def write_metrics(path: Path, rewards: list[float], **more: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"step": step, "reward/total/mean": reward, "response_length/mean": 10 * step, **more}
        for step, reward in enumerate(rewards, start=1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run_of(*values: float, name: str = "run", **summary: float) -> Run:
    records = [{"step": step, "a": value} for step, value in enumerate(values, start=1)]
    return Run(name=name, records=records, remarks=[], summary=summary)


def test_runs_of_one_name_are_a_mean_and_a_band() -> None:
    line = Group(name="g", runs=(run_of(1.0, 2.0), run_of(3.0, 8.0))).line(("a",))
    assert line is not None
    assert (line.steps, line.values) == ([1, 2], [2.0, 5.0])
    assert (line.low, line.high) == ([1.0, 2.0], [3.0, 8.0])


def test_a_mean_ends_with_the_shortest_run() -> None:
    group = Group(name="g", runs=(run_of(1.0, 2.0, 9.0), run_of(3.0, 8.0)))
    line = group.line(("a",))
    assert line is not None
    assert line.steps == [1, 2]
    assert group.remarks == ["Its runs end at steps 3, 2: shown up to step 2."]


def test_a_step_that_one_run_lacks_is_of_the_others() -> None:
    gap = Run(name="gap", records=[{"step": 1, "a": 1.0}, {"step": 2}], remarks=[])
    line = Group(name="g", runs=(gap, run_of(3.0, 8.0))).line(("a",))
    assert line is not None
    assert (line.values, line.low) == ([2.0, 8.0], [1.0, 8.0])
    assert Group(name="g", runs=(gap,)).line(("b",)) is None


def test_names_group_runs(tmp_path: Path) -> None:
    paths = [write_metrics(tmp_path / f"s{i}/metrics.jsonl", [0.1, 0.2]).parent for i in range(4)]
    arguments = [f"rest={paths[0]}", f"grpo={paths[1]}", f"rest={paths[2]}", str(paths[3])]
    groups = read_groups(arguments)
    assert [(group.name, len(group.runs)) for group in groups] == [
        ("rest", 2),
        ("grpo", 1),
        ("s3", 1),
    ]


def test_runs_without_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for parts in ("a/run", "b/run", "b/other"):
        write_metrics(tmp_path / parts / "metrics.jsonl", [0.1])
    groups = read_groups([tmp_path / parts for parts in ("a/run", "b/run", "b/other")])
    assert [group.name for group in groups] == ["a/run", "b/run", "other"]


def test_an_equals_sign_in_a_path_is_no_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_metrics(tmp_path / "lr=1/metrics.jsonl", [0.1])
    assert [group.name for group in read_groups(["lr=1"])] == ["lr=1"]  # it is there
    assert [group.name for group in read_groups([f"{tmp_path}/lr=1"])] == ["lr=1"]
    assert [group.name for group in read_groups(["x=lr=1"])] == ["x"]
    write_metrics(tmp_path / "out/a=b/metrics.jsonl", [0.1])
    assert [group.name for group in read_groups(["out/a=b"])] == ["a=b"]
    assert [group.name for group in read_groups(["lr=2=out/a=b"])] == ["lr=2"]
    assert [group.name for group in read_groups(["./lr=1", "a=b=c=lr=1"])] == ["lr=1", "a=b=c"]


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("grpo=out/gone", "out/gone"),
        ("lr=1", "1"),
        ("name=path=with=equals", "path=with=equals"),
    ],
)
def test_a_run_that_is_not_there_is_named_as_given(
    tmp_path: Path, monkeypatch, argument: str, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    message = (
        f"^'{argument}': there is no '{path}'; write a run as PATH or NAME=PATH, .* as ./PATH$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        read_groups([argument])
    with pytest.raises(FileNotFoundError, match=f"no metrics at {argument}/metrics.jsonl"):
        read_groups([f"./{argument}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["a="], "'a=': write a run as PATH or NAME=PATH", id="no path"),
        pytest.param(["=run"], "'=run': write a run as PATH or NAME=PATH", id="no name"),
        pytest.param([f"{i}=run" for i in range(9)], "9 names are more than can", id="too many"),
    ],
)
def test_unusable_arguments(tmp_path: Path, monkeypatch, arguments: list[str], message) -> None:
    monkeypatch.chdir(tmp_path)
    write_metrics(tmp_path / "run/metrics.jsonl", [0.1])
    with pytest.raises(ValueError, match=message):
        read_groups(arguments)


def test_several_runs_need_an_output(tmp_path: Path) -> None:
    run = write_metrics(tmp_path / "run/metrics.jsonl", [0.1]).parent
    with pytest.raises(ValueError, match=r"--output report\.html"):
        write_reports([run, run])
    assert [path.name for path in run.iterdir()] == ["metrics.jsonl"]


def test_overlaid_curves_have_a_chart_each_and_a_colour_a_run() -> None:
    runs = [
        Group(name=name, runs=(Run(name=name, records=records, remarks=[]),))
        for name, records in (
            ("x", [{"step": 1, "rest/weight/name": 1.0, "rest/weight/args": 1.1}]),
            ("y", [{"step": 1, "rest/weight/name": 0.9}]),
        )
    ]
    found = [
        (chart.title, [(curve.label, curve.color) for curve in chart.curves])
        for chart in charts(runs)
    ]
    assert found == [
        ("Region weight: NAME", [("x", "run-0"), ("y", "run-1")]),
        ("Region weight: ARGS", [("x", "run-0")]),
    ]


def test_tables_give_the_mean_of_the_seeds() -> None:
    seeds = (
        run_of(1.0, seed=0, preset="paper", format_rate_before=0.5, format_rate_after=0.7),
        run_of(1.0, seed=1, preset="paper", format_rate_before=0.7, format_rate_after=0.9),
    )
    group = Group(name="g", runs=seeds)
    assert dict(facts(group)) == {"runs": "2", "preset": "paper", "seeds": "0, 1", "steps": "1"}
    (row,) = rows(group)
    assert (row.measure, row.before, row.after) == (
        "Format as asked, held-out tasks",
        "60.0%",
        "80.0%",
    )
    table = dict(comparison([group, Group(name="one", runs=(run_of(1.0, seed=3),))]))
    assert table["Runs"] == ["2", "1"]
    assert table["Seeds"] == ["0, 1", "3"]
    assert table["Format as asked, held-out tasks"] == ["60.0% → 80.0%", "–"]


def test_report_of_several_runs(tmp_path: Path) -> None:
    for name, rewards in (("a", [0.1, 0.2]), ("b", [0.3, 0.4]), ("<i>c", [0.5])):
        write_metrics(tmp_path / name / "metrics.jsonl", rewards)
    output = tmp_path / "out" / "all.html"
    arguments = [f"seeds={tmp_path / 'a'}", f"seeds={tmp_path / 'b'}", tmp_path / "<i>c"]
    assert write_reports(arguments, output) == output
    assert {path.name for path in output.parent.iterdir()} == {"all.html", "all.png", "all.md"}
    page, text = output.read_text(), (tmp_path / "out/all.md").read_text()
    assert "seeds · &lt;i&gt;c" in page
    assert "<i>c" not in page
    assert "| Measure | seeds | \\<i\\>c |" in text
    both, one = "(step 1) → 0.30 (step 2)", "0.50 (step 1), no change: one step"
    assert f"| Mean training reward | 0.20 {both} | {one} |" in text
    assert "| Mean response length | 20 tokens (step 2) | 10 tokens (step 1) |" in text
    curve = "0.2 (step 1) → 0.3 (step 2) | 0.5 (step 1) → –"
    assert f"| Reward and its components: total | mean per response | {curve} |" in text
    assert "![All curves](<all.png>)" in text


def test_a_run_that_goes_on_says_so() -> None:
    records = [{"step": 9, "rest/progress": 0.25}]
    group = Group(name="g", runs=(Run(name="g", records=records, remarks=[]),))
    assert dict(facts(group)) == {"steps": "9 of 36 so far"}
    told = Run(name="g", records=records, remarks=[], about={"steps": 40})  # not the horizon
    assert dict(facts(Group(name="g", runs=(told,)))) == {"steps": "9 of 40 so far"}


def test_notes_name_the_run_they_are_of() -> None:
    bad = Run(name="b", records=[{"step": 1, "val-core/x/y/z": 0}], remarks=["Cut."])
    groups = [Group(name="a", runs=(bad, bad)), Group(name="b", runs=(bad,))]
    assert data_notes(groups) == [
        "a: Run 1: Cut.",
        "a: Run 2: Cut.",
        "a: No training step yet: validation only.",
        "b: Cut.",
        "b: No training step yet: validation only.",
    ]


def test_which_file_is_read(tmp_path: Path) -> None:
    logger = write_metrics(tmp_path / "run/verl_metrics.jsonl", [0.1])
    assert find_metrics(tmp_path / "run") == logger
    flat = write_metrics(tmp_path / "run/metrics.jsonl", [0.1])
    os.utime(flat, ns=(0, 0))  # whichever was copied last
    assert find_metrics(tmp_path / "run") == flat
    write_metrics(tmp_path / "run/verl_metrics.jsonl", [0.1, 0.2])  # it went on after its summary
    assert find_metrics(tmp_path / "run") == logger
    assert find_metrics(logger) == logger

    own_name = write_metrics(tmp_path / "project/experiment.jsonl", [0.1])
    assert find_metrics(tmp_path / "project") == own_name
    assert read_run(own_name).name == "experiment"
    write_metrics(tmp_path / "project/other.jsonl", [0.1])
    with pytest.raises(ValueError, match=r"several metrics files \(experiment.jsonl, other"):
        find_metrics(tmp_path / "project")


def test_a_metrics_file_stands_for_its_folder(tmp_path: Path) -> None:
    path = write_metrics(tmp_path / "run/metrics.jsonl", [0.1])
    (tmp_path / "run/summary.json").write_text('{"seed": 7}')
    assert read_run(path).summary == {"seed": 7}
    assert read_run(path).name == "run"


def test_optional_files_as_people_have_them(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.jsonl", [0.1])
    (tmp_path / "summary.json").write_text('{\r\n"seed": 7}\r\n', encoding="utf-8-sig")
    (tmp_path / "samples.json").write_text("[]", encoding="utf-16")
    run = read_run(tmp_path)
    assert run.summary == {"seed": 7}
    assert run.remarks == ["samples.json is not valid JSON and was left out."]


def test_a_wandb_history_stands_in_a_folder_of_its_own(tmp_path: Path) -> None:
    rows = [
        {"_step": step, "_runtime": 30.5 * step, "_timestamp": 1.7e9, "reward/total/mean": 0.1}
        for step in range(3)
    ]
    (tmp_path / "history.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    run = read_run(tmp_path)
    assert run.records == [{"step": step, "reward/total/mean": 0.1} for step in range(3)]
    (chart,) = charts([Group(name="g", runs=(run,))])
    assert [curve.label for curve in chart.curves] == ["total"]
    assert (
        "The file has 1 metrics: reward/total/mean."
        in data_notes([Group(name="g", runs=(run,))])[0]
    )


def event_writer(folder: Path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="needs tensorboard")
    return tensorboard.SummaryWriter(str(folder))


def test_tensorboard_folder_is_read(tmp_path: Path) -> None:
    writer = event_writer(tmp_path / "events")
    for step in (1, 2):
        writer.add_scalar("reward/total/mean", 0.5 * step, step)
        writer.add_scalar("actor/grad_norm", float("nan") if step == 2 else 1.0, step)
    writer.close()
    run = read_run(tmp_path / "events")
    assert run.records == [
        {"step": 1, "reward/total/mean": 0.5, "actor/grad_norm": 1.0},
        {"step": 2, "reward/total/mean": 1.0},
    ]
    assert run.remarks == ["Left out, not finite numbers: actor/grad_norm (1×)."]
    (file,) = (tmp_path / "events").iterdir()
    assert read_run(file).records == run.records

    file.write_bytes(file.read_bytes()[:-7])  # cut in the middle of a record
    assert read_run(tmp_path / "events").records[0] == run.records[0]


def test_tensorboard_folder_without_steps(tmp_path: Path) -> None:
    event_writer(tmp_path).close()
    with pytest.raises(NoStepYet, match="holds no scalar yet: wait"):
        read_run(tmp_path)


def test_tensorboard_that_is_not_installed_is_named(tmp_path: Path, monkeypatch) -> None:
    name = "tensorboard.backend.event_processing.event_accumulator"
    monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"")
    with pytest.raises(ValueError, match="need the package tensorboard: pip install tensorboard"):
        read_run(tmp_path)
