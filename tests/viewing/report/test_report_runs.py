"""`rest-verl report` of a folder of runs, and of a run whose metrics lie elsewhere."""

import json
from pathlib import Path

import pytest

from rest_verl.cli import main
from rest_verl.files.run_folder import write_about
from rest_verl.viewing.report.groups import Group
from rest_verl.viewing.report.page import facts
from rest_verl.viewing.report.sources import read_run


def write_run(folder: Path, *rewards: float, preset: str = "", total: int = 0) -> None:
    folder.mkdir(parents=True)
    lines = [
        {
            "step": step,
            "reward/total/mean": reward,
            **({"rest/progress": step / total} if total else {}),
        }
        for step, reward in enumerate(rewards, start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if preset:
        write_about(folder, {"trainer": "rest_sync", "preset": preset}, {})


def test_a_folder_of_runs_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "project/a", 0.5, 1.5, preset="static", total=4)
    write_run(tmp_path / "b", 2.0)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/metrics.jsonl").write_text("{}")
    assert main(["report", str(tmp_path)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "run"
    assert [row.split()[0] for row in rows[:3]] == ["b", "c", "project/a"]
    assert "holds no step yet" in rows[1]
    assert rows[2].split()[1:7] == ["static", "2", "of", "4", "so", "far"]
    assert " 1.50 " in rows[2]
    assert not list(tmp_path.glob("*.html"))


def test_a_run_is_drawn_and_not_listed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.5)
    write_run(tmp_path / "a/earlier", 0.5)
    assert main(["report", str(tmp_path / "a")]) == 0
    assert (tmp_path / "a/report.html").is_file()


def test_metrics_that_run_json_names(tmp_path: Path) -> None:
    write_run(tmp_path / "logs", 0.5)
    run = tmp_path / "run"
    run.mkdir()
    files = {"metrics": str(tmp_path / "logs/metrics.jsonl")}
    write_about(run, {"trainer": "rest_sync", "preset": "static", "files": files}, {})
    found = read_run(run)
    assert found.records == [{"step": 1, "reward/total/mean": 0.5}]
    assert dict(facts(Group(name="g", runs=(found,))))["preset"] == "static"
