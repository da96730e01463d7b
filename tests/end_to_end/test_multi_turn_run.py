"""The tiny multi-turn recipe, shortened: real conversations through verl's main_ppo and vLLM.

BFCL's tasks train synchronously and in ToolRL's format. The shop's train asynchronously, sampler
and trainer taking turns, with a chat template that writes calls as Qwen3-Coder's does; half of its
rows are single turns, which the reward manager scores. Both credit turns, and weigh in each.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from recipes.own_tools.conversations import shop_conversations
from rest_verl.data import environment_row, split_steps, step_row
from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "run_scripts" / "tiny_cpu_multi_turn.sh"
STEPS = 2
SYNTAX = {"bfcl": "toolrl", "shop": "qwen3_coder"}
SMALL = ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
SMALL += ["actor_rollout_ref.rollout.n=2", "data.val_max_samples=4"]
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
    is_shop = request.param == "shop"
    environment = {
        **os.environ,
        "TINY_TASKS": request.param,
        "TINY_SYNTAX": SYNTAX[request.param],
        "TINY_OUTPUT": str(output),
        "TINY_STEPS": str(STEPS),
        "TINY_SAVE": "-1",
        "VERL_USE_EXTERNAL_MODULES": "recording_loop",
        "PYTHONPATH": str(Path(__file__).parent),
        "TRAJECTORIES": str(output / "trajectories.jsonl"),
    }
    # Half a batch ahead: its conversations go on across a weight update.
    ahead = ["+trainer_mode=colocate_async", "trainer.v1.colocate_async.num_warmup_batches=0.5"]
    own = [f"data.train_files={write_rows(output)}", "data.shuffle=false"]
    by_turn = ["algorithm.adv_estimator=rest_turn", "algorithm.rest.weights_per=turn"]
    mode = [*by_turn, *ahead, *own] if is_shop else by_turn
    done = subprocess.run(
        ["bash", str(SCRIPT), *SMALL, *mode], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output


def write_rows(folder: Path) -> str:
    """The shop's tasks and, in turns with them, single turns; as a list of files."""
    rows = []
    for index, visit in enumerate(shop_conversations()[:16]):
        dialogue = visit.dialogue
        first, *_ = split_steps(dialogue, "chat_template", syntax="qwen3_coder")
        about = {"index": index, "split": "train"}
        origin = {"id": dialogue.id, "category": "shop", "version": "", "data_source": "shop"}
        rows.append(environment_row("shop", visit.task, "chat_template", **about, **origin))
        rows.append(step_row(dialogue, first, "chat_template", **about))
    write_dataset(folder / "rows", {"train": rows}, ENVIRONMENT_EXTRA_INFO, {})
    return f"[{folder}/rows/train.parquet]"


def start_folder(tasks: str) -> Path:
    name = "shop_qwen3_coder" if tasks == "shop" else tasks
    return ROOT / "outputs" / f"tiny_cpu_multi_turn_{name}_start"


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
    tokenizer = AutoTokenizer.from_pretrained(start_folder(tasks) / "model")
    trajectories = read(run / "trajectories.jsonl")
    assert len(trajectories) >= STEPS * 8 // (2 if tasks == "shop" else 1)
    for trajectory in trajectories:
        ids = trajectory["prompt_ids"] + trajectory["response_ids"]
        text = tokenizer.decode(ids, skip_special_tokens=False)
        rendered = tokenizer.apply_chat_template(
            trajectory["messages"], tools=trajectory["tools"], tokenize=False
        )
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
    # The shop's batches hold what ended first: one may be all single turns, which lack these parts.
    of_conversations = [record for record in steps if "reward/turns/mean" in record]
    assert of_conversations == steps if "bfcl" in run.name else of_conversations
    for record in of_conversations:
        assert {f"reward/{name}/mean" for name in [*names, "limit/response_length"]} <= set(record)
        ends = [record[name] for name in record if name.startswith("reward/limit/")]
        assert sum(ends) == pytest.approx(1)
        assert record["reward/steps/mean"] >= record["reward/turns/mean"] >= 1
        assert 0 <= record["reward/official/mean"] <= 1
        assert record["reward/calls/mean"] > 0
        assert record["rest/token_share/args"] > 0
        assert record["rest/token_share/name"] > 0
        assert 0 < record["rest/control/probability/name"] <= 1
        assert 0 <= record["rest/turn/log_prob_gap/1"] < 1
        assert record["rest/turn/reached/1"] == 1
        assert 0 <= record["rest/turn/reward/1"] <= 1
        assert record["rest/tools/offered"] > record["rest/tools/never_called"]
    log = (run / "train.log").read_text()
    if "shop" in run.name:
        assert [record["rest/staleness/max"] for record in steps] == [0, 1]
        assert "[rest] trainer rest_colocate_async" in log
        assert "[rest] tool-call syntax: qwen3_coder (chat template)" in log
        # Of the single turns, whose rewards have these parts.
        assert sum(record["reward/num_calls/mean"] for record in steps) > 0
    else:
        assert "[rest] tool-call syntax: toolrl (prompts ask for it)" in log
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == STEPS
