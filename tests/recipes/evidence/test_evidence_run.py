"""A cell from end to end with the smallest policy: its file is one that the tables accept."""

import json
from pathlib import Path

import pytest
import torch
from smallest_policy import SETTINGS, save_model

from recipes.evidence import given, run, start, to_measure
from recipes.evidence.cells import DECLARATION, read_declaration, read_study
from recipes.evidence.desk import make_requests
from recipes.plain_torch.train import read_tasks
from rest_verl.algorithm.presets import PRESETS
from rest_verl.viewing.tokens.entropy import load_tokenizer


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A folder with a declaration and a start that every seed takes."""
    (tmp_path / "declaration.json").write_text(json.dumps({"tasks": {"tiny": SETTINGS}}))
    folder = tmp_path / "start"
    save_model(folder / "model")
    rows = [{"prompt": [5, 6, 7 + i], "ground_truth": request.ground_truth}
            for i, request in enumerate(make_requests(6, "train"))]  # fmt: skip
    (folder / "train.json").write_text(json.dumps(rows))
    (folder / "start.json").write_text('{"weights_sha256": "a"}')
    monkeypatch.setattr(given, "start_folder", lambda root, seed: folder)
    monkeypatch.setattr(run, "DECLARATION", tmp_path / "declaration.json")
    monkeypatch.setattr(start, "MAX_TOKENS", 6)
    monkeypatch.setattr(given, "MAX_TOKENS", 6)
    return tmp_path


def call(study: Path, monkeypatch, *options: str) -> None:
    command = ["run", "--task", "tiny", "--cells", str(study / "cells"), *options]
    monkeypatch.setattr("sys.argv", command)
    run.main()


def test_cells_are_written_once_and_accepted(study, monkeypatch, capsys) -> None:
    call(study, monkeypatch, "--seed", "1")
    read = read_study(study / "declaration.json", study / "cells")
    assert len(read.cells) == 4
    assert {key.seed for key in read.not_run("tiny")} == {0}
    capsys.readouterr()
    call(study, monkeypatch, "--seed", "1")
    assert capsys.readouterr().out == ""


def test_shares_take_every_other_seed(study, monkeypatch) -> None:
    call(study, monkeypatch, "--share", "2/2", "--arm", "paper")
    read = read_study(study / "declaration.json", study / "cells")
    assert {(key.arm, key.seed) for key in read.cells} == {("paper", 1)}


def test_a_cell_repeats_itself(study, monkeypatch) -> None:
    records = []
    for _ in range(2):
        call(study, monkeypatch, "--arm", "paper", "--seed", "0", "--reward", "toolrl")
        path = study / "cells" / "tiny" / "toolrl" / "paper" / "seed_0.json"
        records.append(json.loads(path.read_text()))
        path.unlink()
    for record in records:
        del record["seconds"]
    assert records[0] == records[1]


def test_a_cell_takes_one_thread_on_any_machine(study, monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    before = torch.get_num_threads()
    call(study, monkeypatch, "--arm", "paper", "--seed", "0", "--reward", "toolrl")
    found = torch.get_num_threads()
    torch.set_num_threads(before)
    assert found == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arm", "official"], "tiny declares no cell of"),
        (["--share", "3/2"], "3/2 is no K/N with K from 1 to N"),
        (["--share", "half"], "half is no K/N"),
    ],
)
def test_what_cannot_be_run(study, monkeypatch, capsys, options, message) -> None:
    with pytest.raises(SystemExit):
        call(study, monkeypatch, *options)
    assert message in capsys.readouterr().err


def test_the_declared_arms_are_presets() -> None:
    for task in read_declaration(DECLARATION).values():
        assert set(task.arms) <= set(PRESETS)
        assert set(task.first) <= set(task.arms)


def test_a_start_keeps_the_prompts_that_teach(tmp_path, monkeypatch) -> None:
    save_model(tmp_path / "base")
    lessons = []
    monkeypatch.setattr(start, "_teach", lambda model, tokenizer, given, **_: lessons.append(given))
    monkeypatch.setattr(start, "NUM_CANDIDATES", 9)
    monkeypatch.setattr(start, "probe", lambda loop, tasks: list(range(len(tasks))))
    for seed in (3, 4):
        folder = tmp_path / f"start_{seed}"
        folder.mkdir()
        start.make_start(folder, tmp_path / "base", seed)
        facts = json.loads((folder / "start.json").read_text())
        # of 0 to 8 right answers out of 8, the first and the last teach nothing
        assert facts["teaching_prompts"] == 7
        assert facts["exact"] == 0.5
        assert len(json.loads((folder / "train.json").read_text())) == 7
    assert lessons[0] != lessons[1]


def test_what_the_gradient_measure_reads(study, monkeypatch) -> None:
    monkeypatch.setattr(to_measure, "start_folder", lambda root, seed: study / "start")
    monkeypatch.setattr(to_measure, "NUM_REQUESTS", 5)
    folder = study / "to_measure"
    monkeypatch.setattr("sys.argv", ["to_measure", "--output-dir", str(folder)])
    to_measure.main()
    tokenizer = load_tokenizer(str(folder / "model"))
    tasks = read_tasks(folder / "data" / "requests.parquet", tokenizer)
    requests = make_requests(5, "to measure")
    assert tasks == start.tasks_of(requests, tokenizer)
