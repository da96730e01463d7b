"""The reward's schedule goes by the run's clock, the one of the weights."""

import pytest
from omegaconf import OmegaConf

from rest_verl.algorithm.clock import Clock
from rest_verl.integration.reward_options import (
    hand_over_clock,
    reward_config_from,
    schedule_step,
)

OWN = {"preset": "toolrl_scheduled"}


def config_of(kwargs=OWN, manager="rest", path=None, updates=-1, mode="sync"):
    return OmegaConf.create(
        {
            "reward": {
                "reward_manager": {"name": manager},
                "custom_reward_function": {"path": path, "reward_kwargs": kwargs},
            },
            "actor_rollout_ref": {"actor": {"optim": {"total_training_steps": updates}}},
            "trainer": {"v1": {"trainer_mode": mode, "separate_async": {"parameter_sync_step": 2}}},
        }
    )


@pytest.mark.parametrize("kwargs", [OWN, {**OWN, "horizon": None}])
@pytest.mark.parametrize("clock", [Clock(horizon=36.0), Clock(horizon=20.0).resumed(36, 10)])
def test_the_scale_reaches_its_end_when_progress_does(kwargs, clock):
    config = config_of(kwargs)
    hand_over_clock(config, clock)
    reward, to_step = reward_config_from(config), schedule_step(config)
    for step in range(40):
        progress = float(clock.progress(step))
        assert to_step(step) == pytest.approx(150 * progress)
        assert reward.scale(to_step(step)).format_max == pytest.approx(max(2 - progress, 1))
    assert reward.scale(to_step(36)) == reward.scale(150)


def test_an_explicit_horizon_counts_steps_as_published():
    config = config_of({**OWN, "horizon": 150})
    hand_over_clock(config, Clock(horizon=36.0))
    assert [schedule_step(config)(step) for step in (0, 36, 150)] == [0, 36, 150]


@pytest.mark.parametrize(
    ("updates", "mode", "expected"),
    [
        (100, "sync", 75.0),  # step 50 of 100
        (100, "separate_async", 150.0),  # two updates a step: 50 of 50
        (-1, "sync", 50.0),  # verl has said nothing: the published count
    ],
)
def test_under_verls_own_trainers_it_is_the_share_of_their_steps(updates, mode, expected):
    assert schedule_step(config_of(updates=updates, mode=mode))(50) == expected


def test_a_reward_of_the_users_gets_nothing():
    config = config_of({"theirs": 1}, manager="naive", path="my_reward.py")
    hand_over_clock(config, Clock(horizon=36.0))
    assert config.reward.custom_reward_function.reward_kwargs == {"theirs": 1}
