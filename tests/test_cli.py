"""The command `rest-verl`: exit codes, and one line for a user's error."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

import rest_verl
from rest_verl.cli import command_parser, main
from rest_verl.integration import doctor
from rest_verl.integration.doctor import Finding
from rest_verl.options.lists import Listed


@pytest.fixture(autouse=True)
def logging_as_before():
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("ok", "is_needed", "code"), [(True, True, 0), (False, True, 1), (False, False, 0)]
)
def test_doctor(monkeypatch, capsys, ok, is_needed, code):
    finding = Finding(name="verl", ok=ok, detail="0.9.1", mend="install it", is_needed=is_needed)
    monkeypatch.setattr(doctor, "examine", lambda model: [finding])
    assert main(["doctor"]) == code
    assert capsys.readouterr().out == f"{finding}\n{doctor.verdict([finding])}\n"


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"rest-verl {rest_verl.__version__}\n"


def test_report(tmp_path, capsys):
    records = [{"step": step, "reward/total/mean": 0.1 * step} for step in range(3)]
    lines = [json.dumps(record) for record in records]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    output = tmp_path / "new" / "page.html"
    assert main(["report", str(tmp_path), "--output", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert output.read_text().lower().startswith("<!doctype html>")
    assert main(["report", str(tmp_path), "--output", str(tmp_path)]) == 1
    assert "is a folder; name the HTML file" in capsys.readouterr().err


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
    monkeypatch.setitem(sys.modules, "rest_verl.integration.dry_run", None)
    assert main(["dry-run"]) == 1
    assert "needs the package rest_verl.integration.dry_run" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "verl", None)
    monkeypatch.setattr(doctor, "examine", lambda model: import_module("verl"))
    assert main(["doctor"]) == 1
    assert "pip install -e '.[gpu]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("repotr", "'repotr' is unknown; did you mean report? known: doctor, report, view"),
        ("dryrun", "did you mean dry-run?"),
        ("evaluate api_bank", "did you mean api-bank?"),
        ("view --preset papr", "did you mean paper?"),
        ("gradients --presets paper,offical", "did you mean official?"),
        ("replay-step x --preset statik", "did you mean static?"),
        ("evaluate bfcl --mode tool", "did you mean tools?"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(command, message, capsys):
    with pytest.raises(SystemExit):
        main(command.split())
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "option", "items"),
    [
        ("evaluate bfcl", "--categories", ["simple_python", "multiple"]),
        ("gradients --model m --prompts p --output o", "--presets", ["paper", "static"]),
        ("gradients --model m --prompts p --output o", "--progress", ["0", "0.5"]),
        ("rescore r", "--reward", ["toolrl", "correctness_max=2"]),
        ("rescore r --reward toolrl", "--tool-env", ["reward=dense", "parser=hermes"]),
        ("rescore r --reward toolrl", "--data", ["a.parquet", "b.parquet"]),
        ("replay-step r --model m", "--rest", ["w_max=1.5", "w_min=0.5"]),
        ("replay-step r --model m", "--data", ["a.parquet", "b.parquet"]),
        ("view --model m", "--text", ["a.txt", "b.txt"]),
        ("report", "", ["a=runs/1", "b=runs/2"]),
    ],
)
def test_every_list_takes_spaces_and_commas(command, option, items):
    asked = [*command.split(), *([option] if option else [])]
    ways = [items, [",".join(items)], [f"{items[0]},", items[1]]]
    found = [vars(command_parser().parse_args([*asked, *way])) for way in ways]
    assert found[0] == found[1] == found[2]
    assert len(found[0][option.strip("-").replace("-", "_") or "runs"]) == 2


def options_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of all commands and theirs."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from options_of(inner)


def test_no_option_takes_a_list_in_another_way():
    lists = [action for action in options_of(command_parser()) if action.nargs in ("+", "*")]
    others = {action.dest for action in lists if not isinstance(action, Listed)}
    assert len(lists) > 8
    assert others == {"weights"}  # whose items have commas of their own


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["report"]])
def test_a_wrong_command_says_how_it_is_used(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: rest-verl" in capsys.readouterr().err
