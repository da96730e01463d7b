"""What `token_weights` takes and what it refuses."""

import math

import numpy as np
import pytest
import torch

from rest_verl.algorithm.presets import PRESETS
from rest_verl.algorithm.weighting import ReSTConfig, token_weights

NAN = float("nan")
PAPER = ReSTConfig.preset("paper")
OFFICIAL = ReSTConfig.preset("official")
OK_REGIONS, OK_ENTROPY = torch.tensor([[0, 3], [3, -1]]), torch.tensor([[0.1, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (2, 0)])
def test_batch_without_sampled_tokens(preset, shape):
    weights, stats = token_weights(
        torch.full(shape, -1), torch.full(shape, NAN), 0.5, config=ReSTConfig.preset(preset), step=3
    )
    assert weights.tolist() == torch.zeros(shape).tolist()
    assert not any("/weight/" in name or "/entropy/" in name for name in stats)
    assert all(math.isfinite(value) for value in stats.values())


def test_a_name_stands_for_its_preset():
    for preset in ("paper", "uniform"):
        expected, _ = token_weights(OK_REGIONS, OK_ENTROPY, 0.5, config=ReSTConfig.preset(preset))
        found, _ = token_weights(OK_REGIONS, OK_ENTROPY, 0.5, config=preset)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("config", [None, {"preset": "paper"}, 3, ReSTConfig])
def test_what_is_no_configuration_is_refused_with_an_example(config):
    with pytest.raises(ValueError, match=r'^config must be a preset.*config="paper".*; got '):
        token_weights(OK_REGIONS, OK_ENTROPY, 0.5, config=config)


@pytest.mark.parametrize("preset", PRESETS)
def test_numpy_in_tensor_out(preset):
    config = ReSTConfig.preset(preset)
    expected, _ = token_weights(OK_REGIONS, OK_ENTROPY, 0.5, config=config, step=3)
    found, _ = token_weights(
        OK_REGIONS.numpy().astype(np.int8), OK_ENTROPY.numpy(), 0.5, config=config, step=3
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_gradient_flows_into_weights_and_inputs_stay(preset):
    regions, entropy = OK_REGIONS.clone(), OK_ENTROPY.clone().requires_grad_()
    config = ReSTConfig.preset(preset)
    weights, _ = token_weights(regions, entropy, 0.5, config=config, step=3)
    assert not weights.requires_grad
    assert torch.equal(regions, OK_REGIONS)
    assert torch.equal(entropy, OK_ENTROPY)


# message, arguments, keywords
REFUSED = [
    ("integers", (OK_ENTROPY, OK_ENTROPY), {"progress": 0.0}),
    (r"shape \(B, T\)", (OK_REGIONS[0], OK_ENTROPY[0]), {"progress": 0.0}),
    ("-1 .* to 4, got -2", (OK_REGIONS * 2, OK_ENTROPY), {"progress": 0.0}),
    ("to 9", (torch.tensor([[9]]), torch.tensor([[1.0]])), {"progress": 0.0}),
    ("same shape", (OK_REGIONS, OK_ENTROPY[:1]), {"progress": 0.0}),
    ("pass the old policy's entropy", (OK_REGIONS,), {"progress": 0.0}),
    (
        "row 1, token 0 is nan",
        (OK_REGIONS, torch.tensor([[0.1, 1.0], [NAN, 0.0]])),
        {"progress": 0.0},
    ),
    (
        "row 0, token 1 is inf",
        (OK_REGIONS, torch.tensor([[0.1, math.inf], [1.0, NAN]])),
        {"progress": 0.0},
    ),
    ("curriculum: pass progress", (OK_REGIONS, OK_ENTROPY), {}),
    ("curriculum: pass step", (OK_REGIONS,), {"config": OFFICIAL}),
    (r"progress must lie in \[0, 1\]", (OK_REGIONS, OK_ENTROPY), {"progress": 1.5}),
    (r"progress must lie in \[0, 1\]", (OK_REGIONS, OK_ENTROPY), {"progress": NAN}),
    ("step must not be negative", (OK_REGIONS, OK_ENTROPY), {"progress": 0.0, "step": -1}),
    (r"progress .* in \[0, 1\].*, got 1.5", (OK_REGIONS, OK_ENTROPY), {"progress": [0.5, 1.5]}),
    (r"progress .* in \[0, 1\].*, got nan", (OK_REGIONS, OK_ENTROPY), {"progress": [NAN, 0.5]}),
    ("negative, got -1", (OK_REGIONS, OK_ENTROPY), {"progress": 0.0, "step": np.array([3, -1])}),
    (r"each of the 2 rows, got .*\(3,\)", (OK_REGIONS, OK_ENTROPY), {"progress": [0.0] * 3}),
    (r"each of the 2 rows, got .*\(2, 1\)", (OK_REGIONS, OK_ENTROPY), {"progress": [[0.0]] * 2}),
]


@pytest.mark.parametrize(("message", "arguments", "keywords"), REFUSED)
def test_refused(message, arguments, keywords):
    with pytest.raises(ValueError, match=message):
        token_weights(*arguments, **{"config": PAPER, **keywords})
