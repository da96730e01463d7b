"""`--score-only`: the verdicts of a finished run once more, from its answers alone."""

import json

import pytest

pytest.importorskip("verl", reason="its continuous-token builders")
from bfcl_samples import write_folder
from evaluate_runs import arguments, content

from rest_verl.cli import main
from rest_verl.evaluation.store import Store, read_run


def test_score_only_scores_what_was_run(engine, model, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(model, data, output)) == 0
    score = ["evaluate", "bfcl", "--score-only", str(output)]
    capsys.readouterr()
    given = {"--syntax": "glm", "--mode": "prompt", "--chat-template-kwargs": "{}"}
    given |= dict.fromkeys(("--model", "--output", "--categories", "--limit", "--samples"), "5")
    given |= dict.fromkeys(("--seed", "--temperature", "--max-tokens", "--max-model-len"), "5")
    for option, value in given.items():
        assert main([*score, option, value]) == 1
        assert f"{option} has no part in --score-only" in capsys.readouterr().err

    rows = output / "rows.jsonl"
    whole = rows.read_text()
    record = json.loads(whole.splitlines()[0])
    for change in ({"calls": [1]}, {"calls": "x"}, {"calls": [{"name": 1}]}, {"text": None}):
        lines = [json.dumps({**record, **change}), *whole.splitlines()[1:]]
        rows.write_text("".join(f"{line}\n" for line in lines))
        assert main(score) == 1
        assert "multiple_0, sample 0, has no text and calls that can be scored" in (
            capsys.readouterr().err
        )
    rows.write_text(whole)
    with Store(output, read_run(output)):
        assert main(score) == 1
    assert "another process is writing" in capsys.readouterr().err
    (output / "run.json").write_text('{"benchmark": "bfcl"}')
    assert main(score) == 1
    assert "lacks what a run of bfcl has" in capsys.readouterr().err


def test_score_only(engine, model, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(model, data, output)) == 0
    before = content(output)
    rows = output / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"valid": true', '"valid": false'))
    (output / "summary.json").unlink()
    capsys.readouterr()
    asked = len(engine.prompts)
    assert main(["evaluate", "bfcl", "--score-only", str(output)]) == 0
    assert (content(output), len(engine.prompts)) == (before, asked)
    assert capsys.readouterr().out.startswith("# BFCL v4\n")

    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join(lines[1:]))
    assert main(["evaluate", "bfcl", "--score-only", str(output)]) == 1
    assert "1 of 20 answers are missing" in capsys.readouterr().err
    other = write_folder(tmp_path / "other", rows=3)
    assert main(["evaluate", "bfcl", "--score-only", str(output), "--data-dir", str(other)]) == 1
    assert "is not the data that these answers were given to" in capsys.readouterr().err
