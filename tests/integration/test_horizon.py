"""The run's clock: the steps that verl will really do, and a resumed run that never goes back."""

from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from verl.trainer.ppo.v1 import trainer_base

from rest_verl.algorithm.clock import Clock
from rest_verl.integration.horizon import RunSteps, describe_clock, run_clock, run_steps

STEPS = RunSteps(105, "trainer.total_epochs=15 of 7 steps")
AT_25 = Path("runs/global_step_25")

# total steps, epochs of 7 steps -> the run's
LIMITS = [
    (500, 15, 105, "trainer.total_epochs=15 of 7 steps"),  # the epochs end first
    (105, 15, 105, "trainer.total_epochs=15 of 7 steps"),  # verl's own product
    (104, 15, 104, "trainer.total_training_steps=104"),
    (36, 1000, 36, "trainer.total_training_steps=36"),
    (1, 1, 1, "trainer.total_training_steps=1"),
]


def config_of(epochs, **more):
    return OmegaConf.create({"trainer": {"total_epochs": epochs, **more}})


@pytest.mark.parametrize(("total", "epochs", "number", "source"), LIMITS)
def test_the_lesser_of_steps_and_epochs(total, epochs, number, source):
    assert run_steps(config_of(epochs), 7, total) == RunSteps(number, source)


def steps_of_verl(monkeypatch, epochs, per_epoch, total, resumed_at=0):
    """The training steps that verl's own loop does, counted."""
    for name in ("Tracking", "SkipManager", "tqdm", "tq"):
        monkeypatch.setattr(trainer_base, name, MagicMock())
    for name in ("ValidationGenerationsLogger", "DapoFilteredRewardTableLogger"):
        monkeypatch.setattr(trainer_base, name, MagicMock())
    trainer = MagicMock(global_steps=resumed_at, steps_per_epoch=per_epoch)
    trainer.total_training_steps = total
    trainer.config = config_of(
        epochs, project_name="", experiment_name="", logger=[], val_before_train=False,
        save_freq=-1, test_freq=-1,
    )  # fmt: skip
    trainer.config.global_profiler = {"steps": None}
    trainer_base.PPOTrainer.fit(trainer, MagicMock())
    return resumed_at + trainer.step.call_count


RESUMES = [(*limit[:3], at) for limit in LIMITS for at in (0, 30) if at < limit[2]]


@pytest.mark.parametrize(("total", "epochs", "number", "resumed_at"), RESUMES)
def test_verls_own_loop_does_as_many(monkeypatch, total, epochs, number, resumed_at):
    assert steps_of_verl(monkeypatch, epochs, 7, total, resumed_at) == number


def test_a_new_run_counts_its_own_steps():
    assert run_clock(None, STEPS, None, None) == Clock(horizon=105.0)


def test_a_run_of_no_step_has_a_clock():
    # verl says by itself that the data has fewer rows than a batch; 0 / 0 would be said first
    clock = run_clock(None, RunSteps(0, "trainer.total_epochs=15 of 0 steps"), None, None)
    assert clock.progress([0, 1]).tolist() == [0, 1]


@pytest.mark.parametrize("saved", [None, Clock(horizon=50.0), Clock(horizon=50).resumed(90, 20)])
def test_a_horizon_of_the_users_is_taken_as_it_is_even_backwards(saved):
    assert run_clock(210, STEPS, AT_25, saved) == Clock(horizon=210.0)
    assert run_clock(10.5, STEPS, None, None) == Clock(horizon=10.5)


def test_more_epochs_on_resuming_never_throw_progress_back():
    clock = run_clock(None, STEPS, AT_25, Clock(horizon=50.0))
    # half way at step 25; from there evenly to 1 at step 105
    assert clock.progress([0, 25, 65, 105]).tolist() == pytest.approx([0, 0.5, 0.75, 1])


def test_fewer_epochs_on_resuming_end_at_one():
    clock = run_clock(None, STEPS, AT_25, Clock(horizon=210.0))
    # 25 of 105 is ahead of 25 of 210: the new steps count
    assert clock.progress([25, 105]).tolist() == pytest.approx([25 / 105, 1])


def test_from_a_horizon_of_the_users_to_the_runs_own():
    # 25 of an explicit 30 were done: 5/6, and the rest over the 80 steps that are left
    clock = run_clock(None, STEPS, AT_25, Clock(horizon=30.0))
    assert clock.progress([25, 65, 105]).tolist() == pytest.approx([5 / 6, 11 / 12, 1])


@pytest.mark.parametrize("saved", [Clock(horizon=105.0), Clock(horizon=50.0).resumed(105, 20)])
def test_the_same_run_resumed_has_the_very_same_clock(saved):
    assert run_clock(None, STEPS, AT_25, saved) == saved
    every = np.arange(106)
    assert np.array_equal(
        run_clock(None, STEPS, AT_25, saved).progress(every), saved.progress(every)
    )


def test_a_checkpoint_without_a_clock_is_of_another_trainer():
    assert run_clock(None, STEPS, AT_25, None) == Clock(horizon=105.0)


@given(
    first=st.integers(1, 300),
    resumes=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 300)), max_size=4),
)
@settings(deadline=None)
def test_progress_never_falls_over_any_number_of_resumes(first, resumes):
    clock, step, last = run_clock(None, RunSteps(first, ""), None, None), 0, 0.0
    for more, number in resumes:
        step += more
        assert float(clock.progress(step)) >= last
        last = float(clock.progress(step))
        clock = run_clock(None, RunSteps(number, ""), Path(f"global_step_{step}"), clock)
        assert float(clock.progress(step)) >= last
        assert float(clock.progress(max(step, number))) == 1


# ---- what the log says --------------------------------------------------------------------------


def test_the_log_names_the_source():
    text = describe_clock(Clock(horizon=105.0), None, STEPS)
    assert text == (
        "[rest] progress reaches 1 at step 105 (from trainer.total_epochs=15 of 7 steps)"
    )
    text = describe_clock(Clock(horizon=36.0), 36, STEPS)
    assert text == "[rest] progress reaches 1 at step 36 (from algorithm.rest.horizon=36)"


def test_a_horizon_beyond_the_run_is_a_warning():
    first, warning = describe_clock(Clock(horizon=500.0), 500, STEPS).splitlines()
    assert first == "[rest] progress reaches 1 at step 500 (from algorithm.rest.horizon=500)"
    assert warning.startswith("[rest] warning: the run ends after 105 steps (trainer.total_epochs=")
    assert "at progress 0.21: lower algorithm.rest.horizon" in warning


def test_a_clock_that_goes_on_says_so():
    first, second = describe_clock(Clock(horizon=50.0).resumed(105, 25), None, STEPS).splitlines()
    assert first.startswith("[rest] progress reaches 1 at step 105 (from trainer.total_epochs=")
    assert "resumed at step 25: progress goes on from 0.500, not from 0.238" in second


@pytest.mark.parametrize("checkpoint", [None, AT_25])
@pytest.mark.parametrize("saved", [None, Clock(horizon=50.0), Clock(horizon=210.0)])
def test_the_runs_own_clock_never_warns(checkpoint, saved):
    clock = run_clock(None, STEPS, checkpoint, saved)
    assert "warning" not in describe_clock(clock, None, STEPS)
