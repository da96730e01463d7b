"""The SmolLM2 recipe in one step: the package's model, its warm start, main_ppo and the summary."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REGIONS = ("format", "name", "args", "think", "text")
SCRIPT = ROOT / "run_scripts" / "smollm2_135m_rest.sh"
SMALL = ["data.train_batch_size=1", "actor_rollout_ref.actor.ppo_mini_batch_size=1"]
SMALL += ["actor_rollout_ref.rollout.n=4", "data.val_max_samples=2"]
SMALL += ["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4"]
SMALL += ["actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4"]

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not (ROOT / ".venv" / "bin" / "rest-verl").exists(),
        reason="runs in the environment of run_scripts/setup_cpu.sh --dev; run it first",
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("smollm2")
    environment = {
        **os.environ,
        "SMOLLM2_DEVICE": "cpu",
        "SMOLLM2_STEPS": "1",
        "SMOLLM2_WARM_STEPS": "2",
        "SMOLLM2_SAVE": "-1",
        "SMOLLM2_START": str(output / "start"),
        "SMOLLM2_OUTPUT": str(output / "run"),
    }
    done = subprocess.run(
        ["bash", str(SCRIPT), *SMALL], env=environment, capture_output=True, text=True
    )
    if "smollm2: pip cannot fetch" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output / "run"


def test_a_pretrained_model_goes_through_the_same_run(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 1
    assert (summary["held_out_rows"], summary["held_out_answers"]) == (2, 8)
    assert summary["sampler_trainer_correlation"] >= 0.99
    assert {"bfcl_accuracy", "right_names", "valid_format"} == summary["held_out"].keys()
    assert (run / "report.html").stat().st_size > 10_000
    (record,) = [
        record
        for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        if record["step"] == 1
    ]
    # After two warm batches it writes text: one reward for all, no gradient, but labels.
    shares = [record[f"rest/token_share/{name}"] for name in REGIONS]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert record["actor/entropy"] > 0


def test_the_start_holds_the_model_with_our_turns(run: Path) -> None:
    config = json.loads((run.parent / "start" / "model" / "config.json").read_text())
    assert (config["eos_token_id"], config["pad_token_id"]) == (2, 0)
    assert config["num_hidden_layers"] == 30
