"""The same command goes on with a stopped run, also after kill -9; a changed one is refused."""

import contextlib
import io
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="its continuous-token builders")
from evaluate_runs import RIGHT, arguments, content, speak
from multi_turn_samples import needs_package

from rest_verl.cli import main
from rest_verl.evaluation.store import Store


def run_until(point: int, command: list[str]) -> None:
    """In a child process: runs the command until `point` rows are stored and half of another."""
    append = Store.append

    def append_then_hang(store: Store, record: dict) -> None:
        append(store, record)
        if len(store.records) == point:
            store._file.write(b'{"id": "multiple_1", "sam')
            store._file.flush()
            time.sleep(600)

    Store.append = append_then_hang
    with contextlib.redirect_stderr(io.StringIO()):
        main(command)


def _is_torn_after(rows: Path, point: int) -> bool:
    content = rows.read_bytes() if rows.exists() else b""
    return content.count(b"\n") == point and content.endswith(b'"sam')


@needs_package
def test_killed_at_random_points(engine, model, data, tmp_path):
    """Kill -9 three times in one run: it ends with what an uninterrupted run ends with."""
    more = ("--categories", "all", "--samples", "3")
    engine.delay = 0.02
    assert main(arguments(model, data, tmp_path / "whole", *more)) == 0
    asked = len(engine.prompts)
    output = tmp_path / "killed"
    rows = output / "rows.jsonl"
    seed = random.randrange(1 << 32)
    for point in sorted(random.Random(seed).sample(range(1, 78), 3)):
        child = os.fork()
        if not child:
            run_until(point, arguments(model, data, output, *more))
            os._exit(0)
        deadline = time.monotonic() + 60
        while not _is_torn_after(rows, point):
            assert time.monotonic() < deadline, f"seed {seed}"
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert _is_torn_after(rows, point)
        assert not (output / "summary.json").exists()
    assert main(arguments(model, data, output, *more)) == 0
    assert len(engine.prompts) - asked < asked  # only what was missing
    assert content(output) == content(tmp_path / "whole"), f"seed {seed}"


@pytest.fixture
def interruptible():
    """As in a terminal: a process that was started in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_stopped_run_says_how_to_go_on(engine, model, data, tmp_path, capsys):
    said = []

    def interrupted(prompt, seed):
        said.append(prompt)
        if len(said) == 5:
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C
        return RIGHT

    output = tmp_path / "out"
    engine.answer = interrupted
    with pytest.raises(SystemExit) as ended:
        main(arguments(model, data, output))
    assert ended.value.code == 130
    assert f"answers in {output}; the same command goes on" in capsys.readouterr().err
    engine.answer = speak
    assert main(arguments(model, data, output)) == 0


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (["--seed", "1"], "options.seed was 0 and is now 1"),
        (["--mode", "prompt"], 'mode was "tools" and is now "prompt"'),
        (["--limit", "3"], "limit was null and is now 3"),
        (["--samples", "2"], "options.samples was 1 and is now 2"),
        (["--max-tokens", "9"], "options.max_tokens was 4096 and is now 9"),
    ],
)
def test_a_changed_option_is_refused(engine, model, data, tmp_path, capsys, more, differs):
    output = tmp_path / "out"
    assert main(arguments(model, data, output)) == 0
    before = content(output)
    capsys.readouterr()
    assert main(arguments(model, data, output, *more)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"rest-verl: {output}: holds the results of another run")
    assert differs in error
    assert content(output) == before


def test_changed_files_are_refused_and_moved_ones_are_not(engine, model, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(model, data, output)) == 0
    moved = shutil.copytree(model, tmp_path / "moved")
    assert main(arguments(moved, data, output)) == 0
    (model / "model.safetensors").write_bytes(b"trained")
    assert main(arguments(model, data, output)) == 1
    assert "model.files.model.safetensors was" in capsys.readouterr().err
    answers = data / "possible_answer" / "BFCL_v4_multiple.json"
    answers.write_text(answers.read_text().replace("Oslo, Norway", "Oslo, N"))
    assert main(arguments(moved, data, output)) == 1
    assert "possible_answer/BFCL_v4_multiple.json was" in capsys.readouterr().err
