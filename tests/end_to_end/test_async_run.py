"""The tiny recipe with a sampler of its own: real weight exchanges while vLLM samples.

The other asynchronous mode, sampler and trainer taking turns, is in test_multi_turn_run.py.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "run_scripts" / "tiny_cpu_rest.sh"
STEPS = 2
SMALL = ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=2"]
SMALL += ["actor_rollout_ref.rollout.n=4", "data.val_max_samples=4"]
SMALL += ["actor_rollout_ref.rollout.val_kwargs.n=1"]
SMALL += ["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8"]
SMALL += ["actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8"]
# Half a batch ahead: later steps train on as many stale samples as fresh ones.
SMALL += ["trainer.v1.separate_async.num_warmup_batches=0.5"]
# Each answer is one turn, as the log says.
SMALL += ["algorithm.adv_estimator=rest_turn"]
CORRELATION = "training/rollout_actor_probs_pearson_corr"

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not (ROOT / ".venv" / "bin" / "rest-verl").exists(),
        reason="runs in the environment of run_scripts/setup_cpu.sh --dev; run it first",
    ),
]


def test_an_asynchronous_run(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TINY_TRAINER": "separate_async",
        "TINY_OUTPUT": str(tmp_path),
        "TINY_STEPS": str(STEPS),
        "TINY_WARM_STEPS": "120",
    }
    done = subprocess.run(
        ["bash", str(SCRIPT), *SMALL], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    log = (tmp_path / "train.log").read_text()
    assert "[rest] trainer rest_separate_async, weights: preset paper" in log
    assert "no rollout of the first batch says what its turns earned" in log
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    first, second = [record for record in map(json.loads, lines) if record["step"] > 0]

    # Both mini-batches of step 1 have the old policy that sampled them, the second after an update.
    assert first[CORRELATION] >= 0.999
    assert (first["rest/staleness/mean"], first["rest/staleness/max"]) == (0, 0)
    assert first["rest/progress"] == 1 / STEPS

    # By the exchange after step 1 the fresh half comes from the updated weights.
    assert first["actor/grad_norm"] > 0
    assert second[f"{CORRELATION}/fresh"] >= 0.999
    assert second["rest/staleness/max"] == 1
    assert 0 < second["rest/staleness/mean"] <= 0.5
    assert second["rest/progress"] == pytest.approx(1 - second["rest/staleness/mean"] / STEPS)
    worst = "training/off_policy/trajectory_staleness_worst"  # verl's own name for it
    assert second["rest/staleness/mean"] == second[f"{worst}/mean"]
    for record in (first, second):
        assert record["rest/weight/args"] > 0
        assert "reward/total/mean" in record
