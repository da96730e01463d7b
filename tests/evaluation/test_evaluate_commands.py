"""The commands as a user gives them, with a stand-in for the engine; kill -9 among them."""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="its continuous-token builders")
from bfcl_samples import ANSWER, QUESTION, write_category, write_folder
from multi_turn_samples import answer, needs_package, question, write_rows
from stand_in import StandIn, call_text, save_model, starting
from templates import ALTERNATES, DROPS_TOOLS, chatml, get_model

from rest_verl.cli import main
from rest_verl.evaluation import run as run_module
from rest_verl.evaluation.store import Store, read_records, read_run

API_BANK = Path(__file__).parents[2] / "../shared/data/api_bank"
RIGHT, WRONG = call_text("weather.get", city="Oslo"), call_text("weather.get", city="Bergen")
SCRIPT = [
    call_text("pwd") + call_text("ls", a=True),
    "Done.",
    "I cannot sort.",
    call_text("sort", file_name="a.txt"),
    "Sorted.",
]


def speak(prompt: str, seed: int) -> str:
    """Right or wrong by the seed; in conversations always right."""
    if "Weather" in prompt:
        return RIGHT if seed % 3 else WRONG
    return SCRIPT[prompt.count("<|im_start|>assistant") - 1]


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    monkeypatch.setattr("rest_verl.evaluation.commands._quieten", lambda: None)
    stand_in = StandIn(get_model("qwen3"), speak)
    monkeypatch.setattr(run_module, "vllm_engine", starting(stand_in))
    return stand_in


@pytest.fixture
def model(tmp_path) -> Path:
    return save_model(tmp_path / "model")


@pytest.fixture
def data(tmp_path) -> Path:
    """20 single-turn rows and 6 conversations."""
    folder = write_folder(tmp_path / "data")
    numbers = range(6)
    return write_rows(folder, [question(n) for n in numbers], [answer(n) for n in numbers])


def arguments(model: Path, data: Path, output: Path, *more: str) -> list[str]:
    return [
        *("evaluate", "bfcl", "--model", str(model), "--data-dir", str(data)),
        *("--output", str(output), *more),
    ]


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def summary_of(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


@needs_package
def test_a_run_from_end_to_end(engine, model, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(model, data, output, "--categories", "all")) == 0
    shown = capsys.readouterr().out
    assert shown.strip() == (output / "table.md").read_text().strip()
    assert shown.startswith("# BFCL v4\n")

    records = read_records(output)
    assert [r["id"] for r in records] == [
        *(f"multiple_{n}" for n in range(20)),
        *(f"multi_turn_miss_func_{n}" for n in range(6)),
    ]
    summary = summary_of(output)
    right = sum(record["valid"] for record in records[:20])
    assert 0 < right < 20
    assert summary["categories"]["multiple"]["correct"] == right
    assert summary["categories"]["multi_turn_miss_func"]["correct"] == 6
    assert summary["groups"]["overall"]["accuracy"] == pytest.approx((right / 20 + 1) / 2)
    assert "live" not in summary["groups"]
    assert summary["groups"]["multi_turn"]["missing"] == [
        "multi_turn_base",
        "multi_turn_miss_param",
        "multi_turn_long_context",
    ]
    head = {key: summary[key] for key in ("benchmark", "data_version", "mode", "rows", "samples")}
    assert head == {
        "benchmark": "bfcl",
        "data_version": "v4",
        "mode": "tools",
        "rows": 26,
        "samples": 1,
    }
    official = {path.name for path in (output / "official").rglob("*.json")}
    assert official == {
        "BFCL_v4_multiple_result.json",
        "BFCL_v4_multi_turn_miss_func_result.json",
    }
    run = read_run(output)
    assert run["model"]["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert run["options"]["temperature"] == 0

    before = content(output)
    asked = len(engine.prompts)
    assert main(arguments(model, data, output, "--categories", "all")) == 0
    assert (content(output), len(engine.prompts)) == (before, asked)  # nothing was left to do


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


def test_score_only_scores_what_was_run(engine, model, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(model, data, output)) == 0
    score = ["evaluate", "bfcl", "--score-only", str(output)]
    capsys.readouterr()
    for option in ("--model", "--output", "--categories", "--limit"):
        assert main([*score, option, "5"]) == 1
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


def test_several_samples_and_a_limit(engine, model, data, tmp_path):
    output = tmp_path / "out"
    assert main(arguments(model, data, output, "--samples", "4", "--limit", "5")) == 0
    records = read_records(output)
    assert [(r["id"], r["sample"]) for r in records] == [
        (f"multiple_{n}", sample) for n in range(5) for sample in range(4)
    ]
    assert len(set(engine.seeds)) == 20
    summary = summary_of(output)
    assert read_run(output)["options"]["temperature"] == 1
    category = summary["categories"]["multiple"]
    assert category["total"] == 5
    assert category["correct"] == sum(record["valid"] for record in records) / 4
    assert summary["over_samples"]["mean"] == pytest.approx(category["accuracy"])
    assert "the first 5 rows" in (output / "table.md").read_text()


def test_no_spread_of_an_accuracy_that_was_not_measured(engine, model, tmp_path):
    # v4's overall accuracy leaves irrelevance out, so samples of it alone have none
    data = tmp_path / "data"
    write_category(data, [{**QUESTION, "id": "irrelevance_0"}], None, "v4_irrelevance")
    output = tmp_path / "out"
    command = arguments(model, data, output, "--samples", "3", "--categories", "irrelevance")
    assert main(command) == 0
    summary = summary_of(output)
    assert list(summary["categories"]) == ["irrelevance"]
    assert list(summary["groups"]) == ["irrelevance"]
    assert "over_samples" not in summary
    assert "overall by sample" not in (output / "table.md").read_text()


def test_compare(engine, model, data, tmp_path, capsys):
    for name in ("a", "b"):
        assert main(arguments(model, data, tmp_path / name, "--seed", str(int(name == "b")))) == 0
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    capsys.readouterr()
    assert main(["evaluate", "compare", a, a]) == 0
    assert "No difference" in capsys.readouterr().out
    assert main(["evaluate", "compare", a, b, "--json", str(tmp_path / "c.json")]) == 0
    first, second = (
        {r["id"] for r in read_records(tmp_path / name) if r["valid"]} for name in ("a", "b")
    )
    compared = json.loads((tmp_path / "c.json").read_text())
    assert set(compared["overall"]["better"]) == second - first
    assert set(compared["overall"]["worse"]) == first - second
    assert first != second


@pytest.mark.skipif(not API_BANK.is_dir(), reason="needs ../shared/data/api_bank")
def test_api_bank(engine, model, tmp_path, capsys):
    output = tmp_path / "out"
    engine.answer = lambda prompt, seed: "<tool_call>\n{}\n</tool_call>"
    command = ["evaluate", "api-bank", "--model", str(model), "--data", str(API_BANK)]
    command += ["--output", str(output), "--limit", "4"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("# API-Bank\n")
    summary = summary_of(output)
    assert list(summary["levels"]) == ["level_1", "level_2", "level_3", "overall"]
    assert summary["levels"]["overall"]["total"] == 12
    assert summary["benchmark"] == "api_bank"
    assert main(command) == 0
    assert main([*command[:-1], "5"]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--model": "nowhere"}, "nowhere: no such model folder"),
        ({"--data-dir": "nowhere"}, "no such folder of BFCL data"),
        ({"--categories": "multipel"}, "unknown category 'multipel'"),
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
