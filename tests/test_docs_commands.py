"""Every command of the documentation is accounted for, and run or composed where that is quick."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from docs_commands import TABLE, Kind, how
from docs_pages import ROOT, Command, blocks, commands, words

from rest_verl import cli
from rest_verl.files.run_folder import write_about
from rest_verl.integration.dry_run import compose_config
from rest_verl.integration.run_checks import rests_options

COMMANDS = list({command.text: command for command in commands()}.values())
YOURS = "algorithm.adv_estimator=grpo actor_rollout_ref.model.path=models/mine data.seed=1"
ANSWER = """<think> Rain? </think>
<tool_call>
{"name": "get_weather", "parameters": {"city": "Oslo"}}
</tool_call>"""
VERLS_OWN = {"VERL_USE_EXTERNAL_MODULES", "PYTHONPATH"}


def of_kind(kind: Kind) -> list[Command]:
    return [command for command in COMMANDS if (found := how(command.text)) and found.kind is kind]


def each(kind: Kind):
    found = of_kind(kind)
    return pytest.mark.parametrize("command", found, ids=[command.id for command in found])


@pytest.mark.parametrize("command", COMMANDS, ids=[command.id for command in COMMANDS])
def test_every_command_is_accounted_for(command: Command) -> None:
    found = how(command.text)
    assert found is not None, "say in tests/support/docs_commands.py how it is tested"
    assert found.by or found.kind not in (Kind.COVERED, Kind.NOT_HERE)


def test_no_entry_of_the_table_is_left_over() -> None:
    used = {pattern for pattern in TABLE for c in COMMANDS if how(c.text) is TABLE[pattern]}
    assert used == set(TABLE)


@each(Kind.COVERED)
def test_the_named_test_and_the_options_are_there(command: Command) -> None:
    found = how(command.text)
    assert found is not None
    file, _, test = found.by.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()
    variables, arguments = words(re.sub("<[^>]+>", "x", command.text))
    if arguments[0] == "bash":
        script = (ROOT / arguments[1]).read_text()
        script += (ROOT / "run_scripts" / "gpu_train.sh").read_text()
        script += (ROOT / "rest_verl" / "planning" / "gpus.py").read_text()
        assert [name for name in variables if not re.search(rf"\b{name}\b", script)] == []
    if Path(arguments[0]).name == "rest-verl" and arguments[1] != "doctor":
        cli.command_parser().parse_args(arguments[1:])  # stops at an option that is not there


@each(Kind.COMPOSE)
def test_training_commands_compose(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    text = command.text.replace("<your arguments>", YOURS).replace("=…", "=x")
    text = text.replace("$PWD", "/tmp")
    variables, arguments = words(text)
    assert set(variables) <= VERLS_OWN
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    start = "verl.trainer.main_ppo" if "verl.trainer.main_ppo" in arguments else "dry-run"
    config, _ = compose_config(arguments[arguments.index(start) + 1 :])
    rests_options(config)
    assert config.algorithm.rest.preset in text


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands read: rows, chats, a run, rollouts; and ourselves."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "data_prep").symlink_to(ROOT / "data_prep")
    texts = {"instruction": "Tools: get_weather", "input": "Rain in Oslo?", "output": ANSWER}
    rows = [{**texts, "input": f"Rain in city {number}?"} for number in range(3)]
    (folder / "rlla_rl.json").write_text(json.dumps(rows))
    chats = map(json.loads, blocks(ROOT / "docs" / "data.md", "json"))
    (folder / "chats.jsonl").write_text("".join(f"{json.dumps(chat)}\n" for chat in chats))
    (folder / "api_bank").mkdir()
    call = {"name": "get_weather", "parameters": {"city": "Oslo"}}
    row = {"system": "1. Name: get_weather", "user": "Rain?", "answer": [call]}
    for level in (1, 2, 3):
        (folder / "api_bank" / f"level-{level}-api_processed.json").write_text(json.dumps([row]))
    steps = [{"step": step, "reward/total/mean": step / 4} for step in range(4)]
    for run in ("a", "b", "my_run", "first_hour"):
        (folder / "outputs" / run).mkdir(parents=True)
        metrics = folder / "outputs" / run / "metrics.jsonl"
        metrics.write_text("".join(f"{json.dumps(step)}\n" for step in steps))
    history = [{"_step": step.pop("step"), "_runtime": 9.5, **step} for step in steps]
    (folder / "history.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in history))
    start = str(folder / "outputs" / "tiny_cpu_start" / "model")
    for run in ("my_run", "first_hour"):
        rollouts = folder / "outputs" / run / "rollouts"
        rollouts.mkdir()
        (rollouts / "1.jsonl").write_text(json.dumps({"input": "Rain?", "output": ANSWER}))
        write_about(rollouts.parent, {"trainer": "rest_sync", "model": start}, {})
    return folder


@pytest.fixture(scope="module")
def model(workspace: Path) -> Path:
    from recipes.tiny_cpu.model import new_model, train_tokenizer

    folder = workspace / "outputs" / "tiny_cpu_start" / "model"
    tokenizer = train_tokenizer([ANSWER])
    tokenizer.save_pretrained(folder)
    new_model(tokenizer, context=512).save_pretrained(folder)
    return folder


@each(Kind.RUN)
def test_commands_run(
    command: Command,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    wants_bfcl = "bfcl_to_parquet" in command.text or "--bfcl" in command.text
    if wants_bfcl and find_spec("bfcl_eval") is None:
        pytest.skip("bfcl-eval is not installed")
    if command.text.startswith("rest-verl view"):
        request.getfixturevalue("model")
    text = command.text.replace("<folder>", "outputs/tiny_cpu_start/model")
    text = text.replace("<rollout_data_dir>", "outputs/first_hour/rollouts")
    monkeypatch.chdir(workspace)
    program, *arguments = shlex.split(text)
    if program == "bash":
        subprocess.run(
            ["bash", ROOT / arguments[0], *arguments[1:]],
            env={**os.environ, "DRY_RUN": "1"},
            check=True,
            timeout=60,
        )
    elif program == "rest-verl":
        assert cli.main(arguments) == 0
    else:
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(arguments[0], run_name="__main__")
        assert not end.value.code
    for option in ("--output", "--output-dir"):
        if option in arguments:
            assert Path(arguments[arguments.index(option) + 1]).exists()
