"""The reward's schedule goes by the run's clock, the one of the weights."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from toy_tokenizers import one_byte_per_token
from verl import DataProto
from verl.trainer.ppo.reward import get_custom_reward_fn

from rest_verl.algorithm.clock import Clock
from rest_verl.integration.horizon import RunSteps, run_clock
from rest_verl.integration.reward_manager import ReSTRewardManager
from rest_verl.integration.reward_options import (
    CLOCK,
    hand_over_clock,
    reward_config_from,
    schedule_step,
)
from rest_verl.integration.samples import sample_steps
from rest_verl.integration.validation_mark import VALIDATION_MARK

OWN = {"preset": "toolrl_scheduled"}
RESUMED = Clock(horizon=20.0).resumed(36, 10)  # 0.5 at step 10, then evenly to 1 at 36


def config_of(kwargs=OWN, manager="rest", path=None, updates=-1, mode="sync"):
    config = OmegaConf.create(
        {
            "reward": {
                "reward_manager": {"name": manager},
                "custom_reward_function": {"path": path, "reward_kwargs": kwargs},
            },
            "actor_rollout_ref": {"actor": {"optim": {"total_training_steps": updates}}},
            "trainer": {"v1": {"trainer_mode": mode, "separate_async": {"parameter_sync_step": 2}}},
        }
    )
    OmegaConf.set_struct(config, True)  # as verl's trainer leaves it
    return config


@pytest.mark.parametrize("kwargs", [OWN, {**OWN, "horizon": None}])
@pytest.mark.parametrize("clock", [Clock(horizon=36.0), RESUMED])
def test_the_scale_reaches_its_end_when_progress_does(kwargs, clock):
    config = config_of(kwargs)
    hand_over_clock(config, clock)
    reward, to_step = reward_config_from(config), schedule_step(config)
    for step in range(40):
        progress = float(clock.progress(step))
        assert to_step(step) == pytest.approx(150 * progress)
        assert reward.scale(to_step(step)).format_max == pytest.approx(max(2 - progress, 1))
    assert reward.scale(to_step(35)) != reward.scale(150)
    assert reward.scale(to_step(36)) == reward.scale(150)


def test_an_explicit_horizon_counts_steps_as_published():
    config = config_of({**OWN, "horizon": 150})
    hand_over_clock(config, Clock(horizon=36.0))
    assert [schedule_step(config)(step) for step in (0, 36, 150)] == [0, 36, 150]
    # the released code at step 75: correctness within ±(2 + 75/150)
    assert reward_config_from(config).scale(schedule_step(config)(75)).correctness_max == 2.5


@pytest.mark.parametrize(
    ("updates", "mode", "expected"),
    [
        (100, "sync", 75.0),  # step 50 of 100
        (100, "colocate_async", 75.0),
        (100, "separate_async", 150.0),  # two updates a step: 50 of 50
        (40, "sync", 150.0),  # beyond the end
        (-1, "sync", 50.0),  # verl has said nothing: the published count
        (None, "sync", 50.0),
    ],
)
def test_under_verls_own_trainers_it_is_the_share_of_their_steps(updates, mode, expected):
    assert schedule_step(config_of(updates=updates, mode=mode))(50) == expected


def test_the_runs_clock_counts_before_verls():
    config = config_of(updates=100)
    hand_over_clock(config, Clock(horizon=50.0))
    assert schedule_step(config)(25) == 75.0


@pytest.mark.parametrize(
    ("manager", "path"), [("naive", "my_reward.py"), ("dapo", None), ("rate_limited", None)]
)
def test_a_reward_of_the_users_gets_nothing(manager, path):
    config = config_of({"theirs": 1}, manager=manager, path=path)
    before = OmegaConf.to_container(config)
    hand_over_clock(config, Clock(horizon=36.0))
    assert OmegaConf.to_container(config) == before


def test_the_options_stay_and_the_config_stays_closed():
    config = config_of({**OWN})
    hand_over_clock(config, RESUMED)
    kwargs = config.reward.custom_reward_function.reward_kwargs
    assert kwargs.preset == "toolrl_scheduled"
    assert Clock.from_state(OmegaConf.to_container(kwargs[CLOCK])) == RESUMED
    assert OmegaConf.is_struct(config)
    assert get_custom_reward_fn(config) is None  # verl reads the options of no function
    hand_over_clock(config, Clock(horizon=7.0))  # another run in this process
    assert schedule_step(config)(7) == 150


def test_a_manager_without_options_gets_the_clock():
    config = config_of(None)
    hand_over_clock(config, Clock(horizon=7.0))
    assert reward_config_from(config).schedule == "none"
    assert schedule_step(config)(7) == 150


# ---- what a session is given --------------------------------------------------------------------


TRUTH = '<think>so</think>\n<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>'


def score(config, step, **columns):
    """Of an answer that has neither form nor call, asked at that step."""
    row = {"reward_model": {"ground_truth": TRUTH}, "global_steps": step}
    data = DataProto.from_dict(
        tensors={
            "input_ids": torch.tensor([[32, 63]]),
            "responses": torch.tensor([[63]]),
            "attention_mask": torch.ones(1, 2).long(),
        },
        non_tensors={
            name: np.array([value], dtype=object) for name, value in (row | columns).items()
        },
    )
    manager = ReSTRewardManager(config, one_byte_per_token())
    return asyncio.run(manager.run_single(data))["reward_score"]


# progress p: form at least -2 + 2p, to -1; correctness -(2 + p): -4 at 0, -3.5 at 0.5, -4 at 1
@pytest.mark.parametrize(
    ("clock", "step", "expected"),
    [
        (Clock(horizon=36.0), 0, -4.0),
        (Clock(horizon=36.0), 9, -3.75),
        (Clock(horizon=36.0), 18, -3.5),
        (Clock(horizon=36.0), 36, -4.0),
        (RESUMED, 5, -3.75),
        (RESUMED, 10, -3.5),
        (RESUMED, 23, -3.75),  # half of the way from 0.5 to 1
        (RESUMED, 36, -4.0),
    ],
)
def test_training_is_scored_by_the_clock_validation_on_the_fixed_scale(clock, step, expected):
    config = config_of()
    hand_over_clock(config, clock)
    assert score(config, step) == pytest.approx(expected)
    assert score(config, step, **{VALIDATION_MARK: True}) == -3.0


@given(
    number=st.integers(1, 200),
    resumes=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 400)), max_size=3),
)
@settings(deadline=None)
def test_weights_and_reward_agree_at_every_step_of_a_run(number, resumes):
    clock, step = run_clock(None, RunSteps(number, ""), None, None), 0
    for more, longer in resumes:
        step += more
        clock = run_clock(None, RunSteps(longer, ""), Path(f"global_step_{step}"), clock)
    config = config_of()
    hand_over_clock(config, clock)
    to_step, horizon = schedule_step(config), reward_config_from(config).horizon
    current = np.arange(1, int(clock.horizon) + 20)
    # a synchronous sample of step s was asked at s, of the weights that step s - 1 made
    steps = np.concatenate([sample_steps([{"min_global_steps": s - 1}], s) for s in current])
    for asked, progress in zip(current.tolist(), clock.progress(steps).tolist(), strict=True):
        assert to_step(asked) / horizon == pytest.approx(progress, rel=1e-15)
        assert (to_step(asked) == horizon) == (progress == 1)
