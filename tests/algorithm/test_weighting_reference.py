"""The weights against the method's text in plain Python, for every preset and other settings."""

from dataclasses import replace

import pytest
import torch
from reference_weights import reference_weights

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.presets import PRESETS
from rest_verl.algorithm.weighting import token_weights

PAPER, CALIBRATED = ReSTConfig.preset("paper"), ReSTConfig.preset("calibrated")
OTHERS = {
    "sequence": replace(PAPER, scope="sequence"),
    "sequence, calibrated": replace(CALIBRATED, scope="sequence", entropy_rule="inverse"),
    "token, calibrated": replace(ReSTConfig.preset("token"), scale="calibrated"),
    "wide": replace(PAPER, w_min=0.001, w_max=8.0, w_cap=1e6),
    "wide, under a ceiling": replace(PAPER, w_min=0.001, w_max=8.0, w_cap=1.5),
    "wide, NAME held": replace(CALIBRATED, w_min=0.001, w_max=8.0, w_cap=2.5),
    "NAME held, sampled": replace(
        CALIBRATED, gamma_think=0.0, normalise_over="sampled", alpha_args=1.0
    ),
    "no scale": replace(PAPER, scale="none", w_max=3.0),
    "caps": replace(PAPER, cap_args=1.0, cap_think=0.8, alpha_think=1.0),
    "official, sampled": replace(ReSTConfig.preset("official"), normalise_over="sampled"),
    "names alone": replace(
        CALIBRATED, gamma_format=0.0, gamma_args=0.0, gamma_think=0.0, gamma_text=0.0
    ),
}
CONFIGS = {name: ReSTConfig.preset(name) for name in PRESETS if name != "shuffled"} | OTHERS


def random_batch(seed):
    """Rows that lack regions, tokens that are masked, and a row of one token."""
    generator = torch.Generator().manual_seed(seed)
    regions = torch.randint(0, 5, (6, 14), generator=generator)
    regions[torch.rand(regions.shape, generator=generator) < 0.25] = -1
    regions[1, regions[1] == 0] = 3
    regions[2, regions[2] > 1] = 3
    regions[3] = torch.where(regions[3] < 0, -1, seed % 5)
    regions[4, 1:] = -1
    level = torch.tensor([0.03, 0.3, 0.4, 1.2, 0.8, 9.0])
    return regions, level[regions] * torch.rand(regions.shape, generator=generator) * 2


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_weights_are_the_methods(config):
    for seed, progress in enumerate((0.0, 0.3, 0.7, 1.0)):
        regions, entropy = random_batch(seed)
        step = round(400 * progress)
        weights, _ = token_weights(regions, entropy, progress, config=config, step=step)
        expected = reference_weights(regions.tolist(), entropy.tolist(), progress, step, config)
        # the published δ of 1e-8 beside the mean is below float32, but for means of 0.001
        torch.testing.assert_close(weights, torch.tensor(expected), rtol=2e-5, atol=0)
