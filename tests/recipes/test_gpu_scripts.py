"""Every GPU script, checked against verl's real configuration, without a GPU or a model.

A stand-in for the interpreter records what a script would run; that is then given to the real dry
run in this process, since importing verl anew for each script takes most of a minute.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from recipes.tiny_cpu.model import new_model, train_tokenizer
from rest_verl.cli import main as rest_verl_command
from rest_verl.integration import dry_run

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "run_scripts"
RECIPES = sorted(
    path.name for family in ("qwen3_*", "llama3p2_*") for path in SCRIPTS.glob(f"{family}.sh")
)
ABLATIONS = {
    "no_dynamic_reward": {
        "algorithm.rest.preset": "paper",
        "reward.custom_reward_function.reward_kwargs.preset": "toolrl",
    },
    "no_think_gradient": {"algorithm.rest.gamma_think": 0.0},
    "no_curriculum": {"algorithm.rest.alpha_args": 0.0, "algorithm.rest.preset": "static"},
    "official_constants": {"algorithm.rest.gamma_name": 1.2},
    "per_token": {"algorithm.rest.scope": "token"},
}
PAPER = {
    "data.train_batch_size": 512,
    "data.max_prompt_length": 2048,
    "data.max_response_length": 2048,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
    "actor_rollout_ref.actor.use_kl_loss": False,
    "actor_rollout_ref.actor.policy_loss.loss_mode": "vanilla",
    "actor_rollout_ref.rollout.n": 4,
    "algorithm.adv_estimator": "grpo",
    "algorithm.use_kl_in_reward": False,
    "reward.reward_manager.name": "rest",
    "trainer.total_epochs": 15,
    "trainer.n_gpus_per_node": 8,
}
MEAN = "actor_rollout_ref.actor.loss_agg_mode"
MODE = "trainer.v1.trainer_mode"
METHODS = {
    "rest": {
        MEAN: "seq-mean-token-mean",
        MODE: "rest_sync",
        "algorithm.rest.preset": "paper",
        "reward.custom_reward_function.reward_kwargs.preset": "toolrl_scheduled",
    },
    "grpo": {
        MEAN: "seq-mean-token-mean",
        MODE: "sync",
        "algorithm.rest": None,
        "reward.custom_reward_function.reward_kwargs.preset": "toolrl_scheduled",
    },
    "drgrpo": {
        MEAN: "seq-mean-token-sum-norm",
        MODE: "sync",
        "algorithm.rest": None,
        "algorithm.norm_adv_by_std_in_grpo": False,
    },
}
# What departs from the paper's set-up, and that it does.
OTHERS = {
    "qwen3_1p7b_rest_lora_1gpu.sh": {
        "actor_rollout_ref.model.lora_rank": 32,
        "actor_rollout_ref.rollout.load_format": "safetensors",
        "trainer.n_gpus_per_node": 1,
        MODE: "rest_sync",
    },
    "qwen3_4b_rest_multi_turn.sh": {
        "actor_rollout_ref.rollout.agent.default_agent_loop": "rest_tool_env",
        "actor_rollout_ref.rollout.custom.rest_tool_env.reward": "dense",
        MODE: "rest_sync",
    },
    "qwen3_4b_rest_colocate_async.sh": {**PAPER, MODE: "rest_colocate_async"},
    "qwen3_4b_rest_separate_async.sh": {
        **PAPER,
        MODE: "rest_separate_async",
        "actor_rollout_ref.hybrid_engine": False,
        "actor_rollout_ref.rollout.nnodes": 1,
        "trainer.v1.separate_async.parameter_sync_step": 8,
        "trainer.n_gpus_per_node": 4,
    },
}

STAND_IN = """#!/usr/bin/env bash
# Records its arguments, one call a line; finds no model in any cache.
printf '%s\\x1f' "$@" >>"{log}"
echo >>"{log}"
[[ $1 != -c ]]
"""


class Shell:
    """Runs scripts with the stand-in for an interpreter; `calls` are its arguments."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "calls"
        self.python = folder / "python"
        self.python.write_text(STAND_IN.format(log=self.log))
        self.python.chmod(0o755)
        self.data = folder / "data"

    def run(self, script: str, *arguments: str, **environment: object):
        self.log.write_text("")
        inherited = ("PATH", "HOME", "LANG", "TMPDIR")
        variables = {name: os.environ[name] for name in inherited if name in os.environ}
        variables |= {"PYTHON": str(self.python), "DATA_DIR": str(self.data)}
        variables |= {name: str(value) for name, value in environment.items()}
        return subprocess.run(
            ["bash", str(SCRIPTS / script), *arguments],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
        )

    @property
    def calls(self) -> list[list[str]]:
        return [line.split("\x1f")[:-1] for line in self.log.read_text().splitlines()]

    def dry_run_arguments(self, script: str, *arguments: str, **environment: object) -> list[str]:
        process = self.run(script, *arguments, DRY_RUN=1, **environment)
        assert process.returncode == 0, process.stderr
        (call,) = self.calls
        assert call[:2] == ["-m", "rest_verl.integration.dry_run"]
        return call[2:]


@pytest.fixture
def shell(tmp_path) -> Shell:
    return Shell(tmp_path)


def check(arguments: list[str], expected: dict[str, object]) -> None:
    """The dry run accepts the arguments, estimates, and the values are as expected."""
    config, summary = dry_run.dry_run(arguments)
    found = {path: OmegaConf.select(config, path) for path in expected}
    assert found == expected
    assert any(line.startswith("Estimate for") for line in summary)
    assert max(len(line) for line in summary if " " in line.strip()) <= dry_run.WIDTH


@pytest.mark.parametrize("recipe", sorted({*RECIPES} - {*OTHERS} - {"qwen3_8b_ablations.sh"}))
def test_recipes_with_the_papers_setup(shell, recipe):
    method = recipe.removesuffix(".sh").rpartition("_")[2]
    check(shell.dry_run_arguments(recipe), PAPER | METHODS[method])


@pytest.mark.parametrize("recipe", OTHERS)
def test_other_recipes(shell, recipe):
    assert recipe in RECIPES
    check(shell.dry_run_arguments(recipe), OTHERS[recipe])


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_ablations(shell, ablation):
    expected = PAPER | {MEAN: "seq-mean-token-mean", MODE: "rest_sync"} | ABLATIONS[ablation]
    check(shell.dry_run_arguments("qwen3_8b_ablations.sh", ablation), expected)


def test_all_ablations_run_one_after_the_other(shell):
    process = shell.run("qwen3_8b_ablations.sh", "all", "data.seed=3", DRY_RUN=1)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split("\n")[:-1] == [f"== {name}" for name in ABLATIONS]
    assert [call[-1] for call in shell.calls] == ["data.seed=3"] * len(ABLATIONS)
    names = [value for call in shell.calls for value in call if "experiment_name=" in value]
    assert names == [f"trainer.experiment_name=qwen3_8b_{name}" for name in ABLATIONS]
    refused = shell.run("qwen3_8b_ablations.sh", "no_such")
    assert refused.returncode == 1
    assert "no_dynamic_reward" in refused.stderr
    assert shell.calls == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_misspelt_override_is_refused(shell, recipe, capsys):
    name = ["per_token"] if recipe == "qwen3_8b_ablations.sh" else []
    arguments = shell.dry_run_arguments(recipe, *name, "data.train_batchsize=64")
    assert arguments[-1] == "data.train_batchsize=64"
    assert dry_run.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "rest_verl: data.train_batchsize: verl has no such option; "
        "did you mean data.train_batch_size?\n"
    )


# override: parts of the reason; tests/integration/test_run_refusals.py has what composes
WRONG = {
    "+rest=papr": ["papr", "paper"],
    "actor_rollout_ref.rollout.n=four": ["actor_rollout_ref.rollout.n=four", "a number"],
    "+actor_rollout_ref.rollout.max_len=1": ["max_len", "RolloutConfig"],
    "actor_rollout_ref.actor.ppo_mini_batch_size=63": ["ppo_mini_batch_size=63", "8 GPUs"],
    "trainer.project_name=${nowhere}": ["nowhere"],
}


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_value_is_refused_in_one_line(override, capsys):
    recipe = [
        *("actor_rollout_ref.model.path=Qwen/Qwen3-4B", "actor_rollout_ref.rollout.name=vllm"),
        *("actor_rollout_ref.actor.use_dynamic_bsz=True", "actor_rollout_ref.rollout.n=4"),
        *("data.train_batch_size=512", "actor_rollout_ref.rollout.tensor_model_parallel_size=1"),
        *("data.max_prompt_length=2048", "data.max_response_length=2048"),
        *("reward.reward_manager.name=rest", "algorithm.adv_estimator=grpo"),
        "+reward.custom_reward_function.reward_kwargs.preset=toolrl",
    ]
    group = [] if override.startswith("+rest=") else ["+rest=paper"]
    assert dry_run.main([*recipe, *group, override]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("rest_verl: ")
    assert printed.err.count("\n") == 1
    for part in WRONG[override]:
        assert part in printed.err


def test_sizes_that_the_asynchronous_trainer_cannot_take(shell, capsys):
    step = "trainer.v1.separate_async.parameter_sync_step=3"
    arguments = shell.dry_run_arguments("qwen3_4b_rest_separate_async.sh", step)
    assert dry_run.main(arguments) == 1
    assert "trainer.v1.separate_async.parameter_sync_step" in capsys.readouterr().err


def test_options_that_verl_has_but_does_not_show_pass(shell):
    check(
        shell.dry_run_arguments(
            "qwen3_4b_grpo.sh",
            "+actor_rollout_ref.actor.ppo_infer_micro_batch_size_per_gpu=2",  # a dataclass field
            "+ray_kwargs.ray_init.num_gpus=8",  # an argument of ray.init
            "++data.shufle=1",  # insisted on
        ),
        {"ray_kwargs.ray_init.num_gpus": 8},
    )


def test_a_configuration_file_of_ones_own(capsys):
    tiny = [
        *("--config-path", str(ROOT / "recipes" / "tiny_cpu"), "--config-name", "tiny_cpu"),
        *("+rest=paper", "actor_rollout_ref.model.path=Qwen/Qwen3-0.6B"),
    ]
    command = ["dry-run", "--yaml", "python", "-m", "verl.trainer.main_ppo", *tiny]
    assert rest_verl_command(command) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["trainer"]["project_name"] == "tiny_cpu"
    assert rest_verl_command([*command, "trainer.loger=x"]) == 1
    assert "did you mean trainer.logger?" in capsys.readouterr().err


def test_a_models_own_files_are_read_where_they_are_there(tmp_path, capsys):
    tokenizer = train_tokenizer(["some text"])
    tokenizer.save_pretrained(tmp_path)
    config = new_model(tokenizer).config
    config.architectures = ["Qwen3ForCausalLM"]
    config.save_pretrained(tmp_path)
    arguments = [
        *("+rest=paper", f"actor_rollout_ref.model.path={tmp_path}"),
        *("algorithm.adv_estimator=grpo", "actor_rollout_ref.rollout.name=vllm"),
        *("actor_rollout_ref.actor.use_dynamic_bsz=True", "actor_rollout_ref.rollout.n=4"),
    ]
    assert dry_run.main(arguments) == 0
    assert "is not a folder here" not in capsys.readouterr().out
    config.architectures = None
    config.save_pretrained(tmp_path)
    assert dry_run.main(arguments) == 1
    assert capsys.readouterr().err == (
        "rest_verl: actor_rollout_ref.model: Expect only one architecture, got None\n"
    )


def test_the_whole_of_a_dry_run_as_a_user_sees_it(shell):
    process = shell.run("qwen3_4b_rest.sh", DRY_RUN=1, PYTHON=sys.executable, OMP_NUM_THREADS=1)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("Fits on 8 × h100-80")
    assert "model Qwen/Qwen3-4B-Instruct-2507 is not a folder here" in process.stdout
    assert process.stderr.startswith("WARNING: THIS IS NOT THE PAPER'S DATA. RLLA_JSON is not set")
    assert not shell.data.exists()
    assert not (ROOT / "outputs" / "qwen3_4b_rest").exists()


def test_a_refused_dry_run_as_a_user_sees_it(shell):
    asked = {"DRY_RUN": 1, "PYTHON": sys.executable, "DATA_SET": "bfcl"}
    process = shell.run("qwen3_4b_grpo.sh", "trainer.total_epoch=3", **asked)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == (
        "rest_verl: trainer.total_epoch: verl has no such option; "
        "did you mean trainer.total_epochs?\n"
    )


@pytest.mark.parametrize("settings", [{}, {"RLLA_JSON": "{rows}"}, {"DATA_SET": "bfcl"}])
def test_other_data_than_the_papers_are_said_aloud(shell, tmp_path, settings):
    (tmp_path / "model").mkdir()
    (tmp_path / "rows").write_text("[]")
    given = {key: text.format(rows=tmp_path / "rows") for key, text in settings.items()}
    paths = {"MODEL_PATH": tmp_path / "model", "OUTPUT": tmp_path / "out"}
    for dry in (0, 1):
        process = shell.run("qwen3_8b_rest.sh", DRY_RUN=dry, **paths, **given)
        assert process.returncode == 0, process.stderr
        assert ("NOT THE PAPER'S DATA" in process.stderr) == (not settings)


def test_training_gets_what_the_dry_run_checked(shell, tmp_path):
    (tmp_path / "model").mkdir()
    rows = tmp_path / "rlla_sft.json"
    rows.write_text("[]")
    settings = {"MODEL_PATH": tmp_path / "model", "RLLA_JSON": rows, "OUTPUT": tmp_path / "out"}
    checked = shell.dry_run_arguments("llama3p2_3b_rest.sh", "data.seed=1", **settings)
    process = shell.run("llama3p2_3b_rest.sh", "data.seed=1", **settings)
    assert process.returncode == 0, process.stderr
    prepare, train = shell.calls
    assert prepare[0].endswith("data_prep/rlla_to_parquet.py")
    assert prepare[1:5] == ["--input", str(rows), "--output-dir", str(shell.data / "rlla")]
    assert train == ["-m", "verl.trainer.main_ppo", *checked]
    assert f"data.train_files={shell.data}/rlla/train.parquet" in train


# what is wrong with the settings of a recipe: whether it is known before the model is looked for
ABSENT = [
    ({"MODEL_PATH": "./nowhere"}, "MODEL_PATH=./nowhere is not a folder", True),
    ({"MODEL_PATH": "/nope"}, "MODEL_PATH=/nope is not a folder", True),
    ({}, "hf download Qwen/Qwen3-4B-Instruct-2507", False),
    ({"METHOD": "ppo"}, "METHOD=ppo is unknown: rest, grpo or drgrpo", True),
    ({"TRAIN_FILE": "x.parquet"}, "set both TRAIN_FILE and VAL_FILE", True),
    ({"TRAIN_FILE": "x", "VAL_FILE": "y"}, "no such files: TRAIN_FILE=x VAL_FILE=y", True),
    ({"RLLA_JSON": "/nope"}, "no ToolRL rows at RLLA_JSON=/nope", True),
    ({"DATA_SET": "rlla"}, "no ToolRL rows at RLLA_JSON=", True),
    ({"DATA_SET": "bcfl"}, "DATA_SET=bcfl is unknown: rlla, bfcl or bfcl_multi_turn", True),
]


@pytest.mark.parametrize(("settings", "message", "by_dry_run"), ABSENT)
def test_what_is_absent_is_said_before_anything_starts(shell, settings, message, by_dry_run):
    for dry in range(1 + by_dry_run):
        process = shell.run("qwen3_4b_rest.sh", DRY_RUN=dry, **settings)
        assert process.returncode == 1
        assert message in process.stderr
        assert process.stderr.count("\n") == 1
        assert not any("-m" in call for call in shell.calls)


@pytest.mark.parametrize(
    ("recipe", "settings", "prepared"),
    [
        ("qwen3_8b_rest.sh", {}, ["data_prep/bfcl_to_parquet.py", "--output-dir"]),
        ("qwen3_4b_rest_multi_turn.sh", {}, ["--categories", "multi_turn", "chat_template"]),
    ],
)
def test_data_are_prepared_when_absent(shell, tmp_path, recipe, settings, prepared):
    (tmp_path / "model").mkdir()
    process = shell.run(recipe, MODEL_PATH=tmp_path / "model", OUTPUT=tmp_path / "out", **settings)
    assert process.returncode == 0, process.stderr
    text = " ".join(shell.calls[0])
    assert all(part in text for part in prepared)
    assert "verl.trainer.main_ppo" in shell.calls[1]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["head", "--num-gpus", "8"], "ray start --head --port 6379 --num-gpus 8"),
        (["worker", "node1"], "ray start --address node1:6379"),
        (["worker", "10.0.0.1:7000"], "ray start --address 10.0.0.1:7000"),
        (["stop"], "ray stop"),
    ],
)
def test_ray_cluster(shell, arguments, command):
    process = shell.run("ray_cluster.sh", *arguments, DRY_RUN=1)
    assert (process.returncode, process.stdout) == (0, command + "\n")


@pytest.mark.parametrize("arguments", [[], ["worker"], ["begin"]])
def test_ray_cluster_says_how_it_is_used(shell, arguments):
    process = shell.run("ray_cluster.sh", *arguments, DRY_RUN=1)
    assert process.returncode == 1
    assert process.stderr == "ray_cluster.sh: head, worker HEAD_ADDRESS, status or stop\n"


def test_slurm(shell):
    arguments = shell.dry_run_arguments("slurm_rest.sbatch", "data.seed=1", NNODES=4)
    assert arguments[-1] == "data.seed=1"
    check(arguments, {**PAPER, **METHODS["rest"], "trainer.nnodes": 4})
