"""Two data-parallel FSDP2 ranks do what one does: same weights and statistics, same update."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded_batch import recorded_batch

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig, token_weights

RANKS = Path(__file__).with_name("fsdp_ranks.py")
BATCH = recorded_batch()
NUM_STEPS = 2
CLOSE = {"rel": 1e-6, "abs": 1e-6}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The steps of the one rank, and of each of the two."""
    if find_spec("verl") is None:
        pytest.skip("verl is not installed")
    folder = tmp_path_factory.mktemp("ranks")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(RANKS), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"rank_{name}.pt") for name in ("0_of_1", "0_of_2", "1_of_2")]


@pytest.mark.parametrize("step", range(NUM_STEPS))
def test_two_ranks_get_the_weights_of_one(runs, step):
    one, first, second = (run[step] for run in runs)
    received = first["column"] + second["column"]
    assert [len(row) for row in received] == [len(mask) for mask in BATCH.masks]
    for weights, expected, mask in zip(received, one["column"], BATCH.masks, strict=True):
        torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)
        assert not weights[~mask].any()
        if mask.any():
            assert weights[mask].mean().item() == pytest.approx(1.0)
    assert not BATCH.masks[-1].any()  # verl's padding row is among the second rank's
    weights = torch.cat(received)[torch.cat(BATCH.masks)]
    assert weights.max() - weights.min() > 0.2


@pytest.mark.parametrize("step", range(NUM_STEPS))
def test_two_ranks_log_the_statistics_of_one(runs, step):
    one, first, second = (run[step] for run in runs)
    assert len(one["statistics"]) > 20
    assert first["statistics"] == second["statistics"] == pytest.approx(one["statistics"], **CLOSE)


@pytest.mark.parametrize("step", range(NUM_STEPS))
def test_two_ranks_make_the_update_of_one(runs, step):
    one, first, second = (run[step] for run in runs)
    for name in ("loss", "grad_norm"):
        assert first[name] == second[name] == pytest.approx(one[name], **CLOSE)
    for name, expected in one["parameters"].items():
        assert torch.equal(first["parameters"][name], second["parameters"][name])
        torch.testing.assert_close(first["parameters"][name], expected, rtol=0, atol=1e-6)


def test_the_steps_changed_the_model(runs):
    first, second = (step["parameters"] for step in runs[0])
    assert max((second[name] - first[name]).abs().max() for name in first) > 0.01


def test_why_the_trainer_weighs_before_rows_go_to_the_ranks():
    """A region's entropy is a mean over the batch: weighing rank by rank gives other weights."""
    regions = np.array([[Region.FORMAT, Region.THINK]] * 2)
    entropy = np.array([[1.0, 1.0], [1.0, 2.0]])
    config = ReSTConfig.preset("static")
    together, _ = token_weights(regions, entropy, config=config)
    alone, _ = token_weights(regions[:1], entropy[:1], config=config)
    # g(1) = 1.582 and g(1.5) = 1.287, of mean 1.435
    assert together.tolist() == [pytest.approx([1.103, 0.897], abs=1e-3)] * 2
    assert alone.tolist() == [[1.0, 1.0]]
