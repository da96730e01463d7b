"""verl's real FSDP2 worker writes Σπ² when a `rest_*` trainer asks: the policy's own, by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("engine_squares.py")
CASES = ("padded", "packed, dynamic")


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
    assert [line["case"] for line in lines] == list(CASES)
    return {line["case"]: line for line in lines}


@pytest.mark.parametrize("case", CASES)
def test_the_workers_squares_are_the_softmaxs(results, case):
    result = results[case]
    assert result["spread"] > 0.1
    assert result["squares"] < 1e-5
    assert result["log_probs"] < 1e-4  # of the same pass


@pytest.mark.parametrize("case", CASES)
def test_the_advantages_are_those_of_squares_by_hand(results, case):
    assert results[case]["largest"] > 1
    assert results[case]["advantages"] < 1e-4


@pytest.mark.parametrize("case", CASES)
def test_the_old_policy_is_asked_and_the_reference_is_not(results, case):
    assert results[case]["asked"] == [True, False]
