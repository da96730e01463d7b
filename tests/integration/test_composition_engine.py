"""verl's real FSDP2 engine: its accumulated gradients of a model are the written formula's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("engine_gradients.py")
CASES = (
    "whole",
    "twos",
    "ones",
    "dynamic",
    "sequence ratio",
    "uniform",
    "remove_padding",
    "lora",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, dict]:
    """Every case in one process: verl picks its platform when it is imported."""
    folder = tmp_path_factory.mktemp("tiny_model")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), str(folder)],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"case"')]
    return {line["case"]: line for line in lines}


@pytest.mark.parametrize("case", CASES)
def test_engine_gradient_is_the_formula(results, case):
    result = results[case]
    assert result["same_parameters"]
    assert result["largest"] > 0.05
    assert result["difference"] < 1e-6


def test_uniform_is_bit_equal_through_the_engine(results):
    assert results["uniform"]["bit_equal"]
    assert results.keys() == set(CASES)


def test_the_loop_without_verl_has_the_engines_gradient(results):
    assert results["ones"]["plain_loop_parameters"]
    assert results["ones"]["plain_loop"] < 1e-6
