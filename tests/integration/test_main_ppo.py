"""verl's own `main_ppo`, up to where it starts Ray: what stops it, and what a task gets."""

import pytest
from main_ppo_starts import minimal_arguments, start_each
from omegaconf import OmegaConf
from users_configs import AGGREGATION, MODE, STARTS

from rest_verl.integration.dry_run import compose_config

# name: arguments, what the message names, the mend
REFUSED = {
    "old trainer": (
        ["+rest=paper", "trainer.use_v1=False"],
        "trainer.use_v1=False",
        "set trainer.use_v1=True",
    ),
    "misspelt option": (
        ["+rest=paper", "algorithm.rest.gama_name=1"],
        "algorithm.rest.gama_name",
        "did you mean algorithm.rest.gamma_name?",
    ),
    "bypass mode": (
        ["+rest=paper", "algorithm.rollout_correction.bypass_mode=True"],
        "algorithm.rollout_correction.bypass_mode=True",
        "Set algorithm.rollout_correction.bypass_mode=False",
    ),
    "another trainer": (
        ["+rest=paper", "algorithm.adv_estimator=rest", "trainer.v1.trainer_mode=sync"],
        "trainer.v1.trainer_mode=sync",
        "Set trainer.v1.trainer_mode=rest_sync",
    ),
    "the estimator alone": (
        ["algorithm.adv_estimator=rest"],
        "trainer.v1.trainer_mode=sync",
        "add +rest=paper",
    ),
    "rows that nobody scores": (
        ["+rest=paper", "reward.reward_manager.name=rest"],
        "rows.parquet, row 0: malformed ground truth",
        "reward.reward_manager.name=rest",
    ),
    "what verl asserts in its workers": (
        ["+rest=paper", "actor_rollout_ref.rollout.tensor_model_parallel_size=3"],
        "8 GPUs do not divide into rollout engines of 3",
        "actor_rollout_ref.rollout.tensor_model_parallel_size",
    ),
    "a label": (
        ["+rest=paper", "algorithm.rest.preset=token"],
        "algorithm.rest.preset",
        "Use +rest=token",
    ),
}
ACCEPTED = {
    "paper": ["+rest=paper", "algorithm.adv_estimator=grpo"],
    "rest throughout": [
        "+rest=official",
        "algorithm.adv_estimator=rest",
        "actor_rollout_ref.actor.policy_loss.loss_mode=rest",
    ],
    "without ResT": ["algorithm.adv_estimator=grpo"],
}
SEPARATE_DEVICES = [
    "algorithm.adv_estimator=grpo",
    "data.train_batch_size=1024",
    "actor_rollout_ref.actor.ppo_mini_batch_size=256",
    "trainer.v1.separate_async.parameter_sync_step=4",
    "actor_rollout_ref.rollout.nnodes=1",
    "actor_rollout_ref.rollout.n_gpus_per_node=8",
    "actor_rollout_ref.rollout.checkpoint_engine.backend=nccl",
]
"""Under which every one of the trainers may start."""


def place(folder, name):
    """Where a start of the user's has its files."""
    return folder / f"start_{list(STARTS).index(name)}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What became of each case, without VERL_PLATFORM."""
    folder = tmp_path_factory.mktemp("main_ppo")
    minimal = minimal_arguments(folder)
    cases = {name: case[0] for name, case in REFUSED.items()} | ACCEPTED
    for name, start in STARTS.items():
        cases[name] = [*start.written(place(folder, name)), *SEPARATE_DEVICES]
    cases = {name: [*arguments, *minimal] for name, arguments in cases.items()}
    return start_each(cases, folder, unchecked=STARTS) | {"folder": folder, "arguments": cases}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_ray_starts(run, name):
    _, setting, mend = REFUSED[name]
    message = run["starts"][name]["outcome"]  # a text as SystemExit's code: printed, exit code 1
    assert message.startswith("rest_verl: ")
    assert setting in message
    assert mend in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_runs_reach_ray(run, name):
    assert run["starts"][name]["outcome"] == "Ray started"


def option(config: dict, path: str):
    for key in path.split("."):
        config = config[key]
    return config


@pytest.mark.parametrize("name", STARTS)
def test_the_users_own_settings_reach_the_task(run, name):
    found, start = run["starts"][name], STARTS[name]
    assert found["outcome"] == "Ray started"
    assert option(found["config"], MODE) == start.mode
    assert option(found["config"], AGGREGATION) == start.aggregation
    assert found["lines"][:2] == start.lines(place(run["folder"], name))


@pytest.mark.filterwarnings("ignore:.*not.there is not available")
@pytest.mark.parametrize("name", STARTS)
def test_the_dry_run_composes_what_the_task_gets(run, name, monkeypatch):
    monkeypatch.chdir(run["folder"])  # paths of a run's files follow it
    config, _ = compose_config(run["arguments"][name])
    assert OmegaConf.to_container(config) == run["starts"][name]["config"]


def test_nothing_of_the_cpu_platform_is_imported_unasked(run):
    assert run["registered"]
    assert run["cpu"] == []
