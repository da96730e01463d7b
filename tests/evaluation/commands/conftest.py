"""What the commands are given: a stand-in for the engine, a model's folder, BFCL's data."""

from pathlib import Path

import pytest
from bfcl_samples import write_folder
from evaluate_runs import speak
from multi_turn_samples import answer, question, write_rows
from stand_in import StandIn, save_model, starting
from templates import get_model

from rest_verl.evaluation import run as run_module


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
