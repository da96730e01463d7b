"""The tiny multi-turn recipe, shortened: real conversations through verl's main_ppo and vLLM.

BFCL's tasks train synchronously, the shop's asynchronously with sampler and trainer taking turns.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "run_scripts" / "tiny_cpu_multi_turn.sh"
STEPS = 2
SMALL = ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
SMALL += ["actor_rollout_ref.rollout.n=2", "data.val_max_samples=8"]
SMALL += ["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4"]
SMALL += ["actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4"]

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not (ROOT / ".venv" / "bin" / "rest-verl").exists(),
        reason="runs in the environment of run_scripts/setup_cpu.sh --dev; run it first",
    ),
]


@pytest.fixture(scope="module", params=["bfcl", "shop"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp(request.param)
    environment = {
        **os.environ,
        "TINY_TASKS": request.param,
        "TINY_OUTPUT": str(output),
        "TINY_STEPS": str(STEPS),
        "VERL_USE_EXTERNAL_MODULES": "recording_loop",
        "PYTHONPATH": str(Path(__file__).parent),
        "TRAJECTORIES": str(output / "trajectories.jsonl"),
    }
    # Half a batch ahead: its conversations go on across a weight update.
    ahead = ["+trainer_mode=colocate_async", "trainer.v1.colocate_async.num_warmup_batches=0.5"]
    mode = ahead if request.param == "shop" else []
    done = subprocess.run(
        ["bash", str(SCRIPT), *SMALL, *mode], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rollouts_are_multi_turn_and_dumped(run: Path) -> None:
    dumped = [row for step in range(1, STEPS + 1) for row in read(run / f"rollouts/{step}.jsonl")]
    assert len(dumped) == STEPS * 8
    # Each observation is a turn of its own in the template.
    assert any(row["output"].count("assistant\n") >= 2 for row in dumped)
    validated = read(run / f"validation/{STEPS}.jsonl")
    assert any(row["turns"] >= 2 and row["calls"] >= 1 for row in validated)
    assert "assistant\n" in (run / "conversation.txt").read_text()


def test_ids_are_the_templates_and_the_mask_is_on_sampled_tokens(run: Path) -> None:
    from transformers import AutoTokenizer

    tasks = "shop" if "shop" in run.name else "bfcl"
    start = ROOT / "outputs" / f"tiny_cpu_multi_turn_{tasks}_start" / "model"
    tokenizer = AutoTokenizer.from_pretrained(start)
    trajectories = read(run / "trajectories.jsonl")
    assert len(trajectories) >= STEPS * 8
    for trajectory in trajectories:
        ids = trajectory["prompt_ids"] + trajectory["response_ids"]
        text = tokenizer.decode(ids, skip_special_tokens=False)
        rendered = tokenizer.apply_chat_template(trajectory["messages"], tokenize=False)
        # A rollout ends with what was sampled: at the end mark, or cut off before it.
        assert rendered.startswith(text)
        assert rendered[len(text) :] in ("\n", "<|im_end|>\n")
        sampled = [
            token
            for token, mask in zip(
                trajectory["response_ids"], trajectory["response_mask"], strict=True
            )
            if mask
        ]
        said = [m["content"] for m in trajectory["messages"] if m["role"] == "assistant"]
        marked = tokenizer.decode(sampled, skip_special_tokens=False)
        assert marked.removesuffix("<|im_end|>") == "<|im_end|>".join(said)


def test_every_step_logs_the_conversations(run: Path) -> None:
    steps = [record for record in read(run / "metrics.jsonl") if record["step"] > 0]
    assert len(steps) == STEPS
    names = ["total", "official", "dense", "turns", "turns_right", "calls", "errors/malformed"]
    for record in steps:
        assert {f"reward/{name}/mean" for name in [*names, "limit/response_length"]} <= set(record)
        assert record["reward/steps/mean"] >= record["reward/turns/mean"] >= 1
        assert 0 <= record["reward/total/mean"] <= 1
        assert record["rest/token_share/args"] > 0
    if "shop" in run.name:
        assert [record["rest/staleness/max"] for record in steps] == [0, 1]
        assert "[rest] trainer rest_colocate_async" in (run / "train.log").read_text()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == STEPS
