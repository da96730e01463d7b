"""Starts of verl's own `main_ppo` in one fresh process, each up to where Ray would start."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fresh_process import run_python

from recipes.tiny_cpu.model import new_model, train_tokenizer

# One process for all starts: importing verl takes most of the time.
SCRIPT = """
import contextlib, io, json, sys

import ray
import verl.trainer.main_ppo as program
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

from rest_verl.integration import hydra_callback
from rest_verl.integration.run_checks import Examined, examine

class RayStarted(BaseException):
    pass

def start_ray(**options):
    raise RayStarted("Ray started")

def run_ppo(config, **options):
    reached.append(OmegaConf.to_container(config))
    verls_run_ppo(config, **options)

def no_checks(*_):
    return Examined([], [])

ray.init = start_ray
verls_run_ppo, program.run_ppo = program.run_ppo, run_ppo
starts = {}
for name, arguments in json.loads(STARTS).items():
    sys.argv = [program.__file__, *arguments]
    hydra_callback.examine = no_checks if name in UNCHECKED else examine
    reached, said = [], io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            program.main()
    except (SystemExit, RayStarted) as end:
        outcome = end.code if isinstance(end, SystemExit) else str(end)
    lines = [line for line in said.getvalue().splitlines() if line.startswith("[rest]")]
    config = reached[0] if reached else None
    starts[name] = {"outcome": outcome, "lines": lines, "config": config}
registered = "rest" in POLICY_LOSS_REGISTRY
cpu = [name for name in sys.modules if name.startswith("rest_verl.integration.cpu")]
print("\\n" + json.dumps({"starts": starts, "registered": registered, "cpu": cpu}))
"""


ROW = {
    "data_source": "openai/gsm8k",
    "prompt": [{"role": "user", "content": "1 + 1?"}],
    "reward_model": {"ground_truth": "2"},
    "extra_info": {"syntax": "toolrl"},
}


def minimal_arguments(folder: Path) -> list[str]:
    """What the checks want of any start; puts rows and a model's description into the folder."""
    tokenizer = train_tokenizer(["some text"])
    tokenizer.save_pretrained(folder / "model")
    config = new_model(tokenizer).config
    config.architectures = ["Qwen3ForCausalLM"]
    config.save_pretrained(folder / "model")
    pq.write_table(pa.Table.from_pylist([ROW] * 1024), folder / "rows.parquet")
    return [
        f"data.train_files={folder / 'rows.parquet'}",
        f"data.val_files={folder / 'rows.parquet'}",
        "actor_rollout_ref.rollout.name=vllm",
        "actor_rollout_ref.rollout.n=4",
        f"actor_rollout_ref.model.path={folder / 'model'}",
        f"critic.model.path={folder / 'model'}",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1",
        "critic.ppo_micro_batch_size_per_gpu=1",
        "hydra.run.dir=.",
        "hydra.output_subdir=null",
    ]


def start_each(
    starts: dict[str, list[str]], folder: Path, unchecked: Collection[str] = ()
) -> dict[str, Any]:
    """What became of each start, by name: outcome, lines of ResT's, the task's configuration.

    The checks of `unchecked` are left out, which saves half of their time.
    """
    code = f"STARTS = {json.dumps(json.dumps(starts))}\nUNCHECKED = {list(unchecked)}\n{SCRIPT}"
    process = run_python(code, folder, VERL_PLATFORM=None, VERL_USE_EXTERNAL_PLUGINS=None)
    assert process.returncode == 0, process.stderr[-3000:]
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found
