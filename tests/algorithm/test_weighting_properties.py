"""What holds for the weights of any batch, under every preset and any configuration."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.presets import PRESETS
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.sums import region_sums
from rest_verl.algorithm.weighting import region_weights, token_weights

NAN = float("nan")
GAMMAS = ("gamma_format", "gamma_name", "gamma_args", "gamma_think", "gamma_text")
PAD = torch.nn.functional.pad


@st.composite
def batches(draw):
    """(regions, entropy); entropies of masked tokens are NaN, as if never written."""
    shape = draw(st_np.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))
    regions = draw(st_np.arrays(np.int8, shape, elements=st.integers(-1, 4)))
    entropy = draw(st_np.arrays(np.float32, shape, elements=st.floats(0, 12, width=32)))
    return torch.tensor(regions), torch.tensor(np.where(regions < 0, np.float32(NAN), entropy))


@st.composite
def changed(draw):
    """A configuration that no preset has: any scale, bounds, fixed weights, ceiling."""
    w_min, w_max = draw(
        st.tuples(st.floats(0.001, 0.99), st.floats(1.01, 8)) | st.just((0.001, 8.0))
    )

    def within():
        return st.floats(w_min, w_max)

    caps = {name: draw(st.none() | within()) for name in ("cap_args", "cap_think")}
    gammas = {name: draw(st.none() | st.just(0.0) | within()) for name in GAMMAS}
    for name, cap in zip(GAMMAS[2:], ("cap_args", "cap_think", "cap_think"), strict=True):
        if gammas[name] and caps[cap]:
            gammas[name] = min(gammas[name], caps[cap])
    assume(any(gamma != 0 for gamma in gammas.values()))
    return ReSTConfig(
        scope=draw(st.sampled_from(["batch", "sequence"])),
        entropy_rule=draw(st.sampled_from(["score_norm", "inverse"])),
        scale=draw(st.sampled_from(["mean", "calibrated", "none"])),
        constant_name=draw(st.sampled_from(["before", "after"])),
        normalise_over=draw(st.sampled_from(["trained", "sampled"])),
        shuffle=draw(st.booleans()),
        clock=draw(st.sampled_from(["progress", "step"])),
        w_min=w_min,
        w_max=w_max,
        w_cap=draw(st.floats(1, 8)),
        alpha_format=draw(st.floats(0, 1)),
        alpha_args=draw(st.floats(0, 1)),
        alpha_think=draw(st.floats(0, 1)),
        **caps,
        **gammas,
    )


def configs():
    return st.sampled_from(list(PRESETS)).map(ReSTConfig.preset) | changed()


def region_configs():
    """Those with one weight a region, as they are before they are shuffled."""
    return (
        configs()
        .filter(lambda config: config.scope != "token")
        .map(lambda config: replace(config, shuffle=False))
    )


def moment(config, progress):
    """The clock of `region_weights`; a step counts as 1 / 400 of progress."""
    return 400 * progress if config.clock == "step" else progress


def sums_of(batch):
    regions, entropy = batch
    return region_sums(regions, entropy), region_sums(regions)


@given(batch=batches(), config=configs(), progress=st.floats(0, 1))
@settings(deadline=None, max_examples=300)
def test_finite_bounded_and_of_mean_one(batch, config, progress):
    regions, entropy = batch
    weights, stats = token_weights(
        regions, entropy, progress, config=config, step=moment(config, progress)
    )
    assert weights.isfinite().all()
    assert weights.min() >= 0
    assert weights.max() <= config.w_cap * (1 + 1e-6)
    assert (weights[regions < 0] == 0).all()

    sampled = (regions >= 0).sum(1)
    trained = (weights > 0).sum(1)
    expected = trained.double()
    if config.normalise_over == "sampled":
        expected = torch.minimum(sampled.double(), config.w_cap * expected)
    # 1e-4: the published δ of 1e-8 beside a mean that may be as small as 0.001 / 9
    torch.testing.assert_close(weights.double().sum(1), expected, rtol=1e-4, atol=0)

    num_tokens = max(1, int(sampled.sum()))
    at_ceiling = (weights >= config.w_cap) & (regions >= 0)
    assert stats["rest/ceiling_share"] == pytest.approx(int(at_ceiling.sum()) / num_tokens)
    num_zero = int((sampled - trained).sum())
    assert stats["rest/zero_weight_share"] == pytest.approx(num_zero / num_tokens)
    shares = [value for name, value in stats.items() if "_share/" in name]
    assert sum(shares) == pytest.approx(bool(sampled.any()) + bool(weights.any()))


@given(
    batch=batches(), config=region_configs(), moments=st.tuples(st.floats(0, 1), st.floats(0, 1))
)
@settings(deadline=None, max_examples=300)
def test_monotone_in_progress(batch, config, moments):
    sums = sums_of(batch)
    early, late = (region_weights(*sums, moment(config, at), config) for at in sorted(moments))
    present = sums[1] > 0
    if config.constant_name == "after":
        in_row = present[:, Region.NAME]
        assert torch.equal(early[in_row, Region.NAME], late[in_row, Region.NAME])

    # a weight that the ceiling holds cannot keep its distance from the others
    trained = present & (early > 0)
    is_free = ~(trained & (torch.maximum(early, late) > config.w_cap * (1 - 1e-9))).any(1)
    for region in (Region.NAME, Region.ARGS, Region.THINK, Region.TEXT):
        chosen = is_free & trained[:, Region.FORMAT] & trained[:, region]
        ratio_early = early[chosen, region] / early[chosen, Region.FORMAT]
        ratio_late = late[chosen, region] / late[chosen, Region.FORMAT]
        assert (ratio_late >= ratio_early * (1 - 1e-9)).all()


@given(batch=batches(), config=configs(), progress=st.floats(0, 1))
@settings(deadline=None)
def test_one_clock_for_each_row_is_that_rows_clock(batch, config, progress):
    regions, entropy = batch
    step = int(500 * progress)
    once = token_weights(regions, entropy, progress, config=config, step=step)
    rows = torch.full((len(regions),), progress, dtype=torch.float64), np.full(len(regions), step)
    each = token_weights(regions, entropy, rows[0], config=config, step=rows[1])
    assert torch.equal(once[0], each[0])
    assert {**once[1], **each[1]} == once[1]  # rest/progress is absent where no row has tokens
    rows[0][1:], rows[1][1:] = 1 - progress, step + 1
    other = token_weights(regions, entropy, rows[0], config=config, step=rows[1])
    assert torch.equal(once[0][0], other[0][0])  # other rows' clocks do not show


@given(batch=batches(), progress=st.floats(0, 1), config=configs(), seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=200)
def test_padding_and_order_of_rows_do_not_show(batch, config, progress, seed):
    regions, entropy = batch
    weights, stats = token_weights(regions, entropy, progress, config=config, step=7)
    again, _ = token_weights(regions, entropy, progress, config=config, step=7)
    assert torch.equal(again, weights)

    padded, padded_stats = token_weights(
        PAD(regions, (0, 5), value=-1), PAD(entropy, (0, 5), value=NAN), progress,
        config=config, step=7,
    )  # fmt: skip
    assert torch.equal(padded[:, :-5], weights)
    assert (padded[:, -5:] == 0).all()
    assert padded_stats == stats

    more_rows, _ = token_weights(
        PAD(regions, (0, 0, 0, 3), value=-1), PAD(entropy, (0, 0, 0, 3), value=NAN), progress,
        config=config, step=7,
    )  # fmt: skip
    assert torch.equal(more_rows[:-3], weights)

    order = torch.randperm(len(regions), generator=torch.Generator().manual_seed(seed))
    permuted, permuted_stats = token_weights(
        regions[order], entropy[order], progress, config=config, step=7
    )
    assert torch.equal(permuted, weights[order])
    assert permuted_stats == pytest.approx(stats, rel=1e-6)


@given(batch=batches(), progress=st.floats(0, 1), config=region_configs(), size=st.integers(1, 4))
@settings(deadline=None, max_examples=200)
def test_micro_batches_do_not_show(batch, progress, config, size):
    regions, entropy = batch
    step = moment(config, progress)
    whole, _ = token_weights(regions, entropy, progress, config=config, step=step)
    parts = list(zip(regions.split(size), entropy.split(size), strict=True))
    if config.scope == "batch" and config.needs_entropy:
        # only the sums have to come together; the look-up is each micro-batch's own
        entropy_BR, count_BR = (
            torch.cat(sums) for sums in zip(*map(sums_of, parts), strict=True)
        )  # fmt: skip
        table_BR = region_weights(entropy_BR, count_BR, moment(config, progress), config).float()
        columns = torch.cat([table_BR, torch.zeros(len(table_BR), 1)], 1)  # -1: the last
        found = columns.gather(1, regions.long() % 6)
    elif config.needs_entropy and config.scale != "none":
        return  # scaled over the batch's sequences: a micro-batch is another batch
    else:
        found = torch.cat(
            [token_weights(*part, progress, config=config, step=step)[0] for part in parts]
        )
    assert torch.equal(found, whole)


@given(batch=batches())
@settings(deadline=None)
def test_uniform_is_one_at_every_labelled_token(batch):
    regions, entropy = batch
    weights, _ = token_weights(regions, config=ReSTConfig.preset("uniform"))
    assert torch.equal(weights, (regions >= 0).float())
    weights, _ = token_weights(regions, entropy, 0.3, config=ReSTConfig.preset("uniform"))
    assert torch.equal(weights, (regions >= 0).float())


@given(batch=batches(), config=changed(), progress=st.floats(0, 1))
@settings(deadline=None)
def test_shuffling_only_moves(batch, config, progress):
    regions, entropy = batch
    plain, shuffled = (
        token_weights(regions, entropy, progress, config=replace(config, shuffle=shuffle), step=9)
        for shuffle in (False, True)
    )
    assert torch.equal(shuffled[0].sort(1).values, plain[0].sort(1).values)
    assert (shuffled[0][regions < 0] == 0).all()


@given(
    batch=batches(),
    rule=st.sampled_from(["score_norm", "inverse"]),
    scale=st.sampled_from(["mean", "calibrated", "none"]),
)
@settings(deadline=None)
def test_lower_entropy_never_weighs_less(batch, rule, scale):
    regions, entropy = batch
    assume((regions >= 0).all(1).any())
    config = replace(ReSTConfig.preset("static"), entropy_rule=rule, scale=scale)
    weights, stats = token_weights(regions, entropy, config=config)
    row = int((regions >= 0).all(1).int().argmax())
    in_row = dict(zip(map(Region, regions[row].tolist()), weights[row].tolist(), strict=True))
    by_entropy = sorted(in_row, key=lambda region: stats[f"rest/entropy/{region.name.lower()}"])
    for lower, higher in pairwise(by_entropy):
        assert in_row[lower] >= in_row[higher]


@given(batch=batches(), share=st.floats(0.01, 1))
@settings(deadline=None)
def test_top_entropy_trains_the_share_and_its_ties(batch, share):
    regions, entropy = batch
    config = replace(ReSTConfig.preset("top_entropy"), top_share=share, w_cap=1e6)
    weights, _ = token_weights(regions, entropy, config=config)
    chosen, left = entropy[weights > 0], entropy[(weights == 0) & (regions >= 0)]
    num_tokens = len(chosen) + len(left)
    assert len(chosen) >= share * num_tokens - 1e-6
    if len(chosen) and len(left):
        assert chosen.min() > left.max()
    assert (chosen > chosen.min()).sum() < share * num_tokens if len(chosen) else not num_tokens
