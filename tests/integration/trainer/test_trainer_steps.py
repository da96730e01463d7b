"""A sample's step, by which it is weighted, is that of the policy that sampled it, however late."""

import numpy as np
import pytest
from trainer_in_memory import EXPECTED, TEXTS, THOUGHT_REGIONS, Trainer, batch, versions, written

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration.samples import sample_steps, staleness_metrics


def each(parts) -> list[tuple[Region, str]]:
    return [(region, letter) for region, text in parts for letter in text]


@pytest.mark.parametrize(
    ("step", "total", "expected"),
    [(1, 100, 0.01), (25, 100, 0.25), (100, 100, 1.0), (130, 100, 1.0)],
)
def test_progress(queue, step, total, expected):
    metrics: dict = {}
    meta = batch(*[versions(step - 1, step - 1) for _ in TEXTS])
    Trainer(ReSTConfig(), step, total)._compute_advantage(meta, metrics)
    assert metrics["rest/progress"] == expected
    assert metrics["rest/staleness/mean"] == metrics["rest/staleness/max"] == 0


def test_a_sample_is_weighted_by_the_policy_that_sampled_it(queue):
    metrics: dict = {}
    meta = batch(versions(9, 9), versions(6, 8), {**versions(0, 0), "is_padding": True})
    Trainer(ReSTConfig.preset("official"))._compute_advantage(meta, metrics)
    first, second, _ = written(queue)
    assert first == pytest.approx(EXPECTED[0])
    # step 7 by the earliest weights: THINK 0.6 + 7 · 0.002
    thought = [0.614 if region is Region.THINK else 1.0 for region, _ in each(THOUGHT_REGIONS)]
    assert second == pytest.approx([weight * len(thought) / sum(thought) for weight in thought])
    assert metrics["rest/progress"] == pytest.approx((0.10 + 0.07) / 2)
    assert (metrics["rest/staleness/mean"], metrics["rest/staleness/max"]) == (1.5, 3)


def test_a_resumed_trainer_weighs_as_one_that_went_on(queue):
    tags = [versions(39, 39), versions(38, 39), versions(39, 39)]
    went_on, again = {}, {}
    never_stopped = Trainer(ReSTConfig(), step=39, total=100)
    never_stopped._compute_advantage(batch(), {})
    del queue.columns["rollout_is_weights"]
    never_stopped.global_steps = 40
    never_stopped._compute_advantage(batch(*tags), went_on)
    column = written(queue)
    del queue.columns["rollout_is_weights"]
    resumed = Trainer(ReSTConfig(), step=40, total=100)  # the step is all that verl restores
    resumed._compute_advantage(batch(*tags), again)
    assert written(queue) == column
    assert again == went_on


# why, tag of the weights, current step -> step of the sample
STEPS = [
    ("fresh", versions(4, 4), 5, 5),
    ("the weights that training starts with", versions(0, 0), 1, 1),
    ("one update late", versions(3, 3), 5, 4),
    ("over three weights: the earliest", versions(1, 3), 5, 2),
    ("never ahead of the current step", versions(7, 7), 5, 5),
]


@pytest.mark.parametrize(
    ("tag", "current", "expected"), [case[1:] for case in STEPS], ids=[case[0] for case in STEPS]
)
def test_sample_steps(tag, current, expected):
    assert sample_steps([tag], current).tolist() == [expected]


@pytest.mark.parametrize("tag", [{}, {"min_global_steps": None}])
def test_a_sample_without_its_version_is_refused(tag):
    with pytest.raises(ValueError, match=r"lacks min_global_steps.*extra_fields"):
        sample_steps([versions(1, 1), tag], 2)


@pytest.mark.parametrize(
    ("staleness", "padding", "expected"),
    [
        ([0, 2], [False, False], {"rest/staleness/mean": 1.0, "rest/staleness/max": 2.0}),
        ([0, 9], [False, True], {"rest/staleness/mean": 0.0, "rest/staleness/max": 0.0}),
        ([9], [True], {}),  # nothing but padding
    ],
)
def test_staleness_metrics(staleness, padding, expected):
    tags = [{"is_padding": value} for value in padding]
    assert staleness_metrics(np.array(staleness), tags) == expected
