"""verl's own `main_ppo`, up to where it starts Ray: wrong settings stop it before, in one line."""

import json

import pytest
from fresh_process import run_python

from recipes.tiny_cpu.model import new_model, train_tokenizer

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

# One process for all cases: importing verl takes most of the time.
SCRIPT = """
import json, sys

import ray
import verl.trainer.main_ppo as program
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

class RayStarted(BaseException):
    pass

def start_ray(**options):
    raise RayStarted("Ray started")

ray.init = start_ray
outcomes = {}
for name, arguments in json.loads(CASES).items():
    sys.argv = [program.__file__, *arguments]
    try:
        program.main()
    except (SystemExit, RayStarted) as end:
        outcomes[name] = end.code if isinstance(end, SystemExit) else str(end)
registered = "rest" in POLICY_LOSS_REGISTRY
cpu = [name for name in sys.modules if name.startswith("rest_verl.integration.cpu")]
print("\\n" + json.dumps({"outcomes": outcomes, "registered": registered, "cpu": cpu}))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What became of each case, without VERL_PLATFORM."""
    folder = tmp_path_factory.mktemp("main_ppo")
    tokenizer = train_tokenizer(["some text"])
    tokenizer.save_pretrained(folder / "model")
    new_model(tokenizer).config.save_pretrained(folder / "model")
    minimal = [
        f"actor_rollout_ref.model.path={folder / 'model'}",
        f"critic.model.path={folder / 'model'}",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1",
        "critic.ppo_micro_batch_size_per_gpu=1",
        "hydra.run.dir=.",
        "hydra.output_subdir=null",
    ]
    cases = {name: case[0] for name, case in REFUSED.items()} | ACCEPTED
    cases = {name: [*arguments, *minimal] for name, arguments in cases.items()}
    code = f"CASES = {json.dumps(json.dumps(cases))}\n{SCRIPT}"
    process = run_python(code, folder, VERL_PLATFORM=None, VERL_USE_EXTERNAL_PLUGINS=None)
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_ray_starts(run, name):
    _, setting, mend = REFUSED[name]
    message = run["outcomes"][name]  # a text as the code of SystemExit: printed, exit code 1
    assert message.startswith("rest_verl: ")
    assert setting in message
    assert mend in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_runs_reach_ray(run, name):
    assert run["outcomes"][name] == "Ray started"


def test_nothing_of_the_cpu_platform_is_imported_unasked(run):
    assert run["registered"]
    assert run["cpu"] == []
