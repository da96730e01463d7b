"""Commands that cannot work: the dry run and the start stop each with the same one message.

The start is what Hydra calls in verl's `main_ppo` before the task and with it Ray: the search-path
plugin, then the callback of `+rest`. `test_main_ppo.py` holds verl's own program to that order.
"""

import json
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from search_path_plugin import plugin

from recipes.tiny_cpu.model import CHAT_TEMPLATE, new_model, train_tokenizer
from rest_verl.integration import dry_run, hydra_callback
from rest_verl.integration.hydra_callback import CheckConfig

pytest.importorskip("verl", reason="verl is not installed")

ROLLOUT, ACTOR = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
TRUTH = json.dumps({"format": "toolrl", "expect": "no_call", "calls": []})
OWN = TRUTH.replace("toolrl", "chat_template")
TOOL = {"type": "function", "function": {"name": "f", "description": "x" * 3000, "parameters": {}}}


def row(**changed: object) -> dict:
    return {
        "data_source": "bfcl/simple_python",
        "prompt": [{"role": "user", "content": "hi"}],
        "reward_model": {"ground_truth": TRUTH},
        "extra_info": {"id": "first", "syntax": "toolrl"},
        **changed,
    }


def info(**changed: str) -> dict:
    return row(extra_info={"id": "first", "syntax": "toolrl", **changed})


def talk(**changed: str) -> dict:
    return {**info(**changed), "agent_name": "rest_tool_env"}


FILES = {
    "good.parquet": [row()] * 8,
    "question.parquet": [{"question": "hi"}] * 8,
    "text.parquet": [row(prompt="hi")] * 8,
    "no_keys.parquet": [row(extra_info="first")] * 8,
    "no_role.parquet": [row(prompt=[{"from": "human", "value": "hi"}])] * 8,
    "garbage.parquet": [row(), *[row(reward_model={"ground_truth": "GARBAGE"})] * 7],
    "no_truth.parquet": [{"prompt": row()["prompt"], "data_source": "mine"}] * 8,
    "tools.parquet": [info(tools=json.dumps([TOOL]))] * 8,
    "no_json.parquet": [info(tools="f(x)")] * 8,
    "no_task.parquet": [talk(environment="bfcl")] * 8,
    "no_environment.parquet": [talk(environment="shoop", task="{}")] * 8,
    "no_loop.parquet": [{**row(), "agent_name": "rest_single_tune"}] * 8,
    "own.parquet": [row(reward_model={"ground_truth": OWN}, extra_info={"id": "first"})] * 8,
    "rows.csv": [],
    "cut_off.parquet": [],
    "lines.jsonl": [],
}
TRAIN, VALIDATION = "data.train_files={folder}/", "data.val_files={folder}/"
FUNCTION = "reward.custom_reward_function"

# name: overrides, parts of the message
REFUSED = {
    "nobody scores BFCL's rows": (
        ["reward.reward_manager.name=naive"],
        ["data_source bfcl/simple_python", "reward.reward_manager.name=rest for tool calls"],
    ),
    "only a question": (
        [f"{TRAIN}question.parquet"],
        ["data.train_files={folder}/question.parquet: has no column prompt; it has question"],
    ),
    "a prompt that is a text": ([f"{TRAIN}text.parquet"], ["row first: its prompt is a text"]),
    "messages without a role": ([f"{TRAIN}no_role.parquet"], ["no role and content"]),
    "extra_info without keys": ([f"{TRAIN}no_keys.parquet"], ["row 0: its extra_info is 'first'"]),
    "a ground truth that nobody reads": (
        [f"{TRAIN}garbage.parquet"],
        ["garbage.parquet, row first: malformed ground truth", "'GARBAGE'", "docs/data.md"],
    ),
    "the same in the validation rows": (
        [f"{VALIDATION}garbage.parquet"],
        ["data.val_files={folder}/garbage.parquet, row first: malformed ground truth"],
    ),
    "no ground truths": ([f"{TRAIN}no_truth.parquet"], ["has no column reward_model"]),
    "a file that is cut off": ([f"{TRAIN}cut_off.parquet"], ["not to be read as parquet"]),
    "a file of another kind": ([f"{TRAIN}rows.csv"], ["verl reads files that end in .parquet"]),
    "no line of JSON": ([f"{TRAIN}lines.jsonl"], ["lines.jsonl:1: not a line of JSON"]),
    "too few rows": (
        ["data.train_batch_size=16"],
        ["data.train_batch_size=16", "holds 8 rows", "Set data.train_batch_size=8 or less"],
    ),
    "prompts that are too long": (
        ["data.max_prompt_length=2"],
        ["row first: its prompt has ", "data.max_prompt_length=2; so it is with 8 of the 8 rows"],
    ),
    "tools that make them too long": (
        [f"{TRAIN}tools.parquet", "data.truncation=left"],
        ["tokens with its tools", "or data.filter_overlong_prompts=True"],
    ),
    "all of them dropped": (
        ["data.max_prompt_length=2", "data.filter_overlong_prompts=True"],
        ["so it is with 8 of the 8 rows looked at. Set data.max_prompt_length="],
    ),
    "tools that are no JSON": ([f"{TRAIN}no_json.parquet"], ["row first", "extra_info.tools"]),
    "a conversation without a task": (
        [f"{TRAIN}no_task.parquet"],
        ["row first: the agent loop rest_tool_env needs a string extra_info.task"],
    ),
    "an unknown environment": (
        [f"{TRAIN}no_environment.parquet"],
        ["unknown environment 'shoop'; registered: bfcl", "VERL_USE_EXTERNAL_MODULES"],
    ),
    "an agent loop that rows misspell": (
        [f"{TRAIN}no_loop.parquet"],
        ["agent_name=rest_single_tune is unknown to verl; known: ", "rest_single_turn"],
    ),
    "an agent loop that the command misspells": (
        [f"{ROLLOUT}.agent.default_agent_loop=rest_env"],
        ["default_agent_loop=rest_env is unknown", "rest_tool_env"],
    ),
    "a reward function that is not there": (
        ["reward.reward_manager.name=naive", f"{FUNCTION}.path=/nope/reward.py"],
        [f"{FUNCTION}.path=/nope/reward.py: no such file"],
    ),
    "a reward function of another name": (
        ["reward.reward_manager.name=naive", f"{FUNCTION}.path={{folder}}/reward.py"],
        [f"{FUNCTION}.name=compute_score: ", "defines no compute_score"],
    ),
    "a syntax that nobody knows": (
        [f"{TRAIN}own.parquet", "algorithm.rest.syntax=herms"],
        ["herms", "did you mean hermes"],
    ),
    "one answer to a group": (
        [f"{ROLLOUT}.n=1"],
        [f"{ROLLOUT}.n=1: algorithm.adv_estimator=grpo compares", f"Set {ROLLOUT}.n=4 or more"],
    ),
    "no temperature": ([f"{ROLLOUT}.temperature=0"], [f"Set {ROLLOUT}.temperature=1.0"]),
    "the likeliest token only": ([f"{ROLLOUT}.top_k=1"], [f"Set {ROLLOUT}.top_k=-1"]),
    "no tokens to sample from": ([f"{ROLLOUT}.top_p=0"], ["top_p=0: must be above 0"]),
    "more memory than there is": (
        [f"{ROLLOUT}.gpu_memory_utilization=1.5"],
        ["gpu_memory_utilization=1.5: must be above 0 and at most 1"],
    ),
    "a learning rate below 0": ([f"{ACTOR}.optim.lr=-1"], ["optim.lr=-1: must not be negative"]),
    "no GPUs": (
        ["trainer.n_gpus_per_node=0"],
        ["trainer.n_gpus_per_node=0: must be a whole number above 0"],
    ),
    "half a prompt": (["data.train_batch_size=2.5"], ["must be a whole number above 0"]),
    "GPUs that do not divide": (
        [f"{ROLLOUT}.tensor_model_parallel_size=3"],
        ["the trainer's 1 GPUs do not divide into rollout engines of 3"],
    ),
    "a micro-batch that holds no answer": (
        [f"{ACTOR}.ppo_max_token_len_per_gpu=256"],
        ["ppo_max_token_len_per_gpu=256 holds no answer of 1024 tokens", "set it to 1024 or more"],
    ),
    "an estimator that is misspelt": (
        ["algorithm.adv_estimator=grppo"],
        ["algorithm.adv_estimator=grppo is unknown to verl; known: ", "grpo"],
    ),
    "an estimator that the trainers cannot feed": (
        ["algorithm.adv_estimator=remax"],
        ["reward_baselines", "Use grpo or rest"],
    ),
    "a reward manager that is misspelt": (
        ["reward.reward_manager.name=rset"],
        ["reward.reward_manager.name=rset is unknown to verl; known: "],
    ),
    "a preset of the reward that is misspelt": (
        [f"+{FUNCTION}.reward_kwargs.preset=toolr"],
        ["toolr", "toolrl"],
    ),
    "a mean that verl does not have": (
        [f"{ACTOR}.loss_agg_mode=mean"],
        ["actor_rollout_ref.actor: Invalid loss_agg_mode: mean"],
    ),
    "a mode that verl has no longer": (
        [f"{ROLLOUT}.mode=sync"],
        ["Rollout mode 'sync' has been removed"],
    ),
    "a word for a truth value": (["data.shuffle=Flase"], ["data.shuffle=Flase: must be True or"]),
    "an added option that is misspelt": (
        ["+data.shufle=False"],
        ["+data.shufle", "did you mean data.shuffle?"],
    ),
    "an added option that verl's class lacks": (
        [f"+{ACTOR}.grad_clipping=1"],
        ["grad_clipping", "FSDPActorConfig has no such option"],
    ),
    "an option of ResT's that is misspelt": (
        ["algorithm.rest.gama_name=1"],
        ["did you mean algorithm.rest.gamma_name?"],
    ),
    "a trainer that is misspelt": (
        ["trainer.v1.trainer_mode=rest_sink"],
        ["rest_sink", "did you mean rest_sync?"],
    ),
    "entropies that nobody computes": (
        ["algorithm.rollout_correction.bypass_mode=True"],
        ["Set algorithm.rollout_correction.bypass_mode=False"],
    ),
    "a temperature of nothing": (
        [f"{ROLLOUT}.temperature=null"],
        [f"Set {ROLLOUT}.temperature=1.0"],
    ),
    "steps that are no number": (
        ["trainer.total_training_steps=10k"],
        ["trainer.total_training_steps=10k: must be a whole number above 0"],
    ),
    "a bound of the reward that is no number": (
        ["+reward.custom_reward_function.reward_kwargs.format_max=high"],
        ["format_max must be a finite number, got 'high'"],
    ),
    "one weight for two parts of the reward": (
        [
            "algorithm.adv_estimator=gdpo",
            "+algorithm.gdpo_reward_keys=[format,correctness]",
            "+algorithm.gdpo_reward_weights=1.0",
        ],
        ["gdpo_reward_weights=1.0: gdpo takes one weight for each of"],
    ),
    "a value that Hydra cannot read": (
        ["trainer.experiment_name=a=b"],
        ["trainer.experiment_name=a=b: Hydra takes no", "in a shell write"],
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of each kind, a model's description, a reward function."""
    folder = tmp_path_factory.mktemp("eaten")
    for name, rows in FILES.items():
        if rows:
            pq.write_table(pa.Table.from_pylist(rows), folder / name)
        else:
            (folder / name).write_text("nothing of the kind\n")
    (folder / "reward.py").write_text("def score(data_source, solution_str, **_): ...\n")
    tokenizer = train_tokenizer(["some text"])
    tokenizer.chat_template = "{{ tools | tojson if tools else '' }}" + CHAT_TEMPLATE
    tokenizer.save_pretrained(folder / "model")
    config = new_model(tokenizer).config
    config.architectures = ["Qwen3ForCausalLM"]
    config.save_pretrained(folder / "model")
    return folder


def command(folder: Path) -> list[str]:
    """A command that works."""
    return [
        "+rest=paper",
        "algorithm.adv_estimator=grpo",
        "reward.reward_manager.name=rest",
        f"data.train_files={folder}/good.parquet",
        f"data.val_files={folder}/good.parquet",
        "data.train_batch_size=8",
        f"actor_rollout_ref.model.path={folder}/model",
        f"{ACTOR}.ppo_mini_batch_size=8",
        f"{ACTOR}.use_dynamic_bsz=True",
        f"{ROLLOUT}.name=vllm",
        f"{ROLLOUT}.n=4",
        f"{ROLLOUT}.tensor_model_parallel_size=1",
        "trainer.n_gpus_per_node=1",
    ]


@pytest.fixture(scope="module")
def composed(folder: Path):
    """The command's configuration."""
    GlobalHydra.instance().clear()
    verl = Path(str(find_spec("verl").origin)).parent
    with initialize_config_dir(str(verl / "trainer" / "config"), version_base=None):
        config = compose("ppo_trainer", overrides=command(folder))
    return OmegaConf.create(OmegaConf.to_container(config, resolve=True))


@pytest.fixture
def configured(composed, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Gives the configuration of the command with these overrides behind it, to the dry run as
    well; Hydra takes a second to compose each anew."""

    @cache
    def merged(*overrides: str):
        given = [override.lstrip("+") for override in overrides]
        return OmegaConf.merge(composed, OmegaConf.from_dotlist(given))

    def as_hydra_composes(_folder, _name, *overrides: str, more=None):
        return merged(*overrides[len(command(folder)) :])

    monkeypatch.setattr(dry_run, "_compose", as_hydra_composes)
    return merged


def start(arguments: list[str], config, monkeypatch: pytest.MonkeyPatch) -> None:
    """What verl's `main_ppo` does with these arguments before its task."""
    monkeypatch.setattr(sys, "argv", ["/verl/trainer/main_ppo.py", *arguments])
    plugin().manipulate_search_path(ConfigSearchPathImpl())
    config.hydra = {"overrides": {"task": arguments}}
    CheckConfig().on_job_start(config)


@pytest.mark.parametrize("name", REFUSED)
def test_the_dry_run_and_the_start_say_the_same(
    name: str, folder: Path, configured, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    given, parts = REFUSED[name]
    overrides = [override.format(folder=folder) for override in given]
    arguments = [*command(folder), *overrides]
    assert dry_run.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    for part in parts:
        assert part.format(folder=folder) in printed.err
    with pytest.raises(SystemExit) as stop:
        start(arguments, configured(*overrides), monkeypatch)
    assert f"{stop.value.code}\n" == printed.err


UNUSUAL = f"{ACTOR}.optim.lr=1000: such values lie between 1e-09 and 0.01; is it meant?"


def test_what_works_passes_and_the_unusual_is_said(
    folder: Path, configured, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    overrides = [f"{ACTOR}.optim.lr=1000"]
    arguments = [*command(folder), *overrides]
    assert dry_run.main(arguments) == 0
    said = capsys.readouterr().out
    assert f"warning: {UNUSUAL}" in said.replace("\n  ", " ")
    assert f"data.train_files={folder}/good.parquet, 8 of 8 rows" in said.replace("\n  ", " ")
    start(arguments, configured(*overrides), monkeypatch)
    assert capsys.readouterr().out == f"[rest] warning: {UNUSUAL}\n"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.train_files=/nope.parquet", "data.train_files=/nope.parquet does not exist yet"),
        ("actor_rollout_ref.model.path=/nope", "model /nope is not a folder here"),
    ],
)
def test_what_is_not_there_yet_stops_the_start_only(
    override: str, said: str, folder: Path, configured, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    arguments = [*command(folder), override]
    assert dry_run.main(arguments) == 0
    assert f"not looked at: {said}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=rf"rest_verl: {override}: no such (file|folder)"):
        start(arguments, configured(override), monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", "auto")  # a cluster, whose files may be elsewhere
    start(arguments, configured(override), monkeypatch)


def test_the_configuration_is_printed_where_it_is_asked_for(
    folder: Path, configured, tmp_path: Path, capsys
) -> None:
    arguments = command(folder)
    assert dry_run.main(arguments) == 0
    summary = capsys.readouterr().out
    assert dry_run.main(["--yaml", *arguments]) == 0
    document = capsys.readouterr().out
    comments = [line for line in document.splitlines() if line.startswith("#")]
    assert [line[2:] for line in comments] == summary.splitlines()
    assert OmegaConf.create(document).trainer.n_gpus_per_node == 1
    file = tmp_path / "run.yaml"
    assert dry_run.main([*arguments, "--yaml", str(file)]) == 0
    assert capsys.readouterr().out == f"{summary}configuration: {file}\n"
    assert OmegaConf.load(file) == OmegaConf.create(document)
    assert dry_run.main([*arguments, f"--yaml={tmp_path}/no/run.yaml"]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_no_run_starts_unchecked(folder: Path, configured, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("a fault of the check's own")

    monkeypatch.setattr(hydra_callback, "examine", broken)
    with pytest.raises(SystemExit, match="rest_verl: TypeError: a fault of the check's own"):
        start(command(folder), configured(), monkeypatch)
