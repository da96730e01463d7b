"""Which rows of which files the checks look at."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from rest_verl.integration.data_files import ROWS_READ, data_files
from rest_verl.integration.row_checks import prompts_dropped, prompts_fit
from rest_verl.integration.scorers import Scorer, reward_function, scorer

ROWS = [{"data_source": f"source{i % 3}", "agent_name": None, "n": i} for i in range(320)]


def config(*train: object, **data: object) -> DictConfig:
    files = [str(file) for file in train]
    return OmegaConf.create({"data": {"train_files": files, "val_files": None, **data}})


def written(folder: Path, name: str, rows: list[dict]) -> Path:
    file = folder / name
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.json"])
def test_rows_spread_over_the_file_and_the_kinds_of_all(tmp_path: Path, name: str) -> None:
    (file,) = data_files(config(written(tmp_path, name, ROWS)))
    assert file.name == f"data.train_files={tmp_path}/{name}"
    assert [*file.rows] == [row["n"] for row in file.rows.values()] == [*range(0, 320, 5)]
    assert file.count == 320
    assert file.columns == ("data_source", "agent_name", "n")
    assert file.kinds == {(f"source{i}", None) for i in range(3)}


def test_of_a_large_file_the_first_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rest_verl.integration.data_files.LARGE", 1)
    (file,) = data_files(config(written(tmp_path, "a.parquet", ROWS)))
    assert [*file.rows] == [row["n"] for row in file.rows.values()] == [*range(ROWS_READ)]


def test_a_file_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = written(tmp_path, "a.parquet", ROWS)
    assert next(data_files(config(file))).count == 320
    written(tmp_path, "a.parquet", ROWS[:5])
    os.utime(file, ns=(1, 1))
    assert next(data_files(config(file))).count == 5


def test_files_that_are_not_looked_at(tmp_path: Path) -> None:
    file = written(tmp_path, "a.parquet", ROWS)
    elsewhere = config("hdfs://rows.parquet", tmp_path / "absent.parquet")
    assert list(data_files(elsewhere)) == []
    assert list(data_files(config(file, custom_cls={"path": "mine.py"}))) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "has no rows"), ([1], "a row must be a JSON object")],
)
def test_files_with_nothing_to_read(tmp_path: Path, rows: list, message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=rf"data\.train_files=.*a\.json: {message}"):
        list(data_files(config(tmp_path / "a.json")))


class Tokenizer:
    """Ten tokens for each message."""

    chat_template = "."

    def apply_chat_template(self, messages, tools, **settings) -> str:
        assert settings == {"add_generation_prompt": True, "tokenize": False}
        return "x" * 10 * (len(messages) + len(tools or ()))

    def __call__(self, text: str, add_special_tokens: bool) -> dict:
        return {"input_ids": list(text)}


TOOLS = json.dumps([{}] * 5)


def prompts(*tools: str, turns: int = 1) -> list[dict]:
    talk = [{"role": "user", "content": "hi"}] * turns
    return [{"prompt": talk, "extra_info": {"tools": shown}} for shown in tools]


# rows, settings, whether the run is refused, whether rows are said to be dropped
FITS = {
    "all fit": (prompts("", TOOLS), {"max_prompt_length": 60}, False, False),
    "one is too long": (prompts("", TOOLS), {}, True, False),
    "one is dropped": (prompts("", TOOLS), {"filter_overlong_prompts": True}, False, True),
    "all are dropped": (prompts(TOOLS), {"filter_overlong_prompts": True}, True, False),
    "more may fit behind those looked at": (
        prompts(*[TOOLS] * (ROWS_READ + 1)),
        {"filter_overlong_prompts": True},
        False,
        True,
    ),
    "a text that is too long": (prompts("", turns=9), {}, True, False),
    "a text that the user lets verl cut": (
        prompts("", turns=9),
        {"truncation": "left"},
        False,
        False,
    ),
    "tools are never cut": (prompts(TOOLS), {"truncation": "left"}, True, False),
}


@pytest.mark.parametrize("name", FITS)
def test_prompts_that_fit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, settings, refused, dropped = FITS[name]
    monkeypatch.setattr("rest_verl.integration.row_checks.local_tokenizer", lambda _: Tokenizer())
    usual = {
        "max_prompt_length": 20,
        "filter_overlong_prompts": False,
        "truncation": "error",
        "prompt_key": "prompt",
        "apply_chat_template_kwargs": {},
    }
    given = config(written(tmp_path, "a.parquet", rows), **{**usual, **settings})
    assert (prompts_fit(given) is not None) == refused
    if not refused:
        assert [str(len(rows[:ROWS_READ])) in line for line in prompts_dropped(given)] == [
            True
        ] * dropped


def reward(name: str = "naive", path: str | None = None, **settings: object) -> DictConfig:
    manager = {"name": name, "source": "register", **settings}
    function = {"path": path, "name": "compute_score"}
    return OmegaConf.create(
        {"reward": {"reward_manager": manager, "custom_reward_function": function}}
    )


@pytest.mark.parametrize(
    ("given", "who"),
    [
        (reward("rest"), Scorer.OURS),
        (reward(path="pkg://rest_verl.rewards"), Scorer.OURS),
        (reward("dapo"), Scorer.VERLS),
        (reward(path="mine.py"), Scorer.USERS),
        (reward("mine"), Scorer.UNKNOWN),
        (reward(source="importlib"), Scorer.UNKNOWN),
        (OmegaConf.merge(reward(), {"reward": {"reward_model": {"enable": True}}}), Scorer.MODEL),
    ],
)
def test_who_scores(given: DictConfig, who: Scorer) -> None:
    assert scorer(given) is who


FUNCTIONS = {
    "def compute_score(): ...": True,
    "async def compute_score(): ...": True,
    "from mine import score as compute_score": True,
    "compute_score = print": True,
    "if True:\n    def compute_score(): ...": True,
    "from mine import *": True,
    "def score(): ...": False,
    "import compute_score.parts as parts": False,
    "def (": False,
}


@pytest.mark.parametrize("text", FUNCTIONS)
def test_a_reward_function_that_its_file_defines(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert (reward_function(reward(path=f"{tmp_path}/mine.py")) is None) == FUNCTIONS[text]


def test_a_reward_function_of_a_package() -> None:
    assert reward_function(reward(path="pkg://rest_verl/rewards")) is None
    assert "no such file" in (reward_function(reward(path="pkg://rest_verl.nowhere")) or "")
