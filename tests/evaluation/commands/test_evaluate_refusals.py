"""What stops an evaluation before its engine starts, and the line that says why."""

import pytest

pytest.importorskip("verl", reason="its continuous-token builders")
from bfcl_samples import ANSWER, QUESTION, write_category
from evaluate_runs import arguments
from stand_in import save_model
from templates import ALTERNATES, DROPS_TOOLS, chatml

from rest_verl.cli import main


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--model": "nowhere"}, "nowhere: no such model folder"),
        ({"--data-dir": "nowhere"}, "no such folder of BFCL data"),
        ({"--categories": "multipel"}, "unknown category 'multipel'; did you mean multiple?"),
        ({"--categories": "multiple,singl_turn"}, "did you mean single_turn?"),
        ({"--categories": "live_simple"}, "BFCL_v4_live_simple.json: no such file"),
        ({"--output": None}, "name --output"),
        ({"--temperature": "-1"}, "temperature must be 0 or above"),
        ({"--samples": "2", "--temperature": "0"}, "would all be the same"),
    ],
)
def test_errors_before_the_engine_starts(engine, model, data, tmp_path, capsys, changes, message):
    given = {"--model": str(model), "--data-dir": str(data), "--output": str(tmp_path / "out")}
    pairs = [(k, v) for k, v in {**given, **changes}.items() if v is not None]
    assert main(["evaluate", "bfcl", *(word for pair in pairs for word in pair)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("rest-verl: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert engine.prompts == []


def test_templates_that_will_not_do(engine, data, tmp_path, capsys):
    plain = save_model(tmp_path / "plain", chatml(DROPS_TOOLS, "llama"))
    assert main(arguments(plain, data, tmp_path / "out")) == 1
    assert "its chat template does not show tools" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(arguments(plain, data, tmp_path / "out", "--mode", "prompt")) == 0
    alternating = save_model(tmp_path / "alternating", chatml(ALTERNATES, "llama"))
    for more in ([], ["--categories", "multi_turn_miss_func"]):
        capsys.readouterr()
        assert main(arguments(alternating, data, tmp_path / "no", "--mode", "prompt", *more)) == 1
        error = capsys.readouterr().err
        assert "refuses messages of the roles system, user" in error
        assert "roles must alternate" in error
    (plain / "chat_template.jinja").unlink()
    for mode in ("tools", "prompt"):
        assert main(arguments(plain, data, tmp_path / "no", "--mode", mode)) == 1
        assert "has no chat template" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_a_row_that_cannot_be_judged_stops_before_the_engine(engine, model, tmp_path, capsys):
    data = tmp_path / "data"
    strange = {**ANSWER, "ground_truth": [{"unknown": {}}]}
    write_category(data, [QUESTION], [strange])
    assert main(arguments(model, data, tmp_path / "out")) == 1
    assert "multiple_0: the answer calls unknown, which is not among" in capsys.readouterr().err
    assert engine.prompts == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--limit", "0"], "must be a whole number above 0, got 0"),
        (["--samples", "two"], "must be a whole number above 0, got two"),
        (["--chat-template-kwargs", "{"], "must be a JSON object, got {"),
        (["--chat-template-kwargs", "[]"], "must be a JSON object, got []"),
    ],
)
def test_options_that_cannot_be_read(capsys, option, message):
    with pytest.raises(SystemExit):
        main(["evaluate", "bfcl", *option])
    assert message in capsys.readouterr().err
