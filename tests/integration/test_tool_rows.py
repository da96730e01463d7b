"""Rows whose tools make the prompt too long are dropped or refused when the data is loaded."""

import json
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="verl is not installed")

from omegaconf import OmegaConf
from templates import get_model
from verl.utils.dataset.rl_dataset import RLHFDataset, get_dataset_class

from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset
from rest_verl.integration.tool_rows import ToolRowsDataset, count_tools

TOKENIZER = get_model("qwen3").tokenizer


def _tool(length: int) -> dict:
    function = {"name": "f", "description": "x" * length, "parameters": {"type": "object"}}
    return {"type": "function", "function": function}


def _row(index: int, tools: list[dict]) -> dict:
    info = {"index": index, "id": f"row-{index}", "category": "c", "split": "train"}
    return {
        "data_source": "d",
        "prompt": [{"role": "user", "content": "hi"}],
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": ""},
        "extra_info": {
            **info,
            "version": "",
            "tools": json.dumps(tools) if tools else "",
            "syntax": "",
        },
    }


@pytest.fixture
def file(tmp_path: Path) -> str:
    rows = [_row(0, []), _row(1, [_tool(3)]), _row(2, [_tool(12_000)]), _row(3, [_tool(15_000)])]
    write_dataset(tmp_path, {"train": rows}, BFCL_EXTRA_INFO, {})
    return str(tmp_path / "train.parquet")


def _config(tmp_path: Path, **settings: object):
    return OmegaConf.create({"max_prompt_length": 2000, "cache_dir": str(tmp_path), **settings})


def test_dropped_where_verl_drops(file: str, tmp_path: Path, capsys) -> None:
    config = _config(tmp_path, filter_overlong_prompts=True)
    assert len(RLHFDataset(file, TOKENIZER, config)) == 4  # verl counts none of their tools
    kept = ToolRowsDataset(file, TOKENIZER, config).dataframe["extra_info"]
    assert [info["id"] for info in kept] == ["row-0", "row-1"]
    assert "dropped 2 of 4 rows" in capsys.readouterr().out


def test_refused_where_verl_drops_nothing(file: str, tmp_path: Path) -> None:
    config = _config(tmp_path, filter_overlong_prompts=False)
    with pytest.raises(ValueError, match=r"row row-2: .* 2 of 4 rows.*filter_overlong_prompts"):
        ToolRowsDataset(file, TOKENIZER, config)
    config.max_prompt_length = 20_000
    assert len(ToolRowsDataset(file, TOKENIZER, config)) == 4


def test_verl_finds_the_class_and_a_users_own_stays() -> None:
    config = OmegaConf.create({"data": {"custom_cls": {"path": None, "name": None}}})
    count_tools(config)
    assert get_dataset_class(config.data) is ToolRowsDataset
    own = OmegaConf.create({"data": {"custom_cls": {"path": "mine.py", "name": "Mine"}}})
    count_tools(own)
    assert own.data.custom_cls.path == "mine.py"
