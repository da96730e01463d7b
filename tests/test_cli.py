"""The command `rest-verl`: exit codes, and one line for a user's error."""

import json
import logging
import sys

import pytest

from rest_verl.cli import main
from rest_verl.integration import chosen_platform, doctor
from rest_verl.integration.doctor import Finding


@pytest.fixture(autouse=True)
def logging_as_before():
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_doctor(monkeypatch, capsys, ok, code):
    finding = Finding(name="verl", ok=ok, detail="0.9.1", mend="install it")
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    monkeypatch.setattr(chosen_platform, "choose_platform", lambda: False)
    assert main(["doctor"]) == code
    assert capsys.readouterr().out == doctor.report([finding]) + "\n"
    monkeypatch.setattr(chosen_platform, "choose_platform", lambda: True)
    assert main(["doctor"]) == code
    assert capsys.readouterr().out.endswith("with VERL_PLATFORM=cpu\n")


def test_report(tmp_path, capsys):
    records = [{"step": step, "reward/total/mean": 0.1 * step} for step in range(3)]
    lines = [json.dumps(record) for record in records]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    output = tmp_path / "page.html"
    assert main(["report", str(tmp_path), "--output", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert output.read_text().lower().startswith("<!doctype html>")


def test_a_users_error_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rest-verl: ")
    assert "nowhere" in captured.err
    assert captured.err.count("\n") == 1


def test_a_missing_package_is_named(tmp_path, capsys, monkeypatch):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward/total/mean": 0.5}\n')
    monkeypatch.setitem(sys.modules, "rest_verl.viewing.report.write", None)
    assert main(["report", str(tmp_path)]) == 1
    assert "needs the package rest_verl.viewing.report.write" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["report"]])
def test_a_wrong_command_says_how_it_is_used(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: rest-verl" in capsys.readouterr().err
