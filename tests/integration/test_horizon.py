"""The run's clock: the steps that verl will really do, and a resumed run that never goes back."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rest_verl.algorithm.clock import Clock
from rest_verl.integration.horizon import RunSteps, describe_clock, run_clock, run_steps

STEPS = RunSteps(105, "trainer.total_epochs=15 of 7 steps")


@pytest.mark.parametrize(
    ("total", "epochs", "number", "source"),
    [
        (500, 15, 105, "trainer.total_epochs=15 of 7 steps"),  # the epochs end first
        (105, 15, 105, "trainer.total_epochs=15 of 7 steps"),  # verl's own product
        (36, 1000, 36, "trainer.total_training_steps=36"),
    ],
)
def test_the_lesser_of_steps_and_epochs(total, epochs, number, source):
    config = OmegaConf.create({"trainer": {"total_epochs": epochs}})
    assert run_steps(config, 7, total) == RunSteps(number, source)


def test_a_new_run_counts_its_own_steps():
    assert run_clock(None, STEPS, None, None) == Clock(horizon=105.0)


def test_a_horizon_of_the_users_is_taken_as_it_is_even_backwards():
    saved = Clock(horizon=50.0)
    assert run_clock(210, STEPS, Path("global_step_50"), saved) == Clock(horizon=210.0)


def test_more_epochs_on_resuming_never_throw_progress_back():
    saved = Clock(horizon=50.0)
    clock = run_clock(None, STEPS, Path("x/global_step_25"), saved)
    # half way at step 25; from there evenly to 1 at step 105
    assert clock.progress([0, 25, 65, 105]).tolist() == pytest.approx([0, 0.5, 0.75, 1])


def test_the_same_run_resumed_has_the_very_same_clock():
    saved = Clock(horizon=105.0)
    assert run_clock(None, STEPS, Path("global_step_25"), saved) == saved


def test_a_checkpoint_without_a_clock_is_of_another_trainer():
    assert run_clock(None, STEPS, Path("global_step_25"), None) == Clock(horizon=105.0)


def test_the_log_names_the_source():
    text = describe_clock(Clock(horizon=105.0), None, STEPS)
    assert text == (
        "[rest] progress reaches 1 at step 105 (from trainer.total_epochs=15 of 7 steps)"
    )


def test_a_horizon_beyond_the_run_is_a_warning():
    first, warning = describe_clock(Clock(horizon=500.0), 500, STEPS).splitlines()
    assert first == "[rest] progress reaches 1 at step 500 (from algorithm.rest.horizon=500)"
    assert "warning: the run ends after 105 steps" in warning
    assert "at progress 0.21" in warning


def test_a_clock_that_goes_on_says_so():
    clock = Clock(horizon=50.0).resumed(105, 25)
    assert "progress goes on from 0.500" in describe_clock(clock, None, STEPS)
