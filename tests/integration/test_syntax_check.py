"""The driver knows how answers will be read, or stops before Ray starts."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from call_templates import TEMPLATES
from omegaconf import DictConfig, OmegaConf
from toy_tokenizers import byte_level

from rest_verl.integration.doctor import check_model
from rest_verl.integration.syntax_check import asked_in_files, describe_syntax

TOOLRL = '<think>t</think><tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>'
OWN = json.dumps({"format": "chat_template", "expect": "no_call", "calls": []})


def write(path: Path, *rows: dict) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def row(truth: str = "", **extra_info: str) -> dict:
    return {"reward_model": {"ground_truth": truth}, "extra_info": {"index": 0, **extra_info}}


@pytest.mark.parametrize(
    ("rows", "asked"),
    [
        ([row(syntax="toolrl")], {"toolrl"}),
        ([row(syntax="glm"), row(syntax="")], {"glm", ""}),
        ([row(prompt_style="compact")], {"toolrl"}),  # written before rows had `syntax`
        ([row(prompt_style="chat_template")], {""}),
        ([row(TOOLRL), row(OWN), row("42")], {"toolrl", ""}),
        ([{"prompt": "a parquet with nothing else"}], {""}),
        ([{"reward_model": None, "extra_info": None}], {""}),
    ],
)
def test_what_rows_ask_for(tmp_path: Path, rows: list[dict], asked: set[str]) -> None:
    assert asked_in_files([write(tmp_path / "rows.parquet", *rows)]) == asked


def test_files_that_are_not_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    assert asked_in_files([tmp_path / "rows.jsonl"]) is None
    assert asked_in_files([tmp_path / "none.parquet"]) is None


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tokenizer = byte_level()
    tokenizer.chat_template = TEMPLATES["glm"]
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def config(model: Path | str, file: Path, **settings: object) -> DictConfig:
    return OmegaConf.create(
        {
            "data": {"train_files": str(file)},
            "actor_rollout_ref": {"model": {"path": str(model), **settings}},
            "algorithm": {"rest": {"syntax": "auto"}},
        }
    )


def test_the_line_for_the_log(tmp_path: Path, model: Path) -> None:
    mixed = write(tmp_path / "mixed.parquet", row(syntax="toolrl"), row())
    line = "[rest] tool-call syntax: glm (chat template), toolrl (prompts ask for it)"
    assert describe_syntax(config(model, mixed)) == line
    named = config(model, mixed)
    named.algorithm.rest.syntax = "hermes"
    assert "hermes (algorithm.rest.syntax)" in describe_syntax(named)


def test_a_template_of_the_runs_own_wins(tmp_path: Path, model: Path) -> None:
    own = write(tmp_path / "own.parquet", row())
    settings = config(model, own, custom_chat_template=TEMPLATES["seed"])
    assert "seed (chat template)" in describe_syntax(settings)


def test_validation_is_read_by_our_reward_alone(tmp_path: Path, model: Path) -> None:
    asked = write(tmp_path / "asked.parquet", row(syntax="toolrl"))
    settings = config(model, asked, custom_chat_template="{{ messages }}")
    settings.data.val_files = str(write(tmp_path / "own.parquet", row()))
    assert "toolrl" in describe_syntax(settings)
    settings.reward = {"reward_manager": {"name": "rest"}}
    with pytest.raises(ValueError, match="no known syntax reads"):
        describe_syntax(settings)


def test_what_is_elsewhere_is_left_to_the_trainer(tmp_path: Path) -> None:
    own = write(tmp_path / "own.parquet", row())
    assert describe_syntax(config("some/hub-model", own)) == ""
    asked = write(tmp_path / "asked.parquet", row(syntax="toolrl"))
    assert "toolrl" in describe_syntax(config("some/hub-model", asked))


def test_a_run_that_cannot_be_read_stops(tmp_path: Path, model: Path) -> None:
    own = write(tmp_path / "own.parquet", row())
    with pytest.raises(ValueError, match=r"no known syntax reads.*algorithm.rest.syntax"):
        describe_syntax(config(model, own, custom_chat_template="{{ messages }}"))
    misspelt = config(model, own)
    misspelt.algorithm.rest.syntax = "herms"
    with pytest.raises(ValueError, match="did you mean hermes"):
        describe_syntax(misspelt)


def test_doctor_says_how_a_model_writes_calls(model: Path) -> None:
    found = check_model(model)
    assert found.ok
    assert found.detail == "syntax glm, as its chat template writes"
    nowhere = check_model(model / "none")
    assert not nowhere.ok
    assert nowhere.mend == "name a Hugging Face folder"
    templated = byte_level()
    templated.chat_template = "{{ messages[0].content }}"
    templated.save_pretrained(model)
    silent = check_model(model)
    assert "writes no tool calls" in silent.detail
    assert silent.mend == "name it with algorithm.rest.syntax=<name>"
